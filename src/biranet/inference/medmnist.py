"""Measuring on a published archive: RetinaMNIST's `.npz` as it was downloaded, instead of a prepared folder."""

from pathlib import Path

import pandas as pd

from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint_info import short_hash
from biranet.learning.predictor import Predictor
from biranet.manifest import OFFICIAL_SPLIT, read_manifest, training_set_digest, write_manifest
from biranet.photos import PREPARATION_NAME
from biranet.photos.datasets import LabelSource, read_labels
from biranet.photos.folder import prepare_folder
from biranet.photos.prepare import read_preparation
from biranet.reports.report import ARCHIVE_NAME


def is_archive(path: Path) -> bool:
    """Tell whether a path names an archive of arrays, whether or not it is there.

    Example:
        >>> is_archive(Path("medmnist/retinamnist.npz")), is_archive(Path("prepared"))
        (True, False)
    """
    return path.suffix.lower() == ".npz" and not path.is_dir()


def prepare_archive(archive: Path, out: Path, part: str, predictor: Predictor, *, workers: int) -> tuple[Path, str]:
    """Prepare the photos of an archive as a model expects them, in the parts that the archive has.

    Photos that the model was calibrated on become the calibration part, as they were when it was trained, so that the
    other photos of the train part are those it learned from.

    Args:
        archive: An `.npz` with `train_images`, `train_labels` and so on, or those of some parts.
        out: Folder for the report; the photos come into `out/prepared_archive`.
        part: The part that is asked for.
        predictor: The model; its description says how photos must be prepared.
        workers: Processes that prepare photos.

    Returns:
        The prepared folder; and the part to measure there, which is `all` where the archive holds nothing else.

    Raises:
        InputError: If the file is no such archive, or does not hold the part.
        RefusedError: If the model expects another kind of photos, or has not learned from the archive's train and
            validation parts although it has some.
    """
    archive = archive.resolve()  # a link's photos lie where the file does
    if not archive.is_file():
        raise InputError(f"there is no file {archive}")
    expected = predictor.info.preparation
    if not expected.already_cropped:
        raise RefusedError(
            f"{predictor.origin} was trained on photographs that were cut to their field, and {archive} holds squares "
            "that were cut already; measure a model that was trained on such an archive"
        )
    parts = {photo.split for photo in read_labels(archive.parent, LabelSource(archive, "retinamnist")).photos}
    if part not in (*parts, "all", "calibration"):
        present = " and ".join(name for name in ("train", "validation", "test") if name in parts)
        raise InputError(
            f"{archive} holds no photos of the part {part!r}, only of {present}; name one that it holds with --split"
        )
    prepared = out / ARCHIVE_NAME
    if (prepared / PREPARATION_NAME).exists() and read_preparation(prepared) != expected:
        raise InputError(f"{prepared} was prepared for another model; choose another folder with --out")
    prepare_folder(
        archive.parent,
        prepared,
        labels=LabelSource(archive, dataset="retinamnist"),
        size_px=expected.size_px,
        workers=workers,
    )
    if parts == {part}:
        return prepared, "all"  # with no other part beside it, there is nothing to tell it from
    write_manifest(prepared, _split_as_trained(read_manifest(prepared), predictor, part, archive))
    return prepared, part


def _split_as_trained(table: pd.DataFrame, predictor: Predictor, part: str, archive: Path) -> pd.DataFrame:
    """Divide the photos of an archive by its own parts, and by the calibration part of the model where it had one."""
    info = predictor.info
    table = table.assign(split=table[OFFICIAL_SPLIT])  # an earlier report may have been on a model calibrated otherwise
    calibration = (table["split"] == "train") & table["sha256"].map(short_hash).isin(info.calibration_photo_hashes)
    as_trained = table.assign(split=table["split"].mask(calibration, "calibration"))
    if info.split_column == "split" and info.training_set_digest == training_set_digest(as_trained, "split"):
        return as_trained
    if part != "all" and info.training_set_digest not in ("", training_set_digest(table, "split")):
        raise RefusedError(
            f"the train and validation parts of {archive} are not what {predictor.origin} learned from, so nobody "
            "knows which of its photos the model has seen; train on these parts as they are, without biranet split, or "
            f"measure an archive that holds the part {part!r} alone"
        )
    return table

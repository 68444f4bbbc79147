"""The external test: the architectures, trained on all photos, answer once for photographs of another clinic.

They answer when all trainings of the study are finished, all of them together; each reading is written down beside the
photos. Only what was measured is kept.
"""

from pathlib import Path

import pandas as pd

from biranet.errors import InputError, RefusedError
from biranet.inference.readings_of_test_part import record_reading
from biranet.learning.predict import check_preparation, predict_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.manifest import graded_photos, photos_digest, read_manifest
from biranet.photos.audit import audit
from biranet.photos.prepare import read_preparation
from biranet.tables import write_table
from studies.idrid.analysis import Pair, differences, measures, models_digest, pool, read_settings
from studies.idrid.cells import chosen_rate, result_file
from studies.idrid.collect import count_photos, write_settings
from studies.idrid.grid import Grid

READING_COLUMN = "all of an external set"
"""What the readings are written down as, where those of a test part name the column of the split."""


def check_external(external: Path, prepared: Path) -> None:
    """Refuse external photos that were prepared otherwise, or show what is learned from.

    Args:
        external: Prepared folder with the photos of another clinic.
        prepared: Prepared folder with the photos of the study.

    Raises:
        InputError: If there are none, they were prepared otherwise, or they come from the same data set.
        RefusedError: If they share patients with the photos of the study, or show the same.
    """
    theirs, ours = read_preparation(external), read_preparation(prepared)
    if theirs != ours:
        raise InputError(
            f"--external {external} was prepared otherwise than {prepared} ({theirs.as_dict()}, not {ours.as_dict()}); "
            "prepare both with the same settings"
        )
    learned, photos = (graded_photos(read_manifest(folder)) for folder in (prepared, external))
    if photos.empty:
        raise InputError(f"--external {external} holds no graded photo; prepare it with --labels")
    common = sorted(set(learned["source"]) & set(photos["source"]))
    if common:
        raise InputError(
            f"--external {external} holds photos of {', '.join(common)}, which is learned from; "
            "give photos of another clinic"
        )
    both = pd.concat([learned.assign(split="train"), photos.assign(split="test")], ignore_index=True)
    for finding in audit(both, ["split"]):
        if finding.refuses:
            raise RefusedError(
                f"--external {external} shares patients or pictures with {prepared} ({finding.kind}: {finding.count}); "
                "give photos of another clinic"
            )


def measure_external(external: Path, out: Path, results: Path, grid: Grid) -> None:
    """Let all models answer, and write what was measured; what these models have answered for is not read again.

    Args:
        external: Prepared folder with the photos, which `check_external` has let pass.
        out: The study's working folder, every training of which is finished.
        results: Folder with the tables of the study.
        grid: The grid.
    """
    photos = graded_photos(read_manifest(external)).reset_index(drop=True)
    depends_on = {
        "models_digest": models_digest(results),
        "photos_digest": photos_digest(photos, ["sha256", "group", "grade"]),
    }
    folder = results / "external"
    if (folder / "settings.csv").exists() and depends_on.items() <= read_settings(folder).items():
        return
    rates = {cell: chosen_rate(out, grid, cell) for cell in grid.external_cells()}
    tables: dict[Pair, list[pd.DataFrame]] = {}
    earlier = []
    for cell, rate in rates.items():
        checkpoint = result_file(out, cell, rate)
        predictor = load_predictor(checkpoint, grid.train.device)
        check_preparation(external, predictor.info)
        readings = record_reading(external, READING_COLUMN, checkpoint, predictor.sha256)
        earlier.append(readings.by_run + readings.by_others)
        table = predict_photos(predictor, external, photos, workers=grid.train.data.workers)
        tables.setdefault(cell.pair, []).append(table.assign(fold="none"))
    answers = {pair: pool(each) for pair, each in tables.items()}
    named = [(cell.variant, cell.loss, cell.seed, rate) for cell, rate in rates.items()]
    write_table(folder / "rates.csv", pd.DataFrame(named, columns=["variant", "loss", "seed", "lr"]))
    write_table(folder / "measures.csv", measures(answers))
    write_table(folder / "differences.csv", differences(answers))
    sources = ", ".join(sorted(set(photos["source"])))
    values = {"sources": sources, **count_photos(photos), "readings_before": earlier[0], **depends_on}
    write_settings(folder, values)

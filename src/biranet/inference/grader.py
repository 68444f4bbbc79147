"""From photographs to grades, for every front end: the same preparation, batches and rules as in measuring."""

import dataclasses
import multiprocessing
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from biranet.config import Device, Engine, ModelConfig
from biranet.decisions.patients import NOBODY, PatientAnswer, Subject, answer_patient
from biranet.decisions.rules import decide
from biranet.errors import InputError, PhotoError
from biranet.inference.engines import load_engine
from biranet.inference.lesions import Lesions
from biranet.inference.loading import LoadedPhoto, PhotoTask, encode_photo, load_photo
from biranet.inference.prediction import Prediction
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.predictor import Predictor
from biranet.learning.shipped_models import find_checkpoint, model_name
from biranet.learning.transforms import Pixels
from biranet.photos.parallel import map_in_processes
from biranet.setting_names import setting


class NetworkAnswer(NamedTuple):
    """An answer of the network, before it is said of which photo.

    Attributes:
        answer: The answer.
        lesions: Maps of lesions, (5, h, w), where the network looks for them.
    """

    answer: Prediction
    lesions: NDArray[np.float32] | None


class Grader:
    """Grades photographs with a trained model.

    Args:
        predictor: The model with its description, on any engine.

    Example:
        >>> import biranet
        >>> grader = biranet.load()
        >>> predictions = list(grader.grade_many(["nowhere.jpg"], workers=0))
        >>> [(each.file, each.status, each.reason) for each in predictions]
        [('nowhere.jpg', 'unreadable', 'no such file')]
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __repr__(self) -> str:
        return f"Grader({self.info.network}, from {self.predictor.origin!r})"

    @property
    def model(self) -> Any:
        """The network as its engine has it: an `nn.Module` that returns `Output`, or an ONNX Runtime session."""
        return self.predictor.model

    @property
    def info(self) -> CheckpointInfo:
        """The description of the model: image size, normalization, preparation, rules."""
        return self.predictor.info

    def grade(self, photo: Path | str | Image.Image | Pixels, *, keep_ungradable: bool = False) -> Prediction:
        """Grade one photo.

        Args:
            photo: A file, a PIL picture, or RGB pixels (H, W, 3), uint8, as taken: not cut, not resized.
            keep_ungradable: Grade it even if it is too dark, too blurred or no fundus photo.

        Returns:
            Grade, probabilities, attention and evidence.

        Raises:
            InputError: If it is something else, or pixels are not what they should be.
            PhotoError: If the photo cannot be read, has no field or is ungradable.
        """
        [answer] = self._grade_all([(photo, NOBODY)], keep_ungradable=keep_ungradable)
        if answer.status != "ok":
            raise PhotoError(answer.status, answer.reason)
        return answer

    def grade_patient(
        self,
        left: Sequence[Path | str | Image.Image | Pixels] = (),
        right: Sequence[Path | str | Image.Image | Pixels] = (),
        *,
        unknown: Sequence[Path | str | Image.Image | Pixels] = (),
        patient: str = "",
        keep_ungradable: bool = False,
    ) -> PatientAnswer:
        """Grade one patient: all photos of both eyes, one answer for each eye and one for the patient.

        Args:
            left: Photos of the left eye, each as `grade` takes it.
            right: Photos of the right eye.
            unknown: Photos of which nobody knows the eye. The header of a DICOM file may tell; else they can make the
                decision graver, but answer for no eye.
            patient: What to call the patient.
            keep_ungradable: Grade ungradable photos like all others; they then answer like all others, too.

        Returns:
            The answer. A photo that cannot be used makes its eye ungradable, and raises nothing. A photo that the
            header of its file calls another eye than was said counts as one of an unknown eye.

        Raises:
            InputError: If photos are not what they should be, or there is none.
        """
        named = {"left": left, "right": right, "": unknown}
        for eye, photos in named.items():
            if isinstance(photos, (str, bytes, Path, Image.Image, np.ndarray)):
                raise InputError(f"{eye or 'unknown'} takes a list of photos, not one; put it into brackets")
        photos_and_subjects = [
            (photo, Subject(patient, "labels" if patient else "", eye, "labels" if eye else ""))
            for eye, photos in named.items()
            for photo in photos
        ]
        if not photos_and_subjects:
            raise InputError("grade_patient takes photos of the left eye, the right eye, or both, and got none")
        answers = self._grade_all(photos_and_subjects, keep_ungradable=keep_ungradable)
        return answer_patient(patient, [answer.for_patient() for answer in answers])

    def _grade_all(
        self, photos: Sequence[tuple[Path | str | Image.Image | Pixels, Subject]], *, keep_ungradable: bool
    ) -> list[Prediction]:
        """Grade a few photos, in this process."""
        names = [str(photo) if isinstance(photo, (str, Path)) else "" for photo, _ in photos]
        load_one = self._loader(keep_ungradable=keep_ungradable)
        loaded = [
            load_one(
                PhotoTask(
                    Path(photo) if isinstance(photo, (str, Path)) else encode_photo(photo), subject=subject, name=name
                )
            )
            for name, (photo, subject) in zip(names, photos, strict=True)
        ]
        return [answer for answer in self.answer(loaded) if answer is not None]

    def _loader(self, *, keep_ungradable: bool) -> "partial[LoadedPhoto]":
        preparation, image_size = self.info.preparation, self.info.image_size
        return partial(load_photo, preparation=preparation, image_size=image_size, keep_ungradable=keep_ungradable)

    def grade_many(
        self,
        files: Iterable[Path | str],
        *,
        batch_size: int = 16,
        workers: int = 2,
        keep_ungradable: bool = False,
        refused: Mapping[Path, str] | None = None,
        subjects: Mapping[Path, Subject] | None = None,
    ) -> Iterator[Prediction]:
        """Grade any number of photos in bounded memory.

        Args:
            files: Picture files; their names are listed before the first is read.
            batch_size: Photos at a time, from 1.
            workers: Processes that prepare photos, where there is more than one batch of them; with 0, this one does.
            keep_ungradable: Grade photos even if they are too dark, too blurred or no fundus photos.
            refused: For files that must not be read: why, in a sentence.
            subjects: For files whose patient or eye is known: what is known.

        Returns:
            One prediction per file, in order. A photo that cannot be used has a status and a reason.

        Raises:
            InputError: If `files` are not names of files, or a number is too low.
        """
        names = _names(files)
        for name, value, lowest in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if not isinstance(value, int) or value < lowest:
                raise InputError(f"{setting(name)} must be a whole number from {lowest}, not {value!r}")
        refusals, known_subjects = refused or {}, subjects or {}
        tasks = (
            PhotoTask(path, refusals.get(path, ""), known_subjects.get(path, NOBODY), name)
            for name, path in zip(names, map(Path, names), strict=True)
        )
        # One batch is prepared before processes have started.
        workers = workers if len(names) > batch_size else 0
        batches = self.grade_tasks(tasks, batch_size=batch_size, workers=workers, keep_ungradable=keep_ungradable)
        return (answer for batch in batches for _, answer in batch if answer is not None)

    def grade_tasks(
        self, tasks: Iterable[PhotoTask], *, batch_size: int, workers: int, keep_ungradable: bool
    ) -> Generator[list[tuple[LoadedPhoto, Prediction | None]], None, None]:
        """Grade photos batch by batch, in bounded memory.

        Which photos are computed together changes the last digits of their answers, so who wants the same ones again
        gives the same batches.

        Args:
            tasks: The photos.
            batch_size: Photos at a time, from 1.
            workers: Processes that prepare photos; with 0, this one does.
            keep_ungradable: As `grade_many`.

        Returns:
            Batches, in order: of each photo what was loaded, and the prediction; None where the content is known.
        """
        # The workers are the parallelism.
        cv2.setNumThreads(1)
        prepared = map_in_processes(
            self._loader(keep_ungradable=keep_ungradable),
            tasks,
            workers,
            in_order=True,
            context=multiprocessing.get_context(),
        )
        return self._predict_prepared(prepared, batch_size)

    def _predict_prepared(
        self, prepared: Generator[LoadedPhoto, None, None], batch_size: int
    ) -> Generator[list[tuple[LoadedPhoto, Prediction | None]], None, None]:
        with closing(prepared):
            while batch := list(islice(prepared, batch_size)):
                yield list(zip(batch, self.answer(batch), strict=True))

    def answer(self, loaded: Sequence[LoadedPhoto]) -> Iterator[Prediction | None]:
        """Answer for a batch of photos that `load_photo` has loaded.

        Args:
            loaded: The photos; one that cannot be used has its error.

        Yields:
            One prediction per photo, in order; None for one whose content is known.
        """
        usable = [photo.pixels for photo in loaded if photo.pixels is not None]
        graded = self._grade(usable) if usable else iter(())
        for photo in loaded:
            if photo.known:
                yield None
                continue
            if photo.error is None:
                answer = self._with_photo(next(graded), photo)
            else:
                answer = Prediction(photo.name, photo.error.status, str(photo.error), action=photo.action)
            yield dataclasses.replace(answer, margin=photo.margin, subject=photo.subject)

    def _with_photo(self, graded: NetworkAnswer, photo: LoadedPhoto) -> Prediction:
        """Say of which photo an answer is, and where in it lesions lie."""
        answer = dataclasses.replace(graded.answer, file=photo.name, photo=photo.pixels, original=photo.original)
        if graded.lesions is None or self.info.lesions is None or photo.original is None:
            return answer
        maps = LesionMaps(graded.lesions, photo.original.cut, self.info.image_size)
        thresholds, source = self.info.lesions.thresholds, photo.original.source
        return dataclasses.replace(answer, lesions=Lesions(photo.name, maps, thresholds, source, photo.sha256))

    def _grade(self, photos: Sequence[Pixels]) -> Iterator[NetworkAnswer]:
        rules = self.info.rules
        predicted = self.predictor.predict(np.stack(photos))
        answers = decide(predicted.probabilities, rules)
        has_sets = rules.set_threshold is not None
        for row, attention in enumerate(predicted.attention):
            evidence = None if predicted.evidence is None else predicted.evidence[row]
            ends = int(answers.lowest[row]), int(answers.highest[row])
            lesions, moved = (None if each is None else each[row] for each in predicted[3:])
            answer = Prediction(
                "",
                grade=int(answers.grades[row]),
                probabilities=answers.probabilities[row],
                decision=str(answers.decisions[row]),
                grade_range=ends if has_sets else None,
                temperature=rules.temperature,
                attention=attention,
                evidence=evidence,
                model=model_name(self.predictor.origin),
                lesion_evidence=moved,
            )
            yield NetworkAnswer(answer, lesions)


def load(
    checkpoint: Path | str | None = None,
    *,
    device: Device = "auto",
    engine: Engine = "auto",
    build: Callable[[ModelConfig], Any] | None = None,
) -> Grader:
    """Load a model, ready to grade photographs.

    Args:
        checkpoint: A file that training wrote, such as `RUN/best.safetensors`, or that `biranet export` wrote as ONNX;
            or the name of a model that ships, which `biranet models` lists, its default when not given.
        device: Where torch computes: `auto` (a GPU where there is one), `cpu`, `cuda` or `mps`.
        engine: What computes: `torch`; `onnx`, ONNX Runtime, or `openvino`, which need an exported model or one that
            ships; or `auto`, which takes ONNX Runtime for these where no GPU is asked for.
        build: Builds the network, an `nn.Module`, where `train` was given a function to build a model of your own;
            torch computes it.

    Returns:
        The grader. With torch its `model` is an `nn.Module` that returns `Output`; where the checkpoint has a flip at
        test time, a `FlipAverage`, whose own `model` is the network.

    Raises:
        InputError: If the checkpoint cannot be used, or not by that engine, or there is no such device.

    Example:
        >>> import biranet
        >>> grader = biranet.load("idrid_lite0")
        >>> prediction = grader.grade(biranet.draw_photo(grade=0, seed=7))
        >>> prediction.decision in ("refer", "do not refer", "ask a human")
        True
    """
    return Grader(load_engine(find_checkpoint(checkpoint), engine, device, build))


def _names(files: Iterable[Path | str]) -> list[str]:
    if isinstance(files, (str, bytes, Path)) or not isinstance(files, Iterable):
        raise InputError(f"grade_many takes a list of files, not {files!r}; grade takes one photo")
    listed = list(files)
    for file in listed:
        if not isinstance(file, (str, Path)):
            raise InputError(f"grade_many takes names of files, each a str or a Path, not {type(file).__name__}")
    return [str(file) for file in listed]

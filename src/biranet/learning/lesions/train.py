"""Training of the lesion branch, as one visible loop.

Same seed, same machine, same bits: the views of a round and the patches of a step depend on seed and number alone, so a
run that was stopped and resumed ends like one that was not. A run folder holds `state.safetensors`, to go on from, and,
once it is finished, `lesions.safetensors`.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from biranet.config import OptimizerConfig
from biranet.console import progress_bar
from biranet.errors import InputError
from biranet.files import printable
from biranet.learning.checkpoint_info import Normalization
from biranet.learning.lesions.checkpoint import LesionInfo, build_lesion_net, save_lesions
from biranet.learning.lesions.loss import lesion_loss
from biranet.learning.lesions.network import LesionNet
from biranet.learning.lesions.patches import MaskedSquare, TurnedSquare, draw_patches, draw_view, read_square
from biranet.learning.lesions.settings import CHECKPOINT_NAME, LesionConfig
from biranet.learning.normalization import backbone_normalization, normalize
from biranet.learning.run_folder import STATE_NAME, software_versions
from biranet.learning.saves import Saves
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.state import FORMAT as STATE_FORMAT
from biranet.learning.state import Progress, load_state, save_state
from biranet.learning.tensors import open_tensors
from biranet.learning.time_left import WORTH_TELLING_SECONDS, StepTimes, describe_duration
from biranet.learning.torch_predictor import choose_device
from biranet.outputs import claim_output, folder_kind
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import find_copies_of_test
from biranet.photos.prepare import Preparation
from biranet.setting_names import setting
from biranet.signals import stop_signals
from biranet.words import counted

_WEIGHT_DECAY = 1e-4


def _is_state(path: Path) -> bool:
    try:
        with open_tensors(path, "a training state") as stored:
            return bool(stored.header.get("format") == STATE_FORMAT)
    except InputError:
        return False


RUN = folder_kind("a run of lesions", {STATE_NAME: _is_state})


@dataclass(frozen=True)
class ChosenPhotos:
    """The photos that may teach.

    Attributes:
        photos: They.
        told: What was left out, a sentence each.
    """

    photos: list[MaskedPhoto]
    told: list[str]


def choose_photos(masked: Sequence[MaskedPhoto], copies: Mapping[str, str] | None = None) -> ChosenPhotos:
    """Leave out what measures: the published test part, photos of the same patient or visit, and copies of its photos.

    Args:
        masked: Photos with masks.
        copies: Photos of other parts that show the same as one of the test part, and which one, as
            `find_copies_of_test` finds them.

    Raises:
        InputError: If none is left.
    """
    copies = copies or {}
    test = [photo for photo in masked if photo.split == "test"]
    groups = {(photo.source, photo.group) for photo in test if photo.group}
    others = [photo for photo in masked if photo.split != "test"]
    of_other_visits = [photo for photo in others if (photo.source, photo.group) not in groups]
    photos = [photo for photo in of_other_visits if photo.file not in copies]
    sentences = []
    if test:
        sentences.append(f"{counted(len(test), 'photo')} of the published test part teach nothing.")
    if len(of_other_visits) < len(others):
        shared = counted(len(others) - len(of_other_visits), "photo")
        sentences.append(f"{shared} of the other parts share a patient or visit with them, and teach nothing either.")
    if copied := [photo.file for photo in of_other_visits if photo.file in copies]:
        sentences.append(
            f"{counted(len(copied), 'photo')} of the other parts show the same as one of them, and teach nothing "
            f"either: {printable(copied[0])} is {printable(copies[copied[0]])}{' …' if len(copied) > 1 else ''}."
        )
    if not photos:
        raise InputError("all photos with masks are of the published test part, or of a patient or photo of it")
    return ChosenPhotos(photos, sentences)


def train_lesions(
    folder: Path,
    run: Path,
    config: LesionConfig,
    *,
    photos: Sequence[MaskedPhoto] | None = None,
    resume: bool = False,
    log: Callable[[str], None] = print,
) -> Path:
    """Train the lesion branch on photos in which lesions are drawn.

    Args:
        folder: A folder with photos and masks as they were published.
        run: Folder for the run; it must not hold another one, unless `resume`.
        config: All settings.
        photos: Exactly these of its photos teach; where None, all with masks that measure nothing.
        resume: Go on from the state in `run`, which must have been made with the same settings and photos.
        log: Is told how it goes.

    Returns:
        The checkpoint.

    Raises:
        InputError: If something given is wrong, or the loss is no longer a finite number.
        InterruptedRunError: If SIGINT, SIGTERM or SIGHUP came; the state was saved.
    """
    if config.backbone_weights is not None:
        config = dataclasses.replace(config, backbone_weights=find_checkpoint(config.backbone_weights))
    photos = _find_photos(folder, log) if photos is None else photos
    with claim_output(run, RUN) as run_folder:
        if (run_folder / STATE_NAME).exists() != resume:
            raise InputError(
                f"{run} holds no saved state to go on from; train anew"
                if resume
                else f"{run} already holds a training; go on with it by {setting('resume', True)}, or choose another "
                "folder"
            )
        squares = [read_square(folder, photo, config.image_size) for photo in photos]
        log(f"Learning from {counted(len(squares), 'photo')} of {', '.join(sorted({each.source for each in photos}))}")
        torch.manual_seed(config.seed)
        network = build_lesion_net(config)
        info = _describe(photos, config)
        steps = _Steps(network.to(choose_device(config.device)).train(), squares, info, run_folder)
        if resume:
            steps.load()
        _train(steps, log)
        save_lesions(run_folder / CHECKPOINT_NAME, network.cpu().eval(), dataclasses.replace(info, steps=config.steps))
        return run / CHECKPOINT_NAME


def _find_photos(folder: Path, log: Callable[[str], None]) -> list[MaskedPhoto]:
    """Find the photos of a folder that may teach, and say what was left out."""
    masked = find_masked_photos(folder)
    chosen = choose_photos(masked.photos, find_copies_of_test(folder, masked.photos))
    for sentence in chosen.told:
        log(sentence)
    if masked.unmasked:
        log(f"{counted(len(masked.unmasked), 'photo')} without any mask left out, such as {masked.unmasked[0]}.")
    return chosen.photos


def _describe(photos: Sequence[MaskedPhoto], config: LesionConfig) -> LesionInfo:
    normalization = backbone_normalization(config.backbone)
    listed = "\n".join(f"{photo.source} {photo.file} {sorted(photo.masks.items())}" for photo in photos)
    weights = config.backbone_weights
    return LesionInfo(
        config=dataclasses.replace(config, backbone_weights=weights and Path(weights.name)),
        mean=normalization.mean,
        std=normalization.std,
        preparation=Preparation(size_px=config.image_size),
        trained_on=", ".join(sorted({photo.source for photo in photos})),
        photos=len(photos),
        photos_sha256=hashlib.sha256(listed.encode()).hexdigest(),
        software=software_versions(),
    )


class _Views:
    """The photos as the network is shown them.

    Args:
        network: Its frozen stages look at each view once.
        squares: All photos that are learned from.
        info: The settings, and the normalization.
    """

    def __init__(self, network: LesionNet, squares: Sequence[MaskedSquare], info: LesionInfo) -> None:
        self._network, self._squares, self._info = network, squares, info
        self._round, self._shown = -1, list[TurnedSquare]()

    def of_step(self, step: int) -> list[TurnedSquare]:
        """The views that a step learns from, which depend on the seed and the number of the round alone."""
        config = self._info.config
        number = step // config.round_steps
        if number != self._round:
            random = np.random.default_rng([config.seed, _CHOICES, number])
            chosen = random.permutation(len(self._squares))[: config.round_photos].tolist()
            seeds = ([config.seed, _VIEWS, number, index] for index in range(len(chosen)))
            self._shown = [
                self._show(self._squares[each], np.random.default_rng(seed))
                for each, seed in zip(chosen, seeds, strict=True)
            ]
            self._round = number
        return self._shown

    def _show(self, square: MaskedSquare, random: np.random.Generator) -> TurnedSquare:
        pixels, covered = draw_view(square, self._info.config, random)
        device = next(self._network.parameters()).device
        normalization = Normalization(self._info.mean, self._info.std)
        image = normalize(torch.from_numpy(pixels)[None].to(device), normalization)
        maps = [each[0].half().cpu() for each in self._network.stages.frozen_maps(image)]
        return TurnedSquare(image[0].half().cpu(), maps, covered, square.known)


_CHOICES, _VIEWS, _STEPS = range(3)
"""What the seeds are for."""


class _Steps:
    """The steps of a training, and its state.

    Args:
        network: The network, on the device that computes.
        squares: All photos that are learned from.
        info: The settings.
        run: The run folder.
    """

    def __init__(self, network: LesionNet, squares: Sequence[MaskedSquare], info: LesionInfo, run: Path) -> None:
        self.config, self.network, self._path = info.config, network, run / STATE_NAME
        settings = OptimizerConfig(optimizer="adamw", lr=self.config.lr, weight_decay=_WEIGHT_DECAY, schedule="cosine")
        self._optimizer = make_optimizer(network, settings)
        self._schedule = Schedule(self._optimizer, settings, self.config.steps)
        self._fingerprint = {**self.config.result_settings(), "photos_sha256": info.photos_sha256}
        self._views = _Views(network, squares, info)
        self.progress = Progress()

    def load(self) -> None:
        """Go on from the last save."""
        self.progress, _ = load_state(self._path, self.network, self._optimizer, self._fingerprint)

    def save(self) -> None:
        """Save all that it needs to go on."""
        schedule = self._schedule.state_dict()
        save_state(self._path, self.network, self._optimizer, schedule, self.progress, self._fingerprint)

    def show(self) -> None:
        """Show the network the views of the next step, where it has not seen them yet."""
        self._views.of_step(self.progress.batch)

    def take(self) -> float:
        """Take a step, and return its loss.

        Raises:
            InputError: If the loss is not a finite number.
        """
        config, step = self.config, self.progress.batch
        device = next(self.network.parameters()).device
        random = np.random.default_rng([config.seed, _STEPS, step])
        self._schedule.before_step(step)
        patches = draw_patches(self._views.of_step(step), self.network.stages.strides, config, random)
        logits = self.network(patches.image.to(device), [each.to(device) for each in patches.frozen_maps])
        try:
            loss = lesion_loss(logits, patches.coverage.to(device))
        except FloatingPointError as error:
            raise InputError(f"step {step + 1}: {error}, so training stopped; lower {setting('lr')}") from error
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.progress.batch += 1
        return loss.item()


def _train(steps: _Steps, log: Callable[[str], None]) -> None:
    """Take all steps that are left, saving now and then."""
    config, progress, times = steps.config, steps.progress, StepTimes()
    steps.save()
    saves = Saves(steps.save, config.save_minutes)
    bar = progress_bar(total=config.steps, initial=progress.batch, desc="steps", leave=False)
    with stop_signals() as signals, bar:
        while progress.batch < config.steps:
            steps.show()
            started = time.monotonic()
            loss = steps.take()
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}")
            if (seconds := times.add(time.monotonic() - started)) is not None:
                _tell_time_left(seconds, config.steps - progress.batch, log)
            saves.after_step(bool(signals), f"after step {progress.batch} of {config.steps}", setting("resume", True))
    steps.save()


def _tell_time_left(step_seconds: float, steps_left: int, log: Callable[[str], None]) -> None:
    if (left := step_seconds * steps_left) >= WORTH_TELLING_SECONDS:
        log(f"A step takes {step_seconds:.3g} s, so the {steps_left:,} that are left take {describe_duration(left)}.")

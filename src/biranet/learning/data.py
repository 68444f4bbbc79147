"""From the manifest to batches: which photos are sampled, in which order, and how they are augmented."""

from collections.abc import Callable, Iterator
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from biranet.config import DataConfig
from biranet.errors import BiranetError, InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.stored_photos import read_stored, refuse_larger, stored_photos
from biranet.learning.transforms import AUGMENTATIONS, Pixels
from biranet.learning.workers import Loader, pack
from biranet.manifest import read_manifest, select_part
from biranet.photos.prepare import read_preparation
from biranet.setting_names import setting
from biranet.words import counted

NO_GRADE = -1
"""Grade of a photo that was not graded."""


class SampleKey(NamedTuple):
    """One photo in a batch.

    Attributes:
        row: Position of the photo in its table.
        seed: Seeds the augmentation: seed of the run, epoch, and position in the epoch. So a photo that is sampled
            twice in an epoch is augmented in two ways. None: no augmentation.
    """

    row: int
    seed: tuple[int, int, int] | None = None


class Batch(NamedTuple):
    """Photos with their grades.

    Attributes:
        pixels: RGB, (B, H, W, 3), uint8.
        grades: (B,), int64; `NO_GRADE` where not known.
        rows: Positions of the photos in their table, (B,), int64.
    """

    pixels: Tensor
    grades: Tensor
    rows: Tensor

    def __repr__(self) -> str:
        return f"Batch({counted(len(self.grades), 'photo')}, {self.pixels.shape[1]} px)"

    def __reduce__(self) -> tuple[Callable[..., "Batch"], tuple[Any, ...]]:
        """Pass between processes, whatever the room in shared memory."""
        return _unpacked, pack(tuple(self))


def _unpacked(unpack: Callable[[Any], tuple[Tensor, ...]], packed: tuple[Any]) -> Batch:
    return Batch(*unpack(*packed))


class PreparedPhotos(Dataset[tuple[Tensor, int]]):
    """The photographs of a prepared folder, as a data set of torch: images with their grades.

    Args:
        prepared: The prepared folder, as `biranet prepare` makes it.
        photos: Which of them: a part of the split (`train`, `validation`, `calibration`, `test`), `all` that have a
            grade, or rows of the manifest with status `ok`.
        image_size: Side of the images in pixels; that of the stored ones when not given.
        augmentation: Name of the random changes that a training makes; what an index gives is never changed.
        split_column: The manifest's column with the split; `fold_0` and so on where there are folds.

    Raises:
        InputError: If the folder cannot be read, or has no such part.

    Example:
        >>> import biranet
        >>> biranet.PreparedPhotos("nowhere")
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: nowhere holds no manifest.csv; make it from your photographs with: biranet prepare \
PHOTOS nowhere
    """

    def __init__(
        self,
        prepared: Path | str,
        photos: pd.DataFrame | str = "train",
        image_size: int | None = None,
        augmentation: str = "none",
        *,
        split_column: str = "split",
    ) -> None:
        prepared = Path(prepared)
        table = (
            select_part(read_manifest(prepared), photos, split_column, prepared) if isinstance(photos, str) else photos
        )
        # Arrays, not a table: worker processes read them without copying.
        self.files, self.paths, self.digests = stored_photos(prepared, table)
        self.grades = table["grade"].fillna(NO_GRADE).to_numpy(dtype=np.int64)
        self.image_size = read_preparation(prepared).size_px if image_size is None else image_size
        self.augment: Callable[[Pixels, np.random.Generator], Pixels] | None = AUGMENTATIONS[augmentation]

    def __repr__(self) -> str:
        return f"PreparedPhotos({counted(len(self), 'photo')}, {self.image_size} px)"

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.paths)

    def photo(self, row: int) -> Pixels:
        """Read one prepared photo, (image_size, image_size, 3), uint8, without augmentation.

        Raises:
            InputError: If it is missing, or is not what was stored when it was prepared.
        """
        return read_stored((self.files[row], self.paths[row], self.digests[row]), self.image_size)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Return an image, RGB, (3, image_size, image_size), uint8, and its grade, -1 where it has none.

        Raises:
            InputError: If the image is missing, or is not what was stored when it was prepared.
        """
        row = range(len(self))[index(row)]
        return torch.from_numpy(np.ascontiguousarray(self.photo(row).transpose(2, 0, 1))), int(self.grades[row])


def check_image_size(prepared: Path, image_size: int) -> None:
    """Refuse images that are larger than the photos of a prepared folder are stored.

    Raises:
        InputError: If they are, or the folder is none.
    """
    read_manifest(prepared)
    refuse_larger(image_size, read_preparation(prepared).size_px)


def load_sample(photos: PreparedPhotos, key: SampleKey) -> tuple[Tensor, int, int]:
    """Return pixels (H, W, 3), uint8, grade and row of a sample of a training, augmented where its key has a seed."""
    photo = photos.photo(key.row)
    if photos.augment is not None and key.seed is not None:
        photo = photos.augment(photo, np.random.default_rng(key.seed))
    return torch.from_numpy(np.ascontiguousarray(photo)), int(photos.grades[key.row]), key.row


def collate(samples: list[tuple[Tensor, int, int]]) -> Batch:
    """Put samples into one batch."""
    photos, grades, rows = zip(*samples, strict=True)
    return Batch(torch.stack(photos), torch.tensor(grades), torch.tensor(rows))


def sampling_chances(grades: NDArray[np.int64], config: DataConfig) -> NDArray[np.float64]:
    """Compute the chance of each training photo to be the next one drawn.

    Args:
        grades: Grades of the training photos, (n,).
        config: Balance and weights of the grades.

    Returns:
        (n,), summing to 1.

    Raises:
        InputError: If the weights give no photo a chance.

    Example:
        >>> sampling_chances(np.array([0, 0, 0, 4]), DataConfig()).round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
    """
    if not config.balance:
        return np.full(len(grades), 1 / len(grades))
    counts = np.bincount(grades, minlength=GRADE_COUNT)
    weights = 1 / np.maximum(counts, 1) if config.class_weights is None else np.array(config.class_weights)
    chances = weights[grades]
    if chances.sum() == 0:
        raise InputError(f"{setting('class_weights')} gives no grade among the training photos a chance to be drawn")
    return np.asarray(chances / chances.sum(), np.float64)


def sample_epoch(grades: NDArray[np.int64], config: DataConfig, seed: int, epoch: int) -> NDArray[np.int64]:
    """Sample the photos of one epoch, in order.

    Balanced: with replacement, each photo with a probability proportional to the weight of its grade, which is
    1 / (number of photos of that grade), or what `config.class_weights` says. Not balanced: every photo once, in
    random order, then again from the start where more are asked for.

    Args:
        grades: Grades of the training photos, (n,).
        config: Balance, weights and number of draws.
        seed: Seed of the run.
        epoch: Epoch, from 0; each is sampled by itself.

    Returns:
        Rows, (draws,).

    Raises:
        InputError: If the weights give no photo a chance.

    Example:
        >>> rows = sample_epoch(np.array([0, 0, 0, 0, 4]), DataConfig(draws_per_epoch=1000), seed=1, epoch=0)
        >>> bool(400 < (rows == 4).sum() < 600)
        True
    """
    random = np.random.default_rng([seed, epoch])
    count = config.draws_per_epoch or len(grades)
    if not config.balance:
        rounds = [random.permutation(len(grades)) for _ in range(-(-count // len(grades)))]
        return np.concatenate(rounds)[:count]
    return random.choice(len(grades), size=count, p=sampling_chances(grades, config))


class BalancedBatchSampler(Sampler[list[SampleKey]]):
    """The batches of an epoch, from any batch on.

    Which photos, in which order and with which augmentation depends on seed, epoch and position alone, so a resumed
    epoch goes on exactly where it stopped. Several processes share each batch.

    Args:
        grades: Grades of the training photos, (n,).
        config: Batch size and drawing.
        seed: Seed of the run.
        process: This process's number, from 0, of `processes`.
        processes: Number of processes that train together.

    Attributes:
        epoch: The epoch to give, from 0.
        first: The batch to start from, from 0.
    """

    def __init__(
        self, grades: NDArray[np.int64], config: DataConfig, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self.grades, self.config, self.seed = grades, config, seed
        self.process, self.processes = process, processes
        self.epoch = 0
        self.first = 0

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return -(-(self.config.draws_per_epoch or len(self.grades)) // self.config.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the samples of each batch from `first` on."""
        rows = sample_epoch(self.grades, self.config, self.seed, self.epoch)
        samples = [SampleKey(int(row), (self.seed, self.epoch, position)) for position, row in enumerate(rows)]
        size = self.config.batch_size
        for start in range(self.first * size, len(samples), size):
            batch = samples[start : start + size]
            # A last batch smaller than the number of processes still gives each of them a photo.
            yield batch[self.process :: self.processes] or batch[:1]


class SequentialBatchSampler(Sampler[list[SampleKey]]):
    """Every photo once, in order, without augmentation.

    Args:
        count: Number of photos.
        batch_size: Photos per batch.
    """

    def __init__(self, count: int, batch_size: int) -> None:
        self.count, self.batch_size = count, batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the samples of each batch."""
        for start in range(0, self.count, self.batch_size):
            yield [SampleKey(row) for row in range(start, min(start + self.batch_size, self.count))]


def load_batches(photos: PreparedPhotos, batches: Sampler[list[SampleKey]], workers: int) -> "BatchLoader":
    """Load batches in worker processes.

    Args:
        photos: The photos.
        batches: Which of them, in which batches.
        workers: Number of processes; 0 loads in this one.
    """
    return BatchLoader(
        _WholeBatches(photos),
        workers,
        batch_size=None,
        sampler=batches,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class _WholeBatches(Dataset[Batch | BiranetError]):
    """Batches of photos, for a worker process: an error comes out as a value.

    An error that is raised there is raised again here by torch, with two tracebacks in its sentence.
    """

    def __init__(self, photos: PreparedPhotos) -> None:
        self.photos = photos

    def __getitem__(self, samples: list[SampleKey]) -> Batch | BiranetError:
        try:
            return collate([load_sample(self.photos, key) for key in samples])
        except BiranetError as error:
            return error


class BatchLoader(Loader[Any]):
    """The batches of `load_batches`, in order."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Give the batches, and raise the error of the first one that cannot be loaded."""
        for batch in super().__iter__():
            if isinstance(batch, BiranetError):
                raise batch
            yield batch

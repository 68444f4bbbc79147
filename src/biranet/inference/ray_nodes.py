"""What the nodes of a Ray cluster do to grade photos: prepare them, ask the model, and write parts.

Ray Data streams the photos through, gives what a lost worker had to another one, and keeps a checkpoint of what was
written. What Ray calls a block is a piece of work here: a worker takes it at a time, and it becomes one part.
"""

import functools
import pickle
import platform
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from biranet.cluster import RETRIES, Cluster, import_ray, plain_error
from biranet.config import Device, Engine
from biranet.errors import BiranetError, InputError, PhotoError
from biranet.inference.addresses import UnreachableError, check_reachable
from biranet.inference.engines import load_engine
from biranet.inference.grader import Grader
from biranet.inference.loading import LoadedPhoto, PhotoTask, load_photo
from biranet.inference.ray_parts import ID, ListedPhoto, as_part
from biranet.inference.rows import GradeRows
from biranet.learning.shipped_models import find_checkpoint
from biranet.photos.node import check_sees
from biranet.photos.parallel import set_up_worker
from biranet.photos.prepare import Preparation
from biranet.table_parts import CHECKPOINT_NAME

ray = import_ray()
_Datasource: Any = ray.data.Datasource
_Datasink: Any = ray.data.datasource.BlockBasedFileDatasink

_WRITERS = 2
"""Processes that write parts at a time: that is little work."""

_PIECES, _LARGEST_PIECE = 1000, 10_000


@dataclass(frozen=True)
class NodeModel:
    """The model, as all nodes must have it, and how to grade with it.

    Attributes:
        checkpoint: Its name where it ships, else the whole path of its file.
        sha256: Of its file.
        engine: What computes.
        device: Where to compute.
        preparation: How its photos are prepared.
        image_size: Side of what the network sees.
        keep_ungradable: Whether ungradable photos are graded, too.
        batch_size: Photos at a time.
        rows: Makes rows of answers.
        release: The release of biranet.
    """

    checkpoint: str
    sha256: str
    engine: Engine
    device: Device
    preparation: Preparation
    image_size: int
    keep_ungradable: bool
    batch_size: int
    rows: GradeRows
    release: str = version("biranet")

    def load(self) -> Grader:
        """Load the model on this node.

        Raises:
            InputError: If the node would grade otherwise than the others.
        """
        if version("biranet") != self.release:
            raise InputError(
                f"the node {platform.node()} has biranet {version('biranet')}, not {self.release}; install the same "
                "release on all nodes"
            )
        predictor = load_engine(find_checkpoint(self.checkpoint), self.engine, self.device)
        if predictor.sha256 != self.sha256:
            raise InputError(
                f"the model {self.checkpoint} is another file on the node {platform.node()}; have the same one on all"
            )
        return Grader(predictor)


def write_parts(photos: Sequence[ListedPhoto], folder: Path, model: NodeModel, cluster: Cluster) -> None:
    """Grade photos on a cluster and write parts; photos that Ray's checkpoint names are passed by.

    Args:
        photos: All photos.
        folder: The folder for the parts, which all nodes share.
        model: The model.
        cluster: What computes.

    Raises:
        InputError: If a node lacks the model, a photo or the folder, or workers die again and again.
    """
    cluster.connect()
    path = str(folder.absolute())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray uses what it is going to take away, and so do we for settings of actors
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.raise_original_map_exception = True
        context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
            ID, f"{path}/{CHECKPOINT_NAME}", delete_checkpoint_on_success=False
        )
        sink = _Parts(path, file_format="parquet")
        sink.metadata = {"model": model.checkpoint, "sha256": model.sha256, "biranet": model.release}
        try:
            data = _graded(photos, model, cluster)
            data.write_datasink(sink, ray_remote_args={"num_cpus": 0}, concurrency=_WRITERS)
        except Exception as error:
            raise plain_error(error) from None
        finally:
            context.checkpoint_config = None


def _graded(photos: Sequence[ListedPhoto], model: NodeModel, cluster: Cluster) -> Any:
    """Say how photos become rows; nothing is done yet."""
    source = _Photos(photos, _piece_size(len(photos), model.batch_size))
    data = ray.data.read_datasource(source, override_num_blocks=len(source.pieces), num_cpus=0, concurrency=1)
    settings: dict[str, Any] = {"batch_size": model.batch_size, "batch_format": "pyarrow"}
    on_gpus = model.device == "cuda"
    if on_gpus:  # many processors prepare for each of them; without GPUs, one process does both, and passes on nothing
        data = data.map_batches(_prepare, fn_kwargs={"model": model}, **settings)
    return data.map_batches(
        _Grading,
        fn_constructor_kwargs={"model": model},
        compute=ray.data.ActorPoolStrategy(min_size=cluster.gpus if on_gpus else cluster.cpus),
        num_cpus=0 if on_gpus else 1,
        num_gpus=1 if on_gpus else 0,
        max_restarts=-1,  # an actor that dies is started again; what it had is given out a few times, not for ever
        max_task_retries=RETRIES,
        **settings,
    )


def _piece_size(photos: int, batch_size: int) -> int:
    """How many photos a worker takes at a time: a thousandth of them, in whole batches.

    So batches are the same as without a cluster, and with them the last digits of the answers.
    """
    batches = -(-photos // (_PIECES * batch_size))
    return min(batches, max(_LARGEST_PIECE // batch_size, 1)) * batch_size


class _Photos(_Datasource):  # type: ignore[misc]
    """The photos as Ray reads them: pieces of the list."""

    def __init__(self, photos: Sequence[ListedPhoto], piece_size: int) -> None:
        super().__init__()
        self.pieces = [photos[start : start + piece_size] for start in range(0, len(photos), piece_size)]

    def estimate_inmemory_data_size(self) -> None:
        """It is small."""

    def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
        """Tell Ray how to make blocks of them."""
        unknown = {"size_bytes": None, "input_files": None, "exec_stats": None}
        return [
            ray.data.datasource.ReadTask(
                functools.partial(_as_blocks, piece), ray.data.block.BlockMetadata(num_rows=len(piece), **unknown)
            )
            for piece in self.pieces
        ]


def _as_blocks(piece: Sequence[ListedPhoto]) -> list[Any]:
    return [_as_block([photo.id for photo in piece], piece)]


def _as_block(ids: Iterable[str], values: Iterable[object]) -> Any:
    """Values of Python as Ray passes them on."""
    return pa.table({ID: pa.array(ids, pa.string()), "value": pa.array(map(pickle.dumps, values), pa.large_binary())})


def _values(block: Any) -> list[Any]:
    return [pickle.loads(each) for each in block["value"].to_pylist()]


def _prepare(block: Any, model: NodeModel) -> Any:
    """Prepare photos; each becomes what was loaded, and what else a list says of it."""
    set_up_worker()
    photos = _values(block)
    loaded = [_load(photo.task, model) for photo in photos]
    if all(isinstance(each.error, UnreachableError) for each in loaded):
        # As without a cluster: no row would say more than that the network is down.
        check_reachable(
            (photo.task.source for photo in photos), "what was graded is kept, so run the same command again"
        )
    further = [photo.further for photo in photos]
    return _as_block(block[ID].to_pylist(), zip(loaded, further, strict=True))


def _load(task: PhotoTask, model: NodeModel) -> LoadedPhoto:
    if isinstance(task.source, Path) and task.state and task.state["source_bytes"] and not task.refused:
        check_sees(task.source)
    try:
        return load_photo(
            task,
            preparation=model.preparation,
            image_size=model.image_size,
            keep_ungradable=model.keep_ungradable,
        )
    except BiranetError:  # such as that a package is missing here, of which no photo can be blamed
        raise
    except Exception as error:  # one photo in ten million must not keep the others from being graded
        reason = f"this is a fault of biranet ({type(error).__name__}: {error}); please send it"
        return LoadedPhoto(task.name, error=PhotoError("unreadable", reason), action=reason, subject=task.subject)


class _Grading:
    """An actor that holds the model, and grades."""

    def __init__(self, model: NodeModel) -> None:
        self.model = model
        self.grader: Grader | None = None

    def __call__(self, block: Any) -> Any:
        """Grade photos that were prepared, or prepare them before."""
        model = self.model
        loaded = _values(block if model.device == "cuda" else _prepare(block, model))
        if self.grader is None:  # here, since what it raises where an actor is made is lost
            self.grader = model.load()
        answers = self.grader.answer([each for each, _ in loaded])
        photos = [
            (number, answer, photo.header, further)
            for number, answer, (photo, further) in zip(block[ID].to_pylist(), answers, loaded, strict=True)
            if answer is not None
        ]
        return as_part(photos, model.rows)


class _Parts(_Datasink):  # type: ignore[misc]
    """Where parts are written to."""

    metadata: dict[str, str]

    def write_block_to_file(self, block: Any, file: Any) -> None:
        """Write one part, with what it was made by."""
        parquet.write_table(block.to_arrow().replace_schema_metadata(self.metadata), file)

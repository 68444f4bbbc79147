"""What a node of a cluster does for one photo, once it is certain that it sees the same files as the others."""

import dataclasses
import platform
from pathlib import Path

from biranet.errors import InputError
from biranet.photos import PREPARATION_NAME
from biranet.photos.journal import Outcome
from biranet.photos.parallel import set_up_worker
from biranet.photos.store import StoreTask, store_photo


def check_sees(path: Path) -> None:
    """Refuse a node that does not see what the others see: it would find no photo, or store where nobody looks.

    Args:
        path: What the process that asked saw.

    Raises:
        InputError: If it is not there; the sentence names the node.
    """
    if not path.exists():
        raise InputError(
            f"the node {platform.node()} does not see {path}; have all nodes share its folder, under the same path, "
            "and run the same command again: it goes on where it was"
        )


def with_whole_paths(task: StoreTask) -> StoreTask:
    """Name the files of a task so that each node finds them, whatever folder it works in."""
    return dataclasses.replace(task, source=task.source.absolute(), out=task.out.absolute())


def store_on_node(task: StoreTask) -> tuple[str, Outcome]:
    """Prepare a photo file and store its image, as `store_photo` does.

    Raises:
        InputError: If this node does not see the files, or the image cannot be written.
    """
    set_up_worker()
    check_sees(task.out / PREPARATION_NAME)
    if task.file_state["source_bytes"] and not task.refused:
        # Of a photo in an archive, this is the archive.
        check_sees(task.source if not task.source.parent.is_file() else task.source.parent)
    return store_photo(task)

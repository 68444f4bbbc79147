"""What a checkpoint says of itself, read and written without its network: no torch here."""

from pathlib import Path

from biranet.learning.checkpoint_info import CheckpointInfo, check_version, info_header, parse_info
from biranet.learning.tensors import StoredTensors, open_checkpoint


def read_info(path: Path) -> CheckpointInfo:
    """Read what a checkpoint says about itself, and none of its weights.

    Args:
        path: A file that training wrote.

    Returns:
        Its description.

    Raises:
        InputError: As `load_checkpoint`, but for what only the weights show.
    """
    with open_checkpoint(path) as stored:
        return info_of(path, stored)


def read_info_and_sha256(path: Path) -> tuple[CheckpointInfo, str]:
    """Read what `read_info` reads, and the SHA-256 of the bytes of the file that it was read from."""
    with open_checkpoint(path) as stored:
        return info_of(path, stored), stored.sha256


def info_of(path: Path, stored: StoredTensors) -> CheckpointInfo:
    """Parse the header of a checkpoint that is open, as `read_info` does.

    Args:
        path: The file, for the error.
        stored: What was opened.

    Raises:
        InputError: As `read_info`.
    """
    check_version(path, stored.header)
    stored.check_guarded()
    return parse_info(path, stored.header)


def write_info(stored: StoredTensors, out: Path, info: CheckpointInfo) -> None:
    """Write a checkpoint with the weights of another one as they are, whole or not at all.

    Args:
        stored: The other one, open.
        out: A `.safetensors` file; perhaps the same.
        info: Its description.

    Raises:
        InputError: If the weights are not as they were written.
    """
    stored.write_with(out, info_header(info))

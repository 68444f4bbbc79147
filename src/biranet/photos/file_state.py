"""A photo's file as it was last seen: where any of it differs, the hash of the file decides whether it is another."""

from pathlib import Path

FILE_STATE_COLUMNS = ("source_bytes", "source_mtime_ns", "source_ctime_ns", "source_inode")
"""Its length, when it was last written and last changed in any way, and its number.

Two files that change places take their length and time along, but not the number.
"""


def file_state(path: Path) -> dict[str, str]:
    """Look at a file.

    Args:
        path: The file, or a photo inside an archive.

    Returns:
        Cells by `FILE_STATE_COLUMNS`; empty ones where it is not there.

    Example:
        >>> file_state(Path("nowhere.jpg"))["source_bytes"]
        ''
    """
    try:
        state = path.stat()
    except NotADirectoryError:
        return file_state(path.parent)  # a photo inside an archive
    except (OSError, ValueError):
        return dict.fromkeys(FILE_STATE_COLUMNS, "")
    values = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    return dict(zip(FILE_STATE_COLUMNS, map(str, values), strict=True))

"""The folder that photos are prepared into: whether it may be there, whether it is ours, and what goes from it."""

import os
from collections.abc import Set
from pathlib import Path

from biranet.config import CONFIG_NAME
from biranet.errors import InputError
from biranet.files import delete_partials, printable, unreadable
from biranet.images import IMAGES_NAME, is_image_path
from biranet.manifest import MANIFEST_NAME
from biranet.outputs import holds_keys, visible
from biranet.photos import CONTACT_SHEET_NAME, PREPARATION_NAME
from biranet.photos.journal import INDEX_NAME, JOURNAL_NAME
from biranet.photos.prepare import Preparation, read_preparation

_OWN_NAMES = (MANIFEST_NAME, CONTACT_SHEET_NAME, JOURNAL_NAME, INDEX_NAME, IMAGES_NAME)


def check_output_folder(photos: Path, out: Path) -> None:
    """Refuse a place that no prepared folder may have.

    Args:
        photos: Folder of photos.
        out: Folder for the prepared photos.

    Raises:
        InputError: If `out` is a file, is the folder of photos, lies around it, or in a prepared folder or a run.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder for the prepared photos")
    if out.resolve() == photos.resolve():
        raise InputError(f"{out} holds the photographs; name another folder for the prepared photos")
    if photos.resolve().is_relative_to(out.resolve()):
        # The scan passes prepared folders by, so these photos would never be found again.
        raise InputError(f"{photos} lies in {out}; name a folder for the prepared photos that is not around them")
    for folder in out.resolve().parents:
        prepared = os.path.lexists(folder / PREPARATION_NAME)
        if prepared or holds_keys(folder / CONFIG_NAME, "train"):
            what = "a prepared folder" if prepared else "the folder of a run"
            raise InputError(
                f"{out} lies in {folder}, which is {what}; name a folder for the prepared photos outside of it"
            )


def check_ownership(out: Path) -> None:
    """Refuse a folder that is not ours and holds anything, before anything is written.

    Ours is a folder with our mark, `preparation.json`: in it, what is not in our way stays. In any other, photos would
    be lost from sight, because the scan passes prepared folders by.

    Raises:
        InputError: If the folder is not ours and holds something that is not hidden or has one of our names, the mark
            holds something else, or there is no regular file where one of our files should be.
    """
    # Looked at before the mark, which another run that begins meanwhile writes before all of them.
    standing = [out / name for name in _OWN_NAMES if os.path.lexists(out / name)]
    try:
        present = {*standing, *(visible(out) if out.is_dir() else ())}
    except OSError as error:
        raise unreadable(out, error, "name another folder") from error
    if os.path.lexists(out / PREPARATION_NAME):
        read_preparation(out)
    # A run that was killed at its very start leaves an empty journal.
    elif foreign := sorted(path.name for path in present if path.name not in _OWN_NAMES or not _is_empty(path)):
        raise InputError(
            f"{out} holds {printable(foreign[0])} and no {PREPARATION_NAME}, so it is not ours; "
            "name a folder for the prepared photos that is new or empty"
        )
    for path in standing:
        if not (os.path.isdir if path.name == IMAGES_NAME else os.path.isfile)(path):
            kind = "folder" if path.name == IMAGES_NAME else "regular file"
            raise InputError(f"{path} is no {kind}; take it away, or name another folder for the prepared photos")


def _is_empty(path: Path) -> bool:
    """Whether a file or folder holds nothing that could be lost."""
    try:
        return not any(path.iterdir()) if path.is_dir() else path.is_file() and not path.stat().st_size
    except OSError:
        return False


def check_preparation(out: Path, preparation: Preparation) -> None:
    """Refuse to prepare into a folder that was prepared otherwise.

    Raises:
        InputError: If it was.
    """
    if not (out / PREPARATION_NAME).exists():
        return
    earlier = read_preparation(out)
    if difference := earlier.describe_difference(preparation):
        size = f", or give --size {earlier.size_px}" if earlier.already_cropped == preparation.already_cropped else ""
        raise InputError(f"{out} holds {difference}; name another folder{size}")


def delete_orphans(out: Path, named: Set[str], *, resumed: bool) -> int:
    """Delete the images that no row of the manifest names, and what a killed run left half-written; nothing else.

    Args:
        out: The prepared folder.
        named: The images that stay, as the manifest names them.
        resumed: Whether an earlier run did not come to its end.

    Returns:
        The number of images deleted.

    Raises:
        InputError: If one cannot be deleted.
    """
    deleted = 0
    for folder in (out / IMAGES_NAME).glob("[0-9a-f][0-9a-f]"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        if resumed:
            delete_partials(folder)
        for file in list(folder.iterdir()):
            name = f"{IMAGES_NAME}/{folder.name}/{file.name}"
            if is_image_path(name, file.stem) and name not in named:
                try:
                    file.unlink()
                except OSError as error:
                    raise InputError(
                        f"cannot delete {file}, which no photo needs any more: {error.strerror or error}; "
                        "delete it, or run the command again where it can be deleted"
                    ) from error
                deleted += 1
    return deleted

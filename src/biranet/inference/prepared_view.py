"""A prepared folder with a manifest of its own, whose images are those of another one."""

import shutil
from pathlib import Path

import pandas as pd

from biranet.files import write_bytes
from biranet.images import IMAGES_NAME
from biranet.manifest import write_manifest
from biranet.photos import PREPARATION_NAME


def link_prepared(prepared: Path, folder: Path, manifest: pd.DataFrame) -> None:
    """Make a prepared folder with a manifest of its own and links to the images of another.

    Where the system makes no links, the images are copied.

    Args:
        prepared: The other one, which stays as it is.
        folder: The folder; where it was made before, its links lead to where the images are now.
        manifest: Its manifest: rows of the other one, perhaps with another split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, link = prepared.resolve() / IMAGES_NAME, folder / IMAGES_NAME
    if not (link.is_symlink() and link.readlink() == images):
        try:
            if link.is_symlink():
                link.unlink()  # the images have moved
            link.symlink_to(images)
        except OSError:
            shutil.copytree(images, link, dirs_exist_ok=True)
    write_bytes(folder / PREPARATION_NAME, (prepared / PREPARATION_NAME).read_bytes())
    write_manifest(folder, manifest)

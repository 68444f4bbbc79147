"""Find the photos of a folder in which lesions are drawn, in any of the layouts that people publish."""

from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.ddr import DDR_MASKS
from biranet.photos.datasets.fgadr import FGADR_MASKS
from biranet.photos.datasets.idrid import IDRID_MASKS
from biranet.photos.datasets.mask_table import MASK_TABLE
from biranet.photos.datasets.masks import MaskedPhotos
from biranet.photos.datasets.photo_folder import PhotoFolder

LAYOUTS = (IDRID_MASKS, DDR_MASKS, FGADR_MASKS, MASK_TABLE)


def find_masked_photos(photos: Path) -> MaskedPhotos:
    """Find the photos of a folder in which lesions are drawn.

    Args:
        photos: The folder, searched with everything below it.

    Returns:
        The photos with their masks, of all layouts that lie in it.

    Raises:
        InputError: If there is no such folder, none has masks, or a mask has no photo.
    """
    if not photos.is_dir():
        raise InputError(f"there is no folder {photos}")
    folder = PhotoFolder(photos, None)
    by_layout = [layout.find(folder) for layout in LAYOUTS]
    masked = [photo for each in by_layout for photo in each.photos]
    if not masked:
        raise InputError(
            f"{photos} holds no masks of lesions; looked for: {'; '.join(each.signature for each in LAYOUTS)}"
        )
    return MaskedPhotos(masked, [file for each in by_layout for file in each.unmasked if each.photos])

"""A table of photos and masks with one file a photo, in whose pixels each bit stands for a kind of lesion."""

from biranet.errors import InputError
from biranet.lesion_kinds import KINDS
from biranet.photos.datasets.masks import MaskedPhoto, MaskedPhotos, MaskFile, MaskLayout
from biranet.photos.datasets.parts import parse_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows

_COLUMNS = ("image", "mask", "official_part", "group")


def _find(folder: PhotoFolder) -> MaskedPhotos:
    photos: dict[str, MaskedPhoto] = {}
    for path in folder.tables_with(*_COLUMNS):
        for row, (image, mask, part, group), _ in table_rows(path, _COLUMNS):
            # The rest of a path above the folder that was given says nothing.
            image, mask = (folder.find("/".join(name.split("/")[-2:]), row) for name in (image, mask))
            masks = {kind: MaskFile(mask, bit) for bit, kind in enumerate(KINDS)}
            with row.locate_errors("official_part"):
                split = parse_part(part)
            if image in photos:
                raise InputError(f"{row}: {image} has a row before; give each photo one row, with all its lesions")
            photos[image] = MaskedPhoto(image, masks, KINDS, split, group, path.parent.name)
    return MaskedPhotos(list(photos.values()), [])


MASK_TABLE = MaskLayout(f"a table with the columns {', '.join(_COLUMNS)}", _find)

"""A photo at a smaller scale, as the preparation decodes it."""

from biranet.photos.formats import PhotoFile
from biranet.photos.read import decode_photo, read_source


def read_scaled(source, min_side_px):
    """Decode a picture file, or its bytes, with a shorter side of at least `min_side_px` pixels."""
    return decode_photo(PhotoFile(read_source(source)), min_side_px)

"""Why a file is refused, in the words that several formats share."""

from biranet.errors import PhotoError

MAX_FRAMES = 1000
"""How far frames are counted."""

MAX_PARTS = 5000
"""How many parts a file of a format may have whose parts each cost as much to read as a picture."""

ONE_PHOTO = "save the one photo as a file of its own"


def describe_damage(share: float | None, of: str = "picture") -> str:
    """Say how much of a damaged file can be read: whether a copy broke off, or is nearly whole.

    Args:
        share: The share, 0 to 1; None where it is not known.
        of: Of what: `picture` or `file`.

    Returns:
        The reason, for an error.

    Example:
        >>> describe_damage(0.637)
        'is cut short: the first 63 % of the picture can be read'
    """
    if share is None or not 0 <= share < 1:
        return "is damaged or cut short"
    # Rounded down: what is named is there.
    percent = int(100 * share)
    if percent == 0:
        return "is cut short: nothing of the picture can be read"
    return f"is cut short: the first {percent} % of the {of} can be read"


def truncated(share: float) -> PhotoError:
    """The error for a file that holds fewer pixels than its header announces."""
    return PhotoError("unreadable", describe_damage(share))


def surplus_rows() -> PhotoError:
    """The error for a file that holds more pixels than its header announces."""
    return PhotoError("unreadable", "contradicts itself: it holds more rows than its header says; export it anew")


def check_single(count: int, what: str = "frames") -> None:
    """Refuse a file that holds more than one photo.

    Raises:
        PhotoError: If `count` is more than 1.
    """
    if count > 1:
        number = f"more than {MAX_FRAMES}" if count > MAX_FRAMES else str(count)
        raise PhotoError("unreadable", f"holds {number} {what}, and nothing says which is the photo; {ONE_PHOTO}")


def too_many_parts(name: str) -> PhotoError:
    """The error for a file that costs much more to read than it weighs."""
    return PhotoError("unreadable", f"is a {name} of more than {MAX_PARTS:,} parts, which no program writes")

"""What must be the same for a training to be resumed: settings, preparation and photos, as plain values by name."""

from collections.abc import Mapping
from typing import Any

ResumeFingerprint = Mapping[str, Any]
"""What a training depends on, plain values by name; some, named in `SUMS`, sum up what is too long to tell."""

SUMS = {"photos_sha256": "the photos have changed", "start_sha256": "the checkpoint to start from has changed"}
"""What it means that a sum differs, by its name."""


def describe_differences(here: ResumeFingerprint, written: ResumeFingerprint, where: str) -> str:
    """Say in what two fingerprints differ; nothing where they are the same.

    Args:
        here: That of what is asked for.
        written: That of what was begun.
        where: Where it was begun, in words.

    Example:
        >>> describe_differences({"epochs": 3, "photos_sha256": "0a"}, {"epochs": 2, "photos_sha256": "1b"}, "there")
        'epochs is 3 here and 2 there, the photos have changed since it began'
    """
    return ", ".join(
        f"{SUMS[name]} since it began"
        if name in SUMS
        else f"{name} is {here.get(name)!r} here and {written.get(name)!r} {where}"
        for name in dict.fromkeys([*here, *written])
        if here.get(name) != written.get(name)
    )

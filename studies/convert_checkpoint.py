"""Write a checkpoint of an earlier version anew, as one that this biranet reads: the same weights, the same answers.

python studies/convert_checkpoint.py OLD.safetensors NEW.safetensors

Version 3 has other names for some weights and settings. Version 2 also has no digests, so nothing shows whether it is
as it was written: convert only what you trust.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from biranet.errors import BiranetError, InputError
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.checkpoint_info import FORMER_VERSIONS, VERSION
from biranet.learning.tensors import open_tensors, write_tensors

SETTINGS = {
    "trunk": "backbone",
    "trunk_weights": "backbone_weights",
    "whole": "already_cropped",
    "learned_digest": "training_set_digest",
    "learned_fingerprints": "training_set_fingerprints",
    "calibrated_on": "calibration_photo_hashes",
}
"""What the settings of earlier versions are called today."""


def convert(old: Path, new: Path) -> None:
    """Write a checkpoint of an earlier version anew.

    Args:
        old: The checkpoint.
        new: The file to write.

    Raises:
        InputError: If the old file is no checkpoint of such a version or is damaged, or the new one exists.
    """
    if new.exists():
        raise InputError(f"{new} exists; name another file")
    with open_tensors(old, "a checkpoint") as stored:
        header, guarded = stored.header, stored.guarded
        if header.get("version") not in FORMER_VERSIONS:
            raise InputError(f"{old} is no checkpoint of version {' or '.join(map(str, FORMER_VERSIONS))}")
        tensors = stored.tensors() if guarded else load_file(old)
    write_tensors(
        new,
        {_parameter(name): tensor for name, tensor in tensors.items()},
        _renamed(header) | {"version": VERSION},
    )
    load_checkpoint(new)


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        SETTINGS.get(name, name): _renamed(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }


def _parameter(name: str) -> str:
    """What a weight is called today; names inside a backbone are its own."""
    name = re.sub(r"^stem\.", "frozen.", name)
    return re.sub(r"^(stream_[ab]\.)?trunk\.", r"\1backbone.", name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("old", "new"):
        parser.add_argument(argument, type=Path)
    try:
        convert(**vars(parser.parse_args()))
    except BiranetError as error:
        sys.exit(f"convert_checkpoint: {error}")

"""Write a checkpoint of version 2 anew, as one of the version that guards its weights and its description by digests.

python studies/seal.py OLD.safetensors NEW.safetensors

Nothing in the old file shows whether it is as it was written: seal only what you trust.
"""

import argparse
import json
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from biranet.errors import BiranetError, InputError
from biranet.learning.checkpoint import UNGUARDED_VERSION, VERSION, load_checkpoint
from biranet.learning.tensors import write_tensors


def seal(old: Path, new: Path) -> None:
    """Write a checkpoint of version 2 anew: the same weights, the same description, and the digests of both.

    Args:
        old: The checkpoint.
        new: The file to write.

    Raises:
        InputError: If the old file is no checkpoint of that version, or the new one exists.
    """
    if new.exists():
        raise InputError(f"{new} exists; name another file")
    with safe_open(old, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get("biranet", "{}"))
    if header.get("version") != UNGUARDED_VERSION:
        raise InputError(f"{old} is no checkpoint of version {UNGUARDED_VERSION}")
    write_tensors(new, load_file(old), header | {"version": VERSION})
    load_checkpoint(new)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("old", "new"):
        parser.add_argument(argument, type=Path)
    try:
        seal(**vars(parser.parse_args()))
    except BiranetError as error:
        sys.exit(f"seal: {error}")

"""Make of a trained model the file that ships: half precision, with the fingerprints of what it has learned from.

python -m studies.shipped.ship RUN/last.safetensors prepared src/biranet/shipped/NAME.safetensors

By the fingerprints `biranet evaluate` knows the photos, and copies of them, in anybody's prepared folder. They also
tell whether a given photo was among them: ship only a model of photos that were published.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from biranet.errors import InputError
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.manifest import graded_photos, read_manifest, training_set_digest
from studies.commands import command_parser, exit_status_of, run_as_command


def ship(checkpoint: Path, prepared: Path, out: Path) -> None:
    """Write a trained model as one that ships.

    Args:
        checkpoint: The trained and calibrated model.
        prepared: The prepared folder it was trained on.
        out: The file to write.

    Raises:
        InputError: If the folder is not what the model was trained on, or holds no fingerprints.
        RefusedError: If a weight does not fit into half precision.
    """
    model, info = load_checkpoint(checkpoint)
    photos = graded_photos(read_manifest(prepared))
    if info.split_column not in photos or info.training_set_digest != training_set_digest(photos, info.split_column):
        raise InputError(f"{checkpoint} was not trained on {prepared} as it is; name the folder that it learned from")
    if "fingerprint" not in photos:
        raise InputError(f"{prepared} has no fingerprints of its photos; prepare them anew, and train again")
    learned = photos.loc[photos[info.split_column].isin(["train", "validation"]), "fingerprint"]
    # A photo too plain for a fingerprint has an empty one.
    info = dataclasses.replace(
        info,
        training_set_fingerprints=tuple(sorted(filter(None, learned))),
        # Where files lay on this machine is of no use to others.
        model=dataclasses.replace(info.model, backbone_weights=None),
        rules=dataclasses.replace(info.rules, fitted_on=info.rules.fitted_on.replace(str(prepared), info.trained_on)),
    )
    save_checkpoint(out, model, info, half=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    for argument in ("checkpoint", "prepared", "out"):
        parser.add_argument(argument, type=Path)
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: ship(given.checkpoint, given.prepared, given.out))


if __name__ == "__main__":
    run_as_command(main)

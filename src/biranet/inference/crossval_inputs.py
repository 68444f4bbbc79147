"""What a cross-validation was begun with: it goes on with the same settings and photos, or not at all."""

import json
from pathlib import Path
from typing import Any

from biranet.config import TrainConfig, result_settings
from biranet.errors import InputError
from biranet.files import read_json, sha256_of, write_json
from biranet.learning.resume_fingerprint import ResumeFingerprint, describe_differences
from biranet.learning.run_folder import STATE_NAME
from biranet.learning.start import Start
from biranet.outputs import folder_kind, holds_keys
from biranet.reports.facts import HashedFile

INPUTS_NAME = "crossval.json"

CROSSVAL = folder_kind(
    "a cross-validation", {INPUTS_NAME: lambda path: holds_keys(path, "validation", "optimizer.optimizer")}
)
"""The folder of a cross-validation, known by its settings."""


def settings_of(config: TrainConfig, start: Start | None, *, validation: float) -> dict[str, Any]:
    """What all trainings share, by name; files by their content, wherever they lie.

    Args:
        config: The settings.
        start: What they start from.
        validation: Share of the photos to learn from that chooses the epoch.

    Raises:
        InputError: If a file cannot be read.
    """
    weights = config.model.backbone_weights
    contents = {
        "model.backbone_weights": weights and str(HashedFile(weights.name, sha256_of(weights))),
        "from": start and str(HashedFile(start.path.name, start.sha256)),
    }
    return {**result_settings(config), **contents, "validation": validation}


def check_same_inputs(out: Path, inputs: ResumeFingerprint) -> None:
    """Note what a cross-validation depends on, or hold it against what was noted before.

    As long as nothing was learned, other settings take the place of those of before.

    Args:
        out: Its folder.
        inputs: Plain values by name, perhaps not yet all; see `ResumeFingerprint`.

    Raises:
        InputError: If they are others.
    """
    path = out / INPUTS_NAME
    before = read_json(path) if path.exists() else {}
    here = json.loads(json.dumps(dict(inputs), default=str))
    recorded = {name: before[name] for name in here if name in before}
    differences = describe_differences({name: here[name] for name in recorded}, recorded, "there")
    if differences and any(out.glob(f"*/{STATE_NAME}")):
        raise InputError(f"{out} was begun otherwise: {differences}; give the same as then, or choose another --out")
    write_json(path, {**before, **here})

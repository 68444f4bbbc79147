"""What is known of the model, as JSON: its card, and what its file says of itself."""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from biranet.decisions.rules import decision_bounds
from biranet.grades import DISCLAIMER, GRADE_NAMES
from biranet.learning.shipped_models import ModelCard, is_shipped, read_model_card
from biranet.service.worker import ModelLoaded


@cache
def describe(loaded: ModelLoaded, path: Path) -> dict[str, Any]:
    """Describe the model that answers.

    Args:
        loaded: What a worker has loaded.
        path: Where it was found.

    Returns:
        Plain values; those of a card are None for a model without one.
    """
    rules = loaded.rules
    below, above = decision_bounds(rules) if rules.operating_points else (None, None)
    return {
        "name": path.stem,
        "sha256": loaded.sha256,
        "biranet": version("biranet"),
        "engine": loaded.package,
        "network": loaded.network,
        "image_size": loaded.image_size,
        "grades": list(GRADE_NAMES),
        "rules": {
            "decoder": rules.decoder,
            "temperature": rules.temperature,
            "fitted_on": rules.fitted_on or None,
            "refers_from": above,
            "does_not_refer_below": below,
        },
        "doubts": list(loaded.doubts),
        "disclaimer": DISCLAIMER,
        **_card(path),
    }


def _card(path: Path) -> dict[str, Any]:
    if not is_shipped(path):
        return dict.fromkeys(field for field in ModelCard.__dataclass_fields__ if field not in _LEFT_OUT)
    from pydantic import TypeAdapter

    from biranet.evaluation.estimates import meaning_of

    card = read_model_card(path.stem)
    values: dict[str, Any] = TypeAdapter(ModelCard).dump_python(card, mode="json")
    for measured in values["metrics"]:
        figures = measured["figures"].items()
        measured["figures"] = {key: {"name": meaning_of(key).name, **figure} for key, figure in figures}
    return {key: value for key, value in values.items() if key not in _LEFT_OUT}


_LEFT_OUT = ("weights_sha256", "training")
"""What `sha256` says already, and what only programs read."""

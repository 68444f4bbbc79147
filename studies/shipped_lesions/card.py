"""Write the card of the model that ships with a lesion branch: its words from `card.toml`, its figures from `results/`.

biranet evaluate idrid_lite0_lesions EXTERNAL --split all --out report
python -m studies.shipped_lesions.card --external report/metrics.json

EXTERNAL: photographs of another clinic, prepared at 1280 px. Of the report only the numbers are kept.
"""

from collections.abc import Sequence
from pathlib import Path

from biranet.files import write_bytes
from biranet.learning.shipped_models import LESIONS_DEFAULT, SHIPPED
from studies.commands import run_as_command
from studies.shipped.card import card_parts, keep_external, run_card_command
from studies.shipped.measured import STRETCHES_NAME

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

MEASURED = {
    "cross_validated": "out of fold, by visit, on {n} photographs (each graded by a network and looked at by a lesion "
    "head that had not seen its visit, corrected and decided by what was fitted on the other folds; too good for new "
    "visits, as for idrid_lite0)",
    f"{STRETCHES_NAME}/cross_validated": "the same by five stretches of the numbering, whose visits are in order of "
    "time ({n} photographs, each graded by a network and looked at by a lesion head that had not seen its stretch; "
    "correction and rules were fitted on answers for the other stretches, by networks that had seen this one)",
    "external": "external, another clinic and camera: {n} photographs of {groups} patients (S. S. Rahim, Retinal "
    "Fundus Image Dataset for Diabetic Retinopathy Detection, 2025), copies of 512 px on the shorter side, on which "
    "hardly a microaneurysm can be seen",
}
"""What was measured, by the name of its file, in the order of the card."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_card_command(__file__, __doc__, arguments, lambda external: update_card(external, RESULTS, SHIPPED))


def update_card(external: Path | None, results: Path, shipped: Path) -> None:
    """Write the card, after the figures of an external report have been kept, where there is one.

    Raises:
        InputError: If the report is of another model.
    """
    if external is not None:
        keep_external(external, shipped / f"{LESIONS_DEFAULT}.safetensors", results)
    write_card(results, shipped)


def write_card(results: Path, shipped: Path) -> None:
    """Write the card. Figures of another model than the one in the folder are left out, and that is said."""
    model = shipped / f"{LESIONS_DEFAULT}.safetensors"
    parts = card_parts(model, HERE / "card.toml", MEASURED, results)
    write_bytes(model.with_suffix(".toml"), "\n".join(parts).encode())


if __name__ == "__main__":
    run_as_command(main)

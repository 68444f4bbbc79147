"""Write the card of the model that ships: its words from `card.toml`, its figures from `results/`.

biranet evaluate idrid_lite0 EXTERNAL --split all --out report
python -m studies.shipped.card --external report/metrics.json

EXTERNAL: prepared photographs of another clinic. Of the report only the numbers are kept, as results/external.json.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from biranet.config import read_recipe
from biranet.errors import InputError
from biranet.evaluation.estimates import Estimate, Key, from_json
from biranet.files import read_json, sha256_of, write_bytes, write_json
from biranet.learning.shipped_models import DEFAULT, SHIPPED
from biranet.learning.tensors import open_tensors
from biranet.reports.facts import CHECKPOINT_FACT, HashedFile
from biranet.reports.table_provenance import parse_provenance
from studies.commands import ROOT, command_parser, exit_status_of, run_as_command
from studies.lesion_grades.bound import LEVEL, STRETCHES, halve_folds, missed_share, share_and_bound
from studies.shipped.measured import ANSWERS_NAME, STRETCHES_NAME, decide_answers
from studies.shipped.outside import OUTSIDE_NAME, card_blocks, read_outside

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

MEASURED = {
    "cross_validated": "five-fold cross-validation by visit on the {n} photographs it has learned from (each graded by "
    "a model that had not seen its visit, by rules fitted on the other folds; too good, as the figures measured from "
    "outside show; docs/model.md of the source tells what is known of why)",
    f"{STRETCHES_NAME}/cross_validated": "the same by five stretches of the numbering, whose visits are in order of "
    "time ({n} photographs, each graded by a model that had not seen its stretch; rules were fitted on answers for the "
    "other stretches, by models that had seen this one)",
    "nested": "the same folds, but in each of them loss, smoothing, mirror image and decoder were chosen anew, and "
    "rules fitted, on a quarter of the training photographs, held back for that ({n} photographs; figures of this "
    "choosing, not of this model; all else, such as image size and rate, was chosen on all of them)",
    "external": "external, another clinic and camera: {n} photographs of {groups} patients (S. S. Rahim, Retinal "
    "Fundus Image Dataset for Diabetic Retinopathy Detection, 2025), read for these weights three times: without the "
    "mirror image, with it, a choice made on out-of-fold answers between the two (docs/log.md), and for answers per "
    "patient; the limits of gradability, which let all of them pass, had been set with a look at them",
}
"""What was measured, by the name of its file, in the order of the card."""

FIGURES = (
    *("quadratic_weighted_kappa", "referable_auc", "aca", "accuracy", "macro_f1", "macro_f1_of_means"),
    *(f"recall_per_grade.{grade}" for grade in range(5)),
    *("referable_sensitivity", "referable_specificity"),
    *("operating_points.sensitivity_90.sensitivity", "operating_points.sensitivity_90.specificity"),
    *("operating_points.specificity_90.sensitivity", "operating_points.specificity_90.specificity"),
    *("decisions.asked_fraction", "decisions.missed_fraction", "decisions.needless_fraction"),
    *("prediction_sets.coverage", "prediction_sets.mean_size", "expected_calibration_error"),
)
"""Which figures the card shows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_card_command(__file__, __doc__, arguments, lambda external: update_card(external, RESULTS, SHIPPED))


def run_card_command(
    script: str, doc: str | None, arguments: Sequence[str] | None, update: Callable[[Path | None], None]
) -> int:
    """Run a command that writes a card, given an external report or none, and return its exit status."""
    parser = command_parser(doc)
    parser.add_argument("--external", metavar="FILE", type=Path, help="metrics.json of the report on other photographs")
    given = parser.parse_args(arguments)
    return exit_status_of(script, lambda: update(given.external))


def update_card(external: Path | None, results: Path, shipped: Path) -> None:
    """Write the card, after the figures of an external report have been kept, where there is one.

    Args:
        external: Its metrics.json.
        results: Folder with the figures.
        shipped: Folder of the model.

    Raises:
        InputError: If the report is of another model.
    """
    if external is not None:
        keep_external(external, shipped / f"{DEFAULT}.safetensors", results)
    write_card(results, shipped)


def answers_sha256(checkpoint: Path) -> str:
    """Sum up what a checkpoint answers by: its weights, its rules, and what the network is and sees."""
    with open_tensors(checkpoint, "a checkpoint") as stored:
        tensors, header = stored.tensors(), stored.header
    answers_by = {name: header[name] for name in ("rules", "model", "image_size", "mean", "std", "preparation")}
    answers_by |= {name: header[name] for name in ("lesions",) if header.get(name)}
    total = hashlib.sha256(json.dumps(answers_by, sort_keys=True).encode())
    for name in sorted(tensors):
        total.update(name.encode() + tensors[name].numpy().tobytes())
    return total.hexdigest()


def write_card(results: Path, shipped: Path) -> None:
    """Write the card. External figures of another model than the one in the folder are left out, and that is said.

    Args:
        results: Folder with the figures.
        shipped: Folder of the model.
    """
    model = shipped / f"{DEFAULT}.safetensors"
    parts, answers = card_parts(model, HERE / "card.toml", MEASURED, results), answers_sha256(model)
    outside = read_outside(results)
    if outside is not None and outside.answers_sha256 != answers:
        _tell_left_out(results / OUTSIDE_NAME)
    elif outside is not None:
        parts += card_blocks(outside)
    write_bytes(model.with_suffix(".toml"), "\n".join(parts).encode())


def card_parts(model: Path, words: Path, measured: Mapping[str, str], results: Path) -> list[str]:
    """Put the words of a card and the figures of a model together, but for those that are of another model.

    Args:
        model: Its checkpoint.
        words: The words, in TOML.
        measured: What was measured, by the name of its file, as for `MEASURED`.
        results: Folder with these files, and with the answers, by stretches too where that was measured.
    """
    parts = [f'weights_sha256 = "{sha256_of(model)}"', words.read_text(encoding="utf-8")]
    answers = answers_sha256(model)
    for name, how in measured.items():
        path = results / f"{name}.json"
        metrics = read_json(path) if path.exists() else {}
        if metrics.get("answers_sha256", answers) != answers:
            _tell_left_out(path)
        elif metrics:
            parts.append(_measured(how, metrics))
    return [*parts, _missed(results)] if (results / STRETCHES_NAME / ANSWERS_NAME).exists() else parts


def _missed(results: Path) -> str:
    """Say what can be promised of missed photos: that of stretches, by what had not seen them."""
    calibration = read_recipe(ROOT / "recipes" / f"{DEFAULT}.toml").calibration
    visits, stretches = (decide_answers(folder, calibration) for folder in (results, results / STRETCHES_NAME))
    share, (share_of_stretches, bound) = missed_share(visits), share_and_bound(stretches, halve_folds(stretches))
    lines = [f"out_of_fold = {share:.6f}", f"out_of_stretch = {share_of_stretches:.6f}", f"next_stretch = {bound:.6f}"]
    return "\n".join(["[missed]", *lines, f"level = {LEVEL}", f"stretches = {STRETCHES}", ""])


def _tell_left_out(path: Path) -> None:
    print(f"{path} was measured on another model, so the card leaves it out: measure this one")


def keep_external(report: Path, model: Path, results: Path) -> None:
    """Keep of an external report numbers about all photographs, and which model they are of, as `external.json`.

    Facts name files of whoever measured, and a subgroup can be a single photograph.

    Args:
        report: Its metrics.json.
        model: The checkpoint that must have been measured.
        results: Folder for what is kept.

    Raises:
        InputError: If the report is of another model.
    """
    metrics = read_json(report)
    provenance = parse_provenance(metrics)
    checkpoint = provenance.facts.get(CHECKPOINT_FACT) if provenance else None
    if not isinstance(checkpoint, HashedFile) or checkpoint.sha256 != sha256_of(model):
        raise InputError(f"the report is not one of {model}; measure it with: biranet evaluate {model.stem} …")
    wanted = {
        "n",
        "groups",
        "confusion_matrix",
        "ci",
        "ci_method",
        *((key.section or key.name) for key in map(Key.parse, FIGURES)),
    }
    kept = {key: metrics[key] for key in metrics if key in wanted}
    write_json(results / "external.json", {"answers_sha256": answers_sha256(model), **kept})


def _measured(how: str, metrics: dict[str, Any]) -> str:
    lines = ["[[metrics]]", f'how = "{how.format_map(metrics)}"', "[metrics.figures]"]
    estimates = from_json(metrics)
    for key in FIGURES:
        estimate = estimates.get(Key.parse(key), Estimate(None))
        if estimate.interval is not None:  # a number without one is not for a card
            low, high = estimate.interval
            lines.append(f'"{key}" = {{ value = {estimate.value:.6f}, ci = [{low:.6f}, {high:.6f}] }}')
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run_as_command(main)

"""What the corrected answers are worth, and the answers alone."""

from pathlib import Path

from biranet.config import TrainConfig
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.evaluation.intervals import paired_differences
from biranet.files import write_json
from biranet.learning.shipped_models import LESIONS_DEFAULT
from biranet.tables import write_table
from biranet.version import software_version
from studies.lesion_grades.bound import STRETCHES, halve_folds, promise
from studies.shipped.measured import ANSWERS_NAME, MEASURED_NAME, by_fold, measure_answers
from studies.shipped.steps import FOLDS
from studies.shipped_lesions.answers import Photos, as_predictions, correct_out_of_fold
from studies.stretches import stretch_of

_METHOD = "Corrections and rules of a fold were fitted on the answers for the other folds."

_MEASURED_ON = {
    "visits": f"{FOLDS} folds by visit; no network and no lesion head had seen the visit",
    "stretches": f"{FOLDS} stretches of the numbering; no network and no lesion head had seen the stretch",
}


def measure_grades(photos: Photos, config: TrainConfig, report: Path, results: Path) -> None:
    """Write the corrected answers out of fold, and what was measured of them.

    Args:
        photos: The photos.
        config: Says how grades are balanced, and rules fitted.
        report: Folder for the report.
        results: Folder for `out_of_fold.csv`, `cross_validated.json` and `difference.json`.
    """
    software = software_version()  # before a table is written, which would be a change
    corrected, fitted = correct_out_of_fold(photos, config.data)
    table = as_predictions(photos, corrected)
    write_table(results / ANSWERS_NAME, table)
    decided = decide_cross_fitted(by_fold(table), config.calibration)
    alone = decide_cross_fitted(by_fold(as_predictions(photos, photos.shares)), config.calibration)
    measure_answers(
        decided,
        report,
        results / MEASURED_NAME,
        title=LESIONS_DEFAULT,
        method=_METHOD,
        on=_MEASURED_ON[photos.division],
    )
    stretch = halve_folds(decided) if photos.division == "stretches" else stretch_of(decided, STRETCHES)
    [differences] = paired_differences([alone, decided])
    difference = {
        "software": software,
        "settings": [each.settings._asdict() for each in fitted],
        "missed": {"alone": promise(alone, stretch), "corrected": promise(decided, stretch)},
        "differences": differences,
    }
    write_json(results / "difference.json", difference)

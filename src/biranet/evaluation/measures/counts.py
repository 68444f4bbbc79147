"""Numbers of `metrics.json` that are no measures: what was counted, and what was stated."""

from biranet.evaluation.measures.measure import Meaning
from biranet.grades import GRADE_COUNT


def _count_meaning(key: str, name: str, sentence: str, *, low: int = 0, section: str = "") -> Meaning:
    return Meaning(
        key=key,
        name=name,
        sentence=sentence,
        section=section,
        low=low,
        high=None,
        better="neither",
        count=True,
        heading="Patients" if section else "Grades",
    )


COUNTS = (
    _count_meaning("n", "Photos", "How many photos were measured.", low=1),
    _count_meaning(
        "groups",
        "Groups",
        "How many groups the photos form: patients where they are known, else single photos.",
        low=1,
    ),
)
"""What begins the file."""

CONFUSION_MATRIX = Meaning(
    key="confusion_matrix",
    name="Confusion matrix",
    sentence="Photos of each true grade (row) that were given each grade (column), 0 to 4.",
    high=None,
    better="neither",
    shape=(GRADE_COUNT, GRADE_COUNT),
    count=True,
)

PREVALENCES = (
    Meaning(
        key="referable",
        name="Prevalence of referable grades",
        sentence="Share of referable photos for which the predictive values hold: as stated, else that of the photos "
        "measured.",
        section="prevalence",
        better="neither",
        heading="Referral and any retinopathy",
    ),
    Meaning(
        key="any_dr",
        name="Prevalence of any DR",
        sentence="Share of photos with any retinopathy for which the predictive values hold: as stated, else that of "
        "the photos measured.",
        section="prevalence",
        better="neither",
        heading="Referral and any retinopathy",
    ),
)

PATIENTS = (
    _count_meaning(
        "n",
        "Patients",
        "How many patients were measured: those whose eye is known for each of their photos.",
        section="patients",
    ),
    _count_meaning(
        "both_eyes",
        "Patients with both eyes",
        "How many of the patients measured have photos of both eyes.",
        section="patients",
    ),
    _count_meaning(
        "left_out",
        "Patients left out",
        "How many patients have a photo of an unknown eye, and are not measured.",
        section="patients",
    ),
)

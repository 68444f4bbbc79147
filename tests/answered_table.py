"""A table of answers by rules with three operating points, which charts and figures are drawn from."""

import numpy as np
import pandas as pd

from biranet.decisions.rules import OperatingPoint, Rules, decide, decision_columns

GRADES = np.arange(5)
THRESHOLDS = {"sensitivity_90": 0.3, "specificity_90": 0.8}


def answered(photos: int = 150, temperature: float = 1.5) -> pd.DataFrame:
    """Draw predictions of photos, each of a patient of its own, and answer by rules."""
    random = np.random.default_rng(8)
    truth = random.integers(0, 5, photos)
    raw = np.exp(-1.5 * (truth[:, None] + random.normal(0, 0.9, (photos, 1)) - GRADES) ** 2)
    raw /= raw.sum(axis=1, keepdims=True)
    points = {**THRESHOLDS, "a_name_of_another_program": 0.5}
    rules = Rules(
        temperature=temperature,
        operating_points=tuple(OperatingPoint(name, threshold) for name, threshold in points.items()),
        set_threshold=0.7,
    )
    answers = decide(raw, rules)
    columns = {f"p{grade}": answers.probabilities[:, grade] for grade in GRADES}
    table = pd.DataFrame({**columns, "predicted_grade": answers.grades, **decision_columns(answers, rules)})
    return table.assign(file=np.arange(photos).astype(str), group=np.arange(photos).astype(str), grade=truth)

"""Measure a table of grades that any program wrote, with an interval over patients."""

import pandas as pd

from biranet.evaluation.intervals import measure_with_intervals

predictions = pd.DataFrame(
    {
        "file": [f"{patient}_{eye}.jpg" for patient in range(30) for eye in ("left", "right")],
        "group": [str(patient) for patient in range(30) for _ in range(2)],
        "grade": [patient % 5 for patient in range(30) for _ in range(2)],
        "predicted_grade": [min(4, patient % 5 + (patient % 3 == 0)) for patient in range(30) for _ in range(2)],
    }
)
metrics = measure_with_intervals(predictions)
low, high = metrics["ci"]["quadratic_weighted_kappa"]
print(f"kappa {metrics['quadratic_weighted_kappa']:.3f} [{low:.3f}, {high:.3f}], ACA {metrics['aca']:.3f}")
print(f"no AUC: {metrics['undefined']['referable_auc']}")

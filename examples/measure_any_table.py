"""Measure grades that any program predicted: as a table, or as arrays in scikit-learn's order."""

import pandas as pd

import biranet

predictions = pd.DataFrame(
    {
        "file": [f"{patient}_{eye}.jpg" for patient in range(30) for eye in ("left", "right")],
        "group": [str(patient) for patient in range(30) for _ in range(2)],  # whose photo it is
        "grade": [patient % 5 for patient in range(30) for _ in range(2)],  # the truth
        "predicted_grade": [min(4, patient % 5 + (patient % 3 == 0)) for patient in range(30) for _ in range(2)],
    }
)
metrics = biranet.measure(predictions)  # or measure("predictions.csv")
for key in ("quadratic_weighted_kappa", "aca", "accuracy"):
    low, high = metrics["ci"][key]
    print(f"{key} {metrics[key]:.3f} [{low:.3f}, {high:.3f}]")
print(f"no AUC: {metrics['undefined']['referable_auc']}")

same = biranet.measure(predictions["grade"], predictions["predicted_grade"], groups=predictions["group"])
print(f"the same from arrays: {same['quadratic_weighted_kappa'] == metrics['quadratic_weighted_kappa']}")

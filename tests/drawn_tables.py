"""Predictions of patients whose photos resemble each other, with everything that a table can hold."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

USUAL_MIX = (0.45, 0.1, 0.25, 0.12, 0.08)
"""Shares of the grades 0 to 4."""


@pytest.fixture(scope="session")
def draw_table() -> Callable[..., pd.DataFrame]:
    """Draws predictions for a number of patients, of one to three photos each, by the seed of a data set.

    Two photos of a patient mostly have one grade, and what is hard about one is hard about the other. Probabilities
    are rounded to two decimals where asked for, so that scores are equal often. A rival is another model that was
    shown the same photos: it has noise of its own on top.
    """

    def draw(
        groups: int, seed: int, *, rounded: bool = False, rival: float = 0.0, mix: Sequence[float] = USUAL_MIX
    ) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), random.integers(1, 4, groups))
        n = len(group)
        usual = random.choice(5, groups, p=mix)
        truth = np.where(random.random(n) < 0.7, usual[group], random.choice(5, n, p=mix))
        noise = random.normal(0, 1, (groups, 5))[group] + random.normal(0, 1, (n, 5))
        logits = 1.2 * (0.9 * noise - 1.2 * np.abs(truth[:, None] - np.arange(5)))
        logits += rival * np.random.default_rng([seed, 1]).normal(0, 1, (n, 5))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        if rounded:
            shares = shares.round(2)
            shares[np.arange(n), shares.argmax(axis=1)] += 1 - shares.sum(axis=1)
            shares = shares.round(2).clip(0, 1)
        score, predicted = shares[:, 2:].sum(axis=1), shares.argmax(axis=1)
        return pd.DataFrame(
            {
                "file": [f"{number}.jpg" for number in range(n)],
                "group": [f"patient {number}" for number in group],
                "grade": truth,
                "predicted_grade": predicted,
                **{f"p{grade}": shares[:, grade] for grade in range(5)},
                "temperature": 1.5,
                "decision": np.select([score < 0.3, score > 0.7], ["do not refer", "refer"], "ask a human"),
                "lowest_grade": np.maximum(0, predicted - random.integers(0, 2, n)),
                "highest_grade": np.minimum(4, predicted + random.integers(0, 2, n)),
                "refer_youden": (score > 0.4).astype(int),
                "refer_cost_2.5": (score > 0.15).astype(int),
            }
        )

    return draw

"""What others measured of the model that ships: card and page are made of one table, and of no other model's."""

import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from biranet.learning.shipped_models import DEFAULT, SHIPPED
from studies.shipped import card, outside, promise


@pytest.fixture
def package(tmp_path):
    """Copies of the results and of the model that ships."""
    return tuple(
        Path(shutil.copytree(folder, tmp_path / name))
        for folder, name in ((card.RESULTS, "results"), (SHIPPED, "shipped"))
    )


def test_figures_from_outside_stand_on_the_card_as_they_were_told():
    blocks = tomllib.loads((SHIPPED / f"{DEFAULT}.toml").read_text())["metrics"]
    told = [each for each in blocks if each["how"].startswith("measured from outside")]
    missed = told[0]["figures"]["decisions.missed_fraction"]
    assert missed == {"value": 0.2, "ci": [0.12, 0.31]}
    assert missed["value"] > blocks[0]["figures"]["decisions.missed_fraction"]["ci"][1]


def test_figures_of_another_model_stand_on_no_card(package, capsys):
    results, shipped = package
    table = results / outside.OUTSIDE_NAME
    table.write_text(table.read_text().replace('answers_sha256 = "', 'answers_sha256 = "0'))
    card.write_card(results, shipped)
    assert "outside.toml was measured on another model" in capsys.readouterr().out
    assert "measured from outside:" not in (shipped / f"{DEFAULT}.toml").read_text()


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_stretches_of_the_numbering(shift):
    names = [f"IDRiD_{number:03d}.jpg" for number in range(1, 101)]
    photos = pd.DataFrame({"file": names, "group": [f"g{number // 2}" for number in range(1, 101)]})
    stretch = pd.Series(promise.stretch_of(photos.sample(frac=1, random_state=1), 5, shift))
    shuffled = photos.sample(frac=1, random_state=1).reset_index(drop=True)
    assert (stretch.groupby(shuffled["group"]).nunique() == 1).all()
    assert stretch.value_counts().between(18, 22).all()
    along = stretch.groupby(shuffled["file"]).first().sort_index().to_numpy()
    # Each is one piece, but for the one that goes on at the beginning.
    assert (along[1:] != along[:-1]).sum() == (4 if shift == 0 else 5)

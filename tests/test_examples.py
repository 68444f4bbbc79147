"""The examples run, as a reader would run them."""

import importlib.util
import json
import re
import runpy
import tempfile
from pathlib import Path

import pytest

from warm import Warm

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMEWORKS = {
    "lightning_module.py": ("lightning", "kappa"),
    "hugging_face_trainer.py": ("transformers", "kappa"),
    "log_with_wandb.py": ("wandb", r"last kappa -?\d\.\d{3}; send it with: wandb sync .*/offline-run-"),
    "log_with_mlflow.py": ("mlflow", r"validation kappa by epoch: -?\d\.\d{3}, -?\d\.\d{3}\n"),
    "tune_with_optuna.py": ("optuna", r"trials: complete, pruned, (complete|pruned); lowest validation loss"),
}
"""Examples that need somebody else's framework, which warns of itself and changes what a process does with signals, and
what they print."""


@pytest.fixture(autouse=True)
def in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("example", sorted({path.name for path in EXAMPLES.glob("*.py")} - set(FRAMEWORKS)))
def test_example(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    out, err = capsys.readouterr()
    assert out.strip()
    assert not err


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("example", FRAMEWORKS)
def test_example_of_a_framework(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Warm) -> None:
    framework, printed = FRAMEWORKS[example]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    monkeypatch.chdir(tmp_path)
    process = warm.start(program=EXAMPLES / example, home=tmp_path)  # some keep caches in the home
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert re.search(printed, out)


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("notebook", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebook_runs_from_top_to_bottom_and_holds_no_outputs(
    notebook: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell for cell in json.loads((EXAMPLES / notebook).read_text())["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in cells))
    runpy.run_path(str(script), run_name="__main__")
    out, err = capsys.readouterr()
    assert out.strip()
    assert not err
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)

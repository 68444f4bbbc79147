"""The examples run, as a reader would run them."""

import importlib.util
import json
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from warm import unmeasured

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMEWORKS = {"lightning_module.py": "lightning", "hugging_face_trainer.py": "transformers"}
"""Examples that need somebody else's framework, which warns of itself and changes what a process does with signals."""


@pytest.fixture(autouse=True)
def in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("example", sorted({path.name for path in EXAMPLES.glob("*.py")} - set(FRAMEWORKS)))
def test_example(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    out, err = capsys.readouterr()
    assert out.strip()
    assert not err


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("example", FRAMEWORKS)
def test_example_of_a_framework(example: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(FRAMEWORKS[example]) is None:
        pytest.skip(f"{FRAMEWORKS[example]} is not installed")
    command = [sys.executable, str(EXAMPLES / example)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=unmeasured() | {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert "kappa" in done.stdout


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

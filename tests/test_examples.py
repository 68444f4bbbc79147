"""The examples run, as a reader would run them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMEWORKS = {"lightning_module.py": "lightning", "hugging_face_trainer.py": "transformers"}
"""Examples of other people's frameworks, which say what they do on stderr, and warn of themselves."""


def _run(script: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *flags, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done


@pytest.mark.parametrize("example", sorted({path.name for path in EXAMPLES.glob("*.py")} - set(FRAMEWORKS)))
def test_example(example: str) -> None:
    assert not _run(EXAMPLES / example, "-W", "error").stderr


@pytest.mark.parametrize("example", FRAMEWORKS)
def test_example_of_a_framework(example: str) -> None:
    if importlib.util.find_spec(FRAMEWORKS[example]) is None:
        pytest.skip(f"{FRAMEWORKS[example]} is not installed")
    assert "kappa" in _run(EXAMPLES / example).stdout


@pytest.mark.parametrize("notebook", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebook_runs_from_top_to_bottom_and_holds_no_outputs(notebook: str, tmp_path: Path) -> None:
    cells = [cell for cell in json.loads((EXAMPLES / notebook).read_text())["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in cells))
    assert not _run(script, "-W", "error").stderr
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)

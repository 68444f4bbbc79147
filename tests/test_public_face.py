"""What `import biranet` gives."""

import ast
import doctest
import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import biranet

NAMES = sorted(set(biranet.__all__) - {"__version__"})


def _typed_imports() -> dict[str, str]:
    """What type checkers are told: public name to the module it comes from."""
    tree = ast.parse(Path(biranet.__file__).read_text(encoding="utf-8"))
    return {
        str(alias.asname): str(each.module)
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom) and each.module.startswith("biranet.")
        for alias in each.names
        if alias.asname
    }


def test_importing_and_listing_it_is_light():
    script = """
import sys
import biranet
assert set(biranet.__all__) == set(dir(biranet))
assert biranet.__version__
assert not {"torch", "timm", "numpy", "pandas", "cv2", "PIL", "pydantic", "tyro"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("name", "absent"), [("measure", "torch"), ("prepare_photo", "torch"), ("audit", "torch"), ("PhotoError", "numpy")]
)
def test_a_name_loads_only_what_it_needs(name, absent):
    script = f"import sys, biranet; assert biranet.{name}; assert {absent!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_it_gives_what_people_need():
    assert {
        *("load", "Grader", "Prediction", "create_model", "BiraNet", "RANet", "Output", "grading_loss", "GradingLoss"),
        *(
            "train",
            "TrainConfig",
            "PreparedPhotos",
            "measure",
            "prepare_photo",
            "audit",
            "BiranetError",
            "InputError",
            "PhotoError",
            "RefusedError",
        ),
    } <= set(NAMES)
    assert biranet.__version__ == version("biranet")
    with pytest.raises(AttributeError, match="module 'biranet' has no attribute 'nonsense'"):
        _ = biranet.nonsense


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_typed_and_documented_with_an_example(name):
    home = _typed_imports()[name]
    value = getattr(importlib.import_module(home), name)
    assert getattr(biranet, name) is value
    assert value.__module__ == home  # or doctest would not run the example
    tests = doctest.DocTestFinder(recurse=False).find(value, name)
    assert any(each.examples for each in tests), f"{name} has no example"


def test_every_typed_name_is_public():
    assert set(_typed_imports()) == set(NAMES)

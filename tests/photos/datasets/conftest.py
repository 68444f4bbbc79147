"""What the tests of the readers share: trees of tiny files in the shape of a published set."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from biranet.errors import InputError
from biranet.photos.datasets import LabelSource, read_labels


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups made from comments need a key; no test makes one in the home of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder of photos, empty."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def lay() -> Callable[..., Path]:
    """Function that lays files into a folder: photos, which the readers do not open, and texts by their names."""

    def lay(folder: Path, *names: str, texts: Mapping[str, str | bytes] | None = None) -> Path:
        for name, text in {**dict.fromkeys(names, b"not opened here"), **(texts or {})}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return folder

    return lay


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Function that reads labels which must be refused, and returns the sentence."""

    def refusal(photos: Path, *arguments: Any, **named: Any) -> str:
        with pytest.raises(InputError) as caught:
            read_labels(photos, LabelSource(*arguments, **named))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal

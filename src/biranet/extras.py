"""What a plain installation leaves out: the extras, the packages they bring, and the sentence that names them."""

from collections.abc import Iterator
from contextlib import contextmanager

from biranet.errors import InputError

_PACKAGES = {
    "train": ("torch", "timm", "accelerate", "tensorboard", "huggingface_hub"),
    "onnx": ("onnx", "onnxscript"),
    "openvino": ("openvino",),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "remote": ("fsspec", "s3fs", "aiohttp"),
    "serve": ("fastapi", "starlette", "uvicorn", "python_multipart", "prometheus_client"),
}
"""Packages of each extra, as they are imported; what all of them are imported for, first."""


def install_command(extra: str) -> str:
    """The command that adds an extra to biranet, where that is installed.

    Example:
        >>> install_command("train")
        'pip install "biranet[train]"'
    """
    return f'pip install "biranet[{extra}]"'


@contextmanager
def require_extras(what: str, extra: str | None = None) -> Iterator[None]:
    """Say in one sentence that a package is missing which an extra brings.

    Args:
        what: What needs it.
        extra: The extra to name; the one that brings the package when not given.

    Raises:
        InputError: If such a package cannot be found.

    Example:
        >>> with require_extras("this example"):
        ...     raise ModuleNotFoundError(name="torch.nn")
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: this example needs torch; install it with: pip install "biranet[train]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        bringing = next((name for name, packages in _PACKAGES.items() if package in packages), None)
        if bringing is None:
            raise
        # Where one is missing, all of them mostly are, and which is imported first tells nobody anything.
        named = _PACKAGES[bringing][0] if bringing in ("train", "serve") else package
        raise InputError(f"{what} needs {named}; install it with: {install_command(extra or bringing)}") from None

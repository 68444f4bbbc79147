"""What the methods of a report cite, as BibTeX; the entries stand in `references.bib`."""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE_MARKER = "% the references of a report of biranet's"
"""Begins the file."""

DATA_SETS: Mapping[str, tuple[str, str]] = {
    "aptos": ("APTOS 2019", "kaggle2019aptos"),
    "ddr": ("DDR", "li2019ddr"),
    "deepdrid": ("DeepDRiD", "liu2022deepdrid"),
    "eyepacs": ("EyePACS (Kaggle, 2015)", "kaggle2015eyepacs"),
    "fgadr": ("FGADR", "zhou2021fgadr"),
    "idrid": ("IDRiD", "porwal2018idrid"),
    "messidor2": ("Messidor-2", "decenciere2014messidor"),
    "retinamnist": ("RetinaMNIST", "yang2023medmnist"),
}
"""Name and reference of published data sets, by the names that `biranet prepare` knows them by."""

BACKBONES: Mapping[str, str] = {
    "resnet": "he2016resnet",
    "efficientnet": "tan2019efficientnet",
    "mobilenetv3": "howard2019mobilenetv3",
    "convnext": "liu2022convnext",
    "densenet": "huang2017densenet",
}
"""References of families of backbones, by what their names in timm begin with, but for `tf_`."""


@functools.cache
def read_references() -> Mapping[str, str]:
    """Read all entries, by their keys."""
    entries = Path(__file__).with_name("references.bib").read_text(encoding="utf-8").strip().split("\n\n")
    return {re.split("[{,]", entry, maxsplit=2)[1]: entry for entry in entries}


def bibliography(cited: Iterable[str]) -> str:
    """Write the entries that are cited, each once, in the order of their keys."""
    entries = read_references()
    return "\n\n".join([FILE_MARKER, *(entries[key] for key in sorted(set(cited)))]) + "\n"


def cited_in(text: str) -> list[str]:
    """Find the keys of citations as pandoc writes them.

    Example:
        >>> cited_in("Kappa [@cohen1968kappa; @gwet2008agreement]")
        ['cohen1968kappa', 'gwet2008agreement']
    """
    return re.findall(r"(?<=[\[ ])@([a-z]+[0-9]{4}[a-z0-9]+)", text)


def backbone_reference(backbone: str) -> str:
    """Find the reference of a backbone by its name in timm; empty where it is of no known family."""
    name = backbone.removeprefix("tf_")
    return next((key for family, key in BACKBONES.items() if name.startswith(family)), "")

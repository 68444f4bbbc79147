"""Write the reference of the Python interface as pages that open offline: python docs/reference/build.py FOLDER."""

import sys
from pathlib import Path

import pdoc

import biranet


def build(folder: Path) -> None:
    """Write the pages, each public name loaded first, since pdoc documents only what is there."""
    for name in biranet.__all__:
        getattr(biranet, name)
    pdoc.render.configure(
        docformat="google",
        show_source=False,
        footer_text=f"biranet {biranet.__version__}",
        template_directory=Path(__file__).parent,
    )
    pdoc.pdoc("biranet", output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))

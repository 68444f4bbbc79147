"""The part of a report's folder that a paper takes from: figures, tables, methods and references.

Every file says in its first lines that it is ours, so a report that is made again replaces its own files only, and
deletes those that it would not write any more, such as the figure of a subgroup that is gone.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from biranet.files import read_regular, write_bytes
from biranet.outputs import head_of
from biranet.reports.figures import pdf, svg
from biranet.reports.figures.all import FIGURE_NAMES, FOREST_PREFIX
from biranet.reports.figures.drawing import Figure
from biranet.reports.figures.pdf import as_pdf_file
from biranet.reports.figures.svg import as_svg_file
from biranet.reports.paper import latex, methods, references
from biranet.reports.paper.references import bibliography, cited_in
from biranet.reports.paper.tables import TABLE_NAMES, Table, write_table_files

FIGURES_NAME, TABLES_NAME = "figures", "tables"
METHODS_NAME, REFERENCES_NAME = "methods.md", "references.bib"

MAX_PDF_BYTES = 1 << 20
"""A larger PDF is none of ours, which have some tens of kilobytes."""


def _named_like_ours(path: Path) -> bool:
    """Whether a file goes by the name of one of our figures or tables; what else lies beside them is left alone."""
    if path.suffix in (".svg", ".pdf"):
        return path.stem in FIGURE_NAMES or path.stem.startswith(FOREST_PREFIX)
    return path.suffix in (".csv", ".tex") and path.stem in TABLE_NAMES


def _begins(mark: str) -> Callable[[Path], bool]:
    return lambda path: mark.encode() in head_of(path)[:200]


def _is_our_pdf(path: Path) -> bool:
    """Whether a PDF names its maker, wherever in the file that stands."""
    try:
        return pdf.CREATOR.encode() in read_regular(path, MAX_PDF_BYTES)
    except OSError:
        return False


_IS_OURS: Mapping[str, Callable[[Path], bool]] = {
    ".svg": _begins(svg.FILE_MARKER),
    ".pdf": _is_our_pdf,
    ".tex": _begins(latex.FILE_MARKER),
    # A CSV has no room for a mark; it is ours where its table in LaTeX is.
    ".csv": lambda path: _begins(latex.FILE_MARKER)(path.with_suffix(".tex")),
}


def holds_only_ours(folder: Path) -> bool:
    """Whether a folder of figures or tables holds none that goes by the name of one of ours and is none of them."""
    return folder.is_dir() and all(_is_ours(path) for path in folder.iterdir() if _named_like_ours(path))


def _is_ours(path: Path) -> bool:
    return path.is_file() and _IS_OURS[path.suffix](path)


PAPER_PARTS: Mapping[str, Callable[[Path], bool]] = {
    FIGURES_NAME: holds_only_ours,
    TABLES_NAME: holds_only_ours,
    METHODS_NAME: _begins(methods.FILE_MARKER),
    REFERENCES_NAME: _begins(references.FILE_MARKER),
}
"""The parts of a report's folder that this module writes, for `folder_kind`."""


def write_paper(out: Path, figures: Iterable[Figure], tables: Iterable[Table], text: str) -> None:
    """Write figures, tables, methods and the references that these cite; what else was ours is deleted.

    Args:
        out: The folder of the report.
        figures: The figures.
        tables: The tables.
        text: The methods.

    Raises:
        InputError: If a file cannot be written.
    """
    written = set()
    for figure in figures:
        for suffix, content in ((".svg", as_svg_file(figure)), (".pdf", as_pdf_file(figure))):
            path = out / FIGURES_NAME / f"{figure.name}{suffix}"
            write_bytes(path, content)
            written.add(path)
    for table in tables:
        write_table_files(out / TABLES_NAME, table)
        written |= {out / TABLES_NAME / f"{table.name}{suffix}" for suffix in (".csv", ".tex")}
    write_bytes(out / METHODS_NAME, text.encode())
    write_bytes(out / REFERENCES_NAME, bibliography(cited_in(text)).encode())
    for name in (FIGURES_NAME, TABLES_NAME):
        # CSV files first, which are known by the LaTeX files beside them.
        for path in sorted((out / name).iterdir()) if (out / name).is_dir() else ():
            if path not in written and _named_like_ours(path) and _is_ours(path):
                with suppress(OSError):
                    path.unlink()

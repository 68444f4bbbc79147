"""Pages: templates beside this file, rendered to one HTML file that needs no script and nothing from a network.

How a number is written is decided here once, so that it looks alike on every page.
"""

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from biranet.grades import DISCLAIMER, GRADE_NAMES, GRADES, REFERABLE_GRADE
from biranet.outputs import head_of
from biranet.reports.pages.tables import COLUMNS_OF, ROWS_OF

ABSENT = "–"
"""Stands where there is no value."""

PICTURE_SIZE_PX = 320
"""Longer side of a picture on a page: sharp on a phone's screen, and some 15 kB each."""


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """Render a page that extends `page.html.jinja`.

    Args:
        template: File name of the template, beside this module.
        values: What the template shows; `title` must be among it. The grades, their names, the measures of
            each table and the disclaimer are there for every page.

    Returns:
        The page as HTML. What comes from outside is escaped.

    Raises:
        jinja2.UndefinedError: If the template asks for a value that is not there.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    """Templates and what they share; cached, as compiling the templates takes longer than filling them in."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for written in (percent, thousands, decimal, signed, compact, interval, picture):
        environment.filters[written.__name__] = written
    environment.globals |= {
        "disclaimer": DISCLAIMER,
        "grades": GRADES,
        "names": GRADE_NAMES,
        "referable": REFERABLE_GRADE,
        "columns_of": COLUMNS_OF,
        "rows_of": ROWS_OF,
    }
    return environment


def is_page(path: Path) -> bool:
    """Whether a file is a page that `render_page` made: the end of its title says so."""
    return " – biranet</title>".encode() in head_of(path)


def percent(share: float) -> str:
    """Write a share in whole per cent; what is not all or nothing is not rounded to it.

    Args:
        share: In [0, 1].

    Returns:
        The text, with a space that does not break.

    Example:
        >>> [percent(share).replace(chr(160), " ") for share in (0.0, 0.001, 0.634, 0.999, 1.0)]
        ['0 %', '<1 %', '63 %', '>99 %', '100 %']
    """
    rounded = round(100 * share)
    if share > 0 and rounded == 0:
        return "<1\N{NO-BREAK SPACE}%"
    if share < 1 and rounded == 100:
        return ">99\N{NO-BREAK SPACE}%"
    return f"{rounded}\N{NO-BREAK SPACE}%"


def thousands(count: int) -> str:
    """Write a count with a comma between thousands.

    Example:
        >>> thousands(50_000)
        '50,000'
    """
    return f"{count:,}"


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed count of decimals and a true minus sign.

    Args:
        value: The number, or None where it is not defined.
        digits: Decimals.

    Returns:
        The text; `ABSENT` for None. No negative zero.

    Example:
        >>> decimal(0.7345, 2), decimal(-0.25, 1), decimal(-0.0001, 2), decimal(None)
        ('0.73', '−0.2', '0.00', '–')
    """
    if value is None:
        return ABSENT
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}" if float(text) else "")


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference: as `decimal`, and a plus where it is above zero.

    Example:
        >>> signed(0.0734), signed(-0.0734, 2), signed(0.0), signed(-0.0001)
        ('+0.073', '−0.07', '0.000', '0.000')
    """
    text = decimal(value, digits)
    return text if value is None or value < 0 or float(text) == 0 else f"+{text}"


def compact(value: float | None) -> str:
    """Write a number of any size with four digits.

    Args:
        value: The number, or None where there is none.

    Returns:
        The text; `ABSENT` for None.

    Example:
        >>> compact(0.000123456), compact(12), compact(None)
        ('0.0001235', '12', '–')
    """
    return ABSENT if value is None else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def interval(ends: Sequence[float] | None, digits: int = 3) -> str:
    """Write an interval.

    Args:
        ends: (low, high), or None where there is none.
        digits: Decimals.

    Returns:
        The text; empty for None.

    Example:
        >>> interval((0.61, 0.7777), 2), interval(None)
        ('0.61 to 0.78', '')
    """
    return "" if ends is None else f"{decimal(ends[0], digits)} to {decimal(ends[1], digits)}"


def picture(pixels: npt.NDArray[np.uint8], most_px: int = PICTURE_SIZE_PX) -> str:
    """Put a picture into a page as JPEG.

    Args:
        pixels: (H, W, 3), uint8, RGB.
        most_px: How wide and how high it is at most.

    Returns:
        A `data:` address.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"

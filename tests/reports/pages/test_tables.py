"""The measures in tables of pages are listed in one place, and are ones that there are."""

import re
from pathlib import Path

import pytest

import biranet.reports.pages
from biranet.confusion import SCREENINGS
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.measures import MEANINGS, Measure
from biranet.reports.pages.tables import COLUMNS_OF, ROWS_OF

TEMPLATES = sorted(Path(biranet.reports.pages.__file__).parent.glob("*.jinja"))
PREFIXES = {"screenings": [f"{name}_" for name in SCREENINGS], "operating_points": ["operating_points.youden."]}


@pytest.mark.parametrize("table", [*COLUMNS_OF, *ROWS_OF])
def test_tables_show_what_there_is(table: str) -> None:
    keys = ROWS_OF[table] if table in ROWS_OF else [column.key for column in COLUMNS_OF[table]]
    assert keys
    for prefix in PREFIXES.get(table, [""]):
        assert [meaning_of(prefix + key).key for key in keys]  # raises where there is no such number


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_lists_measures_of_its_own(template: Path) -> None:
    names = "|".join(meaning.key for meaning in MEANINGS.values() if isinstance(meaning, Measure))
    assert not re.search(rf'[\[(,]\s*"(?:\w+\.)*(?:{names})"\s*[,\])]\s*"', template.read_text())

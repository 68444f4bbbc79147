"""The pages that hold figures of studies."""

import importlib

import pytest

from biranet.errors import InputError

STUDIES = ["evidence", "claims", "lesion_grades", "lesions", "shipped", "shipped_lesions", "taught"]
PAGES = [importlib.import_module(f"studies.{study}.page").PAGE for study in STUDIES]


@pytest.mark.parametrize("page", PAGES, ids=STUDIES)
def test_figures_of_a_page_are_those_of_its_tables(page):
    text = page.path.read_text(encoding="utf-8")
    assert page.with_figures(text, page.results) == text


def test_what_people_wrote_stays_and_old_figures_go():
    page = PAGES[0]
    begin, end = "<!-- figures: studies/evidence/page.py -->\n", "<!-- end of figures -->\n"
    made = page.with_figures(f"before\n{begin}old\n{end}after\n", page.results)
    assert made.startswith(f"before\n{begin}\n") and made.endswith(f"\n\n{end}after\n") and "old\n" not in made


@pytest.mark.parametrize("text", ["", "<!-- figures: studies/evidence/page.py -->\n", "<!-- end of figures -->\n"])
def test_a_page_without_its_marks_is_not_written(text):
    with pytest.raises(InputError, match="add both"):
        PAGES[0].with_figures(text, PAGES[0].results)

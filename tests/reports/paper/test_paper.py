"""What a paper takes from a report: right tables that compile, references, our own files only."""

import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from sklearn import metrics as oracle

from biranet.config import ReportConfig
from biranet.decisions.rules import apply_rules
from biranet.errors import InputError
from biranet.outputs import check_output
from biranet.reports.compare import COMPARISON, write_comparison
from biranet.reports.paper.latex import as_latex, text_width_pt, write_tabular
from biranet.reports.paper.references import BACKBONES, DATA_SETS, backbone_reference, cited_in, read_references
from biranet.reports.paper.wording import as_markdown
from biranet.reports.report import REPORT, write_report
from paper_report import RULES, STRANGE, predictions, rows_of

BARE = "A value without brackets has no interval: too little varies."


def test_tables_hold_the_numbers_of_the_report(report: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = report
    headline = {row["key"]: row for row in rows_of(out / "tables/headline.csv")}
    for key in ("quadratic_weighted_kappa", "referable_auc", "accuracy"):
        assert float(headline[key]["value"]) == pytest.approx(metrics[key], abs=1e-8)
        ends = [float(headline[key][f"value_{end}"]) for end in ("low", "high")]
        assert ends == pytest.approx(metrics["ci"][key], abs=1e-8)
    table = predictions()
    matrix = oracle.confusion_matrix(table["grade"], table["predicted_grade"])
    counts = rows_of(out / "tables/confusion_matrix.csv")
    assert [[int(row[f"predicted_{grade}"]) for grade in range(5)] for row in counts] == matrix.tolist()
    grades = rows_of(out / "tables/per_grade.csv")
    assert [int(row["photos"]) for row in grades] == matrix.sum(axis=1).tolist()
    recall = oracle.recall_score(table["grade"], table["predicted_grade"], average=None)
    assert [float(row["recall_per_grade"]) for row in grades] == pytest.approx(recall.tolist(), abs=1e-8)
    points = rows_of(out / "tables/operating_points.csv")
    assert [row["threshold"] for row in points] == ["", "0.3", "0.7"]
    assert float(points[1]["sensitivity"]) == pytest.approx(
        metrics["operating_points"]["sensitivity_90"]["sensitivity"], abs=1e-8
    )
    assert float(points[0]["referred_fraction"]) == pytest.approx((table["predicted_grade"] >= 2).mean(), abs=1e-8)
    parts = rows_of(out / "tables/subgroups.csv")
    # What a spreadsheet would compute is text.
    assert sorted(row["value"].removeprefix("'") for row in parts) == sorted(STRANGE)
    assert "'=1+1" in {row["value"] for row in parts}


def test_a_value_without_an_interval_is_explained_where_one_stands(
    report: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    table = predictions()
    write_report(tmp_path, table.assign(predicted_grade=table["grade"]), title="All right")
    text = (tmp_path / "tables/headline.tex").read_text(encoding="utf-8")
    assert "Quadratic weighted kappa & 1.00 \\\\" in text and BARE in text
    assert BARE not in (report[0] / "tables/headline.tex").read_text(encoding="utf-8")


SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)&", line.strip().removesuffix(r"\\"))


def test_tables_are_latex_that_compiles(report: tuple[Path, dict[str, Any]]) -> None:
    out, _ = report
    known = r"\\(?:text(?:backslash|asciicircum|asciitilde|asciigrave|less|greater|bar)|ldots|allowbreak)\{\}"
    for path in sorted((out / "tables").glob("*.tex")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        assert lines[0].startswith("% a table of biranet's; it needs \\usepackage{booktabs}")
        assert ("LuaLaTeX" in lines[0]) == (path.stem == "subgroups")
        begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
        parts = begun.count("tabular")
        assert begun == ["table", *["tabular"] * parts] and ended == ["tabular"] * parts + ["table"]
        columns = 0
        for line in lines:
            if kinds := re.findall(r"{tabular}{@{}(.*)@{}}", line):
                columns = len(re.sub(r"p{[\d.]+pt}", "p", kinds[0]))
            if not line.endswith(r"\\"):
                continue
            cells = cells_of(line)
            assert len(cells) == columns, line
            for cell in cells:
                plain = re.sub(rf"{known}|\\raggedright |\{{.?\}}|\\[&%$#_{{}}]|\$(?:-|\\[gl]eq)\$", "", cell)
                assert "\\" not in plain and not SPECIAL.search(plain), cell
        assert sum(map(text.count, (r"\toprule", r"\midrule", r"\bottomrule"))) == 3 * parts
    assert "0.30" in (out / "tables/operating_points.tex").read_text()
    assert re.search(r"Accuracy & 0\.\d\d \(0\.\d\d--0\.\d\d\) \\\\", (out / "tables/headline.tex").read_text())


SMALL_EM_PT = 9.25
"""An em of Computer Modern in `\\small`, in the widths of its size of 10 pt: cmr9 is wider than a shrunk cmr10."""


def computer_modern() -> dict[str, float]:
    """Widths of letters, in em, from the metrics of the font that LaTeX sets in; matplotlib brings them along."""
    signs = [*"!#$%&'()*+,-./0123456789:;=?@[]", "\N{EN DASH}"]
    names = (
        "exclam numbersign dollar percent ampersand quoteright parenleft parenright asterisk plus comma hyphen period "
        "slash zero one two three four five six seven eight nine colon semicolon equal question at bracketleft "
        "bracketright endash"
    )
    letter_of = dict(zip(names.split(), signs, strict=True)) | {"space": " "}
    metrics = Path(matplotlib.get_data_path(), "fonts/afm/cmr10.afm").read_text(encoding="latin-1")
    found = re.findall(r"WX ([\d.]+) ; N (\w+)", metrics)
    return {
        letter_of.get(name, name): float(width) / 1000 for width, name in found if len(letter_of.get(name, name)) == 1
    }


def width_of_block(lines: list[list[str]], widths: dict[str, float]) -> float:
    """What a block of cells is wide without any break, 8 pt between two columns."""
    columns = [max(sum(widths[letter] for letter in cell) for cell in column) for column in zip(*lines, strict=True)]
    return SMALL_EM_PT * sum(columns) + 8 * (len(columns) - 1)


def printed_blocks(text: str) -> list[list[list[str]]]:
    """The cells of each tabular as they are read, without what LaTeX obeys."""
    blocks = []
    for block in re.findall(r"\\toprule(.*?)\\bottomrule", text, re.DOTALL):
        said = (
            block.replace(r"\textgreater{}", "+").replace("$-$", "+").replace("--", "\N{EN DASH}").replace(r"\_", "+")
        )
        blocks.append([[cell.strip() for cell in cells_of(line)] for line in said.splitlines() if line.endswith(r"\\")])
    return blocks


def test_tables_are_no_wider_than_the_lines_of_a_page(tmp_path: Path) -> None:
    write_report(tmp_path / "r", apply_rules(predictions(), RULES), title="x", config=ReportConfig(by=("source",)))
    for name in ("a", "b"):
        predictions().to_csv(tmp_path / f"{name}.csv", index=False)
    write_comparison(tmp_path / "c", [tmp_path / "a.csv", tmp_path / "b.csv"])
    widths, in_column = computer_modern(), set()
    paths = sorted(tmp_path.glob("*/tables/*.tex"))
    assert len(paths) == 7
    for path in paths:
        blocks = printed_blocks(path.read_text(encoding="utf-8"))
        assert blocks and all(width_of_block(block, widths) <= 345 for block in blocks), path.stem
        if all(width_of_block(block, widths) <= 246 for block in blocks):
            in_column.add(path.stem)
    assert in_column >= {"headline", "confusion_matrix"}  # as docs/report.md says


def test_letters_are_not_wider_than_they_are_taken_for() -> None:
    for letter, width in computer_modern().items():
        assert text_width_pt(letter) >= SMALL_EM_PT * width, letter


def test_names_of_any_length_are_broken(tmp_path: Path) -> None:
    word = "resnet50_" * 30
    text = write_tabular("c", "l", ["Model", "Measure", "Value"], [[word, "two words " * 30, "0.5"]], words=2)
    limits = [float(limit) for limit in re.findall(r"p{([\d.]+)pt}", text)]
    assert len(limits) == 2 and sum(limits) + 2 * 8 + text_width_pt("Value") <= 345
    pieces = re.search(r"raggedright (resnet.*?) &", text)[1].split(r"\allowbreak{}")  # type: ignore[index]
    assert "".join(pieces) == as_latex(word)
    assert all(text_width_pt(piece.replace("\\", "")) <= limits[0] for piece in pieces)


def test_differences_have_a_sign(tmp_path: Path) -> None:
    table = predictions()
    table.to_csv(tmp_path / "good.csv", index=False)
    table.assign(predicted_grade=1).to_csv(tmp_path / "bad.csv", index=False)
    for first, other, sign in (("good", "bad", "$-$"), ("bad", "good", "+")):
        out = tmp_path / f"{first}_first"
        compared = write_comparison(out, [tmp_path / f"{first}.csv", tmp_path / f"{other}.csv"])
        found = compared["differences"][other]["accuracy"]
        size, (low, high) = abs(found["difference"]), (abs(end) for end in found["ci"])
        row = rf"Accuracy & {sign}{size:.3f} ({sign}{low:.3f} to {sign}{high:.3f}) \\"
        assert row in (out / "tables/differences.tex").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A&B_50%", r"A\&B\_50\%"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("a--b ''c'' ,,d", "a-{}-b '{}'c'{}' ,{},d"),
        ("[1] *", "{[}1{]} {*}"),
        ("−0.5 – ≥ ~", r"$-$0.5 -- $\geq$ \textasciitilde{}"),
        ("^`<|>", r"\textasciicircum{}\textasciigrave{}\textless{}\textbar{}\textgreater{}"),
        ("a\nb\x1b", "a b\\textbackslash{}x1b"),
    ],
)
def test_whatever_latex_would_obey_is_printed(text: str, expected: str) -> None:
    assert as_latex(text) == expected


def test_a_comparison_has_tables_and_methods_too(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    predictions().to_csv(paths[0], index=False)
    predictions().assign(predicted_grade=1).to_csv(paths[1], index=False)
    out = tmp_path / "out"
    names = ["Ours & theirs", "眼_2"]
    comparison = write_comparison(out, paths, names=names, title="A <b>title</b>")
    assert comparison["names"] == names
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert "A &lt;b&gt;title&lt;/b&gt; – biranet</title>" in page and "Ours &amp; theirs" in page
    rows = {row["model"]: row for row in rows_of(out / "tables/models.csv")}
    assert list(rows) == names
    for name in names:
        kappa = comparison["measures"][name]["quadratic_weighted_kappa"]
        assert float(rows[name]["quadratic_weighted_kappa"]) == pytest.approx(kappa, abs=1e-8)
    differences = {row["key"]: row for row in rows_of(out / "tables/differences.csv")}
    found = comparison["differences"][names[1]]["accuracy"]
    assert float(differences["accuracy"]["difference"]) == pytest.approx(found["difference"], abs=1e-8)
    assert float(differences["accuracy"]["difference_low"]) == pytest.approx(found["ci"][0], abs=1e-8)
    text = (out / "methods.md").read_text(encoding="utf-8")
    assert "Predictions of 眼\\_2 were compared with those of Ours \\& theirs on the same 60 photographs of 30" in text
    kappas = [comparison["measures"][name]["quadratic_weighted_kappa"] for name in names]
    assert (
        f"Quadratic weighted kappa was {kappas[1]:.2f} for 眼\\_2 and {kappas[0]:.2f} for Ours \\& theirs, a "
        f"difference of −{kappas[0] - kappas[1]:.2f} (−"
    ) in text
    assert "Differences were computed as 眼\\_2 less Ours \\& theirs, with 95 % CI in brackets; where one is" in text
    assert (out / "figures/roc_of_models.svg").exists()
    check_output(out, COMPARISON)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["one"], "--names gives 1 name for 2 tables; give one for each, in their order"),
        (["same", "same"], "--names must give each table a name of its own, and none that is empty"),
        (["one", " "], "--names must give"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        write_comparison(tmp_path / "out", [tmp_path / "a.csv", tmp_path / "b.csv"], names=names)


def test_a_report_made_again_replaces_and_deletes_its_own_only(tmp_path: Path) -> None:
    table = predictions(20).assign(eye=["left", "right"] * 10)
    write_report(tmp_path, table, title="First", config=ReportConfig(by=("eye",)))
    mine = [tmp_path / "figures/figure_1.svg", tmp_path / "tables/notes.csv", tmp_path / "figures/roc_edited.svg"]
    for path in mine[:2]:
        path.write_text("mine")
    mine[2].write_bytes((tmp_path / "figures/roc.svg").read_bytes())
    assert (tmp_path / "figures/subgroups_eye.pdf").exists() and (tmp_path / "tables/subgroups.csv").exists()
    grades = table[["file", "group", "grade", "predicted_grade"]]
    check_output(tmp_path, REPORT)
    write_report(tmp_path, grades, title="Again")
    left = {path.name for folder in ("figures", "tables") for path in (tmp_path / folder).iterdir()}
    ours = {f"confusion_matrix.{suffix}" for suffix in ("svg", "pdf", "csv", "tex")}
    ours |= {f"{name}.{suffix}" for name in ("headline", "per_grade", "operating_points") for suffix in ("csv", "tex")}
    assert left == ours | {path.name for path in mine}


@pytest.mark.parametrize("name", ["figures/roc.svg", "figures/roc.pdf", "tables/headline.tex", "methods.md", "figures"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "metrics.json").write_text('{"ci": {}, "undefined": {}, "facts": {}}')
    check_output(tmp_path, REPORT)
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("my thesis")
    words = f"holds other things than a report of biranet's, such as {name.split('/')[0]}"
    with pytest.raises(InputError, match=words):
        check_output(tmp_path, REPORT)


def test_a_folder_is_not_known_by_what_other_commands_write_too(tmp_path: Path) -> None:
    write_report(tmp_path, predictions(20), title="x")
    for name in ("metrics.json", "report.html", "predictions.csv"):
        (tmp_path / name).unlink()
    for kind in (COMPARISON, REPORT):
        with pytest.raises(InputError, match="such as figures"):
            check_output(tmp_path, kind)


def test_a_csv_without_its_latex_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"ci": {}, "undefined": {}, "facts": {}}')
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/headline.csv").write_text("measure\nmine\n")
    with pytest.raises(InputError, match="such as tables"):
        check_output(tmp_path, REPORT)


def test_every_reference_is_whole_and_can_be_cited() -> None:
    entries = read_references()
    for key, entry in entries.items():
        assert cited_in(f"[@{key}]") == [key]
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = {", entry, re.MULTILINE))
        assert entry.count("{") == entry.count("}")
    assert {key for _, key in DATA_SETS.values()} | set(BACKBONES.values()) <= set(entries)
    assert backbone_reference("tf_efficientnet_lite0") == "tan2019efficientnet" and backbone_reference("vit") == ""


def test_markdown_is_shown_as_it_is() -> None:
    assert as_markdown("<b> & *x* [@guo2017calibration]") == "\\<b\\> \\& \\*x\\* \\[\\@guo2017calibration\\]"
    assert cited_in(as_markdown("[@guo2017calibration]")) == []

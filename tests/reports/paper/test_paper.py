"""What a paper takes from a report: right tables that compile, sentences of what is known, our own files only."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from biranet.config import ReportConfig
from biranet.decisions.rules import OperatingPoint, Rules, apply_rules
from biranet.errors import InputError
from biranet.outputs import check_output
from biranet.reports.compare import COMPARISON, write_comparison
from biranet.reports.facts import Fact, HashedFile, ModelFact, RulesFact, SourceTable, TrainedOnFact
from biranet.reports.notes import Note
from biranet.reports.paper.latex import as_latex
from biranet.reports.paper.methods import as_markdown
from biranet.reports.paper.references import BACKBONES, DATA_SETS, backbone_reference, cited_in, read_references
from biranet.reports.report import REPORT, write_report
from biranet.reports.table_provenance import Provenance, parse_provenance

STRANGE = ["A&B_50%", "\\input{/etc/passwd}", "[x] -- ``q''", "=1+1", "眼科 ^~|<>"]
FACTS: dict[str, Fact] = {
    "Model": ModelFact("biranet", "tf_efficientnet_lite0", 224, test_time_flip=True),
    "Checkpoint": HashedFile("best.safetensors", "0a1b"),
    "Epoch": "12, validation kappa 0.8",
    "Trained on": TrainedOnFact("idrid", 3),
    "Photos": "prepared, part test of the column 'split'",
    "Rules": RulesFact("40 photos", 1.4),
    "Thresholds": {"sensitivity_90": 0.3, "specificity_90": 0.7},
    "Measured with": "biranet 0.1.0",
    "Division": "5 folds, divided by patient",
}
RULES = Rules(1.4, operating_points=(OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.7)))


def predictions(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, rows)
    shares = (2 * random.dirichlet(np.ones(5), rows) + np.eye(5)[truth]) / 3
    table = pd.DataFrame(shares.astype(np.float32), columns=[f"p{grade}" for grade in range(5)])
    return table.assign(
        file=[f"{number}.png" for number in range(rows)],
        group=[f"patient {number // 2}" for number in range(rows)],
        grade=truth,
        predicted_grade=shares.argmax(axis=1),
        camera=[STRANGE[number % 5] for number in range(rows)],
        source="idrid",
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("report")
    notes = [Note("method", "The test part was read *twice*.")]
    config = ReportConfig(by=("camera",))
    table = apply_rules(predictions(), RULES)
    return out, write_report(
        out, table, title="On _our_ camera", config=config, provenance=Provenance((*notes,), FACTS)
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
    parts = rows_of(out / "tables/subgroups.csv")
    # What a spreadsheet would compute is text.
    assert sorted(row["value"].removeprefix("'") for row in parts) == sorted(STRANGE)
    assert "'=1+1" in {row["value"] for row in parts}


SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)&", line.strip().removesuffix(r"\\"))


def test_tables_are_latex_that_compiles(report: tuple[Path, dict[str, Any]]) -> None:
    out, _ = report
    known = r"\\(?:textbackslash|textasciicircum|textasciitilde|textasciigrave|textless|textgreater|textbar|ldots)\{\}"
    for path in sorted((out / "tables").glob("*.tex")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        assert lines[0].startswith("% a table of biranet's; it needs \\usepackage{booktabs}")
        assert ("LuaLaTeX" in lines[0]) == (path.stem == "subgroups")
        begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
        assert begun == ended[::-1] == ["table", "tabular"]
        columns = len(next(re.findall(r"{tabular}{(\w+)}", line)[0] for line in lines if "begin{tabular}" in line))
        body = [line for line in lines if line.endswith(r"\\")]
        for line in body:
            cells = cells_of(line)
            assert len(cells) == columns, line
            for cell in cells:
                plain = re.sub(rf"{known}|\{{.?\}}|\\[&%$#_{{}}]|\$(?:-|\\[gl]eq)\$", "", cell)
                assert "\\" not in plain and not SPECIAL.search(plain), cell
        assert sum(map(text.count, (r"\toprule", r"\midrule", r"\bottomrule"))) == 3
    assert "0.30" in (out / "tables/operating_points.tex").read_text()
    assert re.search(r"Accuracy & 0\.\d\d \(0\.\d\d--0\.\d\d\) \\\\", (out / "tables/headline.tex").read_text())


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


def test_methods_say_what_is_known(report: tuple[Path, dict[str, Any]]) -> None:
    text = (report[0] / "methods.md").read_text(encoding="utf-8")
    counts = np.bincount(predictions()["grade"])
    for sentence in (
        "# On \\_our\\_ camera\n",
        "The model was measured on 60 photographs of 30 patients from IDRiD [@porwal2018idrid].",
        f"{counts[0]} had grade 0, {counts[1]} grade 1, ",
        "The model was BiRA-Net [@zhao2019biranet], a bilinear network of two attention streams, on the backbone "
        "tf\\_efficientnet\\_lite0 of timm [@tan2019efficientnet; @wightman2019timm], which looks at images of "
        "224 × 224 pixels. Each answer is the mean of the probabilities for a photo and its mirror image.",
        "It was trained on IDRiD [@porwal2018idrid] with the seed 3. Epochs of training: 12, validation kappa 0.8.",
        "Division: 5 folds, divided by patient.",
        "A temperature for the probabilities [@guo2017calibration]",
        "were fitted on 40 photos, temperature 1.400.",
        "Operating points of referral: sensitivity of at least 0.90, specificity of at least 0.90 (sensitivity\\_90: "
        "0.3000 specificity\\_90: 0.7000).",
        "* The test part was read \\*twice\\*.",
        "**figures/subgroups_camera.** Subgroups by camera.",
    ):
        assert sentence in text
    bib = (report[0] / "references.bib").read_text(encoding="utf-8")
    assert sorted(set(cited_in(text))) == re.findall(r"^@\w+{(\w+),$", bib, re.MULTILINE)
    figures = re.findall(r"\*\*figures/(\w+)\.\*\*", text)
    assert sorted(figures) == sorted({path.stem for path in (report[0] / "figures").iterdir()})
    tables = re.findall(r"\*\*tables/(\w+)\.\*\*", text)
    assert sorted(tables) == sorted({path.stem for path in (report[0] / "tables").iterdir()})


def test_nothing_is_said_of_the_training_of_a_foreign_table(tmp_path: Path) -> None:
    write_report(tmp_path, predictions().drop(columns="source"), title="Theirs")
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    for word in ("trained", "BiRA-Net", "timm", "IDRiD", "backbone", "prepared", "temperature", "thresholds were"):
        assert word not in text
    assert "No thresholds are known." in text
    assert "zhao2019biranet" not in (tmp_path / "references.bib").read_text()


def test_of_pooled_tables_is_said_what_all_share(tmp_path: Path) -> None:
    facts = {"Model": FACTS["Model"], "Thresholds": FACTS["Thresholds"]}
    tables = [
        SourceTable(f"{seed}.csv", "0a", {**facts, "Trained on": TrainedOnFact("idrid", seed)}) for seed in (1, 2)
    ]
    write_report(tmp_path, predictions(), title="Pooled", provenance=Provenance(tables=(*tables,)))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "The answers are those of 2 tables, pooled; what follows holds for all of them." in text
    assert "BiRA-Net [@zhao2019biranet]" in text and "It was trained on" not in text
    assert "sensitivity of at least 0.90: 0.30" in (tmp_path / "figures/scores_by_grade.svg").read_text()


def test_sentences_of_an_earlier_report_are_repeated_and_not_read(tmp_path: Path) -> None:
    facts = {
        "Model": "biranet, backbone resnet18, images of 224 px",
        "Trained on": "idrid, seed 3",
        "Rules": "none fitted",
    }
    write_report(tmp_path, predictions(), title="Earlier", provenance=Provenance(facts=facts))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "The model was biranet, backbone resnet18, images of 224 px." in text
    assert "It was trained on idrid, seed 3." in text and "Rules: none fitted." in text


def test_facts_come_back_from_a_report_as_the_data_that_they_were(report: tuple[Path, dict[str, Any]]) -> None:
    stored = json.loads((report[0] / "metrics.json").read_text(encoding="utf-8"))
    back = parse_provenance(stored)
    assert back is not None and {name: back.facts[name] for name in FACTS} == FACTS
    assert stored["facts"]["Model"] == str(FACTS["Model"])


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
    assert "Ours \\& theirs: kappa" not in (out / "methods.md").read_text()
    assert "眼\\_2: kappa with quadratic weights" in (out / "methods.md").read_text(encoding="utf-8")
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

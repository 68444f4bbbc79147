"""The methods and results in sentences: all that is known, nothing more, and nothing that no paper says."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biranet.decisions.rules import apply_rules
from biranet.reports.fact_kinds import (
    AuditFact,
    EpochFact,
    GradesFact,
    ModelFact,
    PatientsFact,
    PhotosFact,
    StartFact,
    TrainedOnFact,
    TrainingFact,
)
from biranet.reports.facts import Fact, HashedFile, SourceTable
from biranet.reports.fold_facts import DivisionFact, FoldDecoderFact, FoldFigure, FoldRulesFact
from biranet.reports.paper.references import cited_in
from biranet.reports.report import ReportExtras, write_report
from biranet.reports.table_provenance import Provenance, parse_provenance
from biranet.training_record import TrainingRun
from paper_report import FACTS, RULES, SETTINGS, predictions, rows_of

OF_FOLDS: dict[str, Fact] = {
    "Model": ModelFact("probe", "resnet18", 64, test_time_flip=False),
    "Division": DivisionFact(5, 1),
    "Folds": [FoldFigure("quadratic_weighted_kappa", "Kappa", 0.7, 0.6, 0.8, 5, 5)],
    "Checkpoints": [HashedFile("fold_0/best.safetensors", "0a1b")],
    "Trained on": TrainedOnFact("mine", 1, other_folds=True),
    "Started from": StartFact("first.safetensors", "0a", "aptos"),
    "Photos": PhotosFact("prepared", "each fold"),
    "Rules": FoldRulesFact((1.2, 1.4)),
    "Decoder": FoldDecoderFact("expected_grade", ((0.9, 1.7, 2.5, 3.1), (0.8, 1.7, 2.6, 3.2))),
    "Thresholds": {"sensitivity_90": (0.3, 0.4), "specificity_90": (0.7, 0.7)},
    "Grades": GradesFact("none=0"),
    "Audit": AuditFact(("copies: a.jpg and b.jpg.",), leaks=True),
}


def test_methods_say_what_is_known(report: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = report
    text = (out / "methods.md").read_text(encoding="utf-8")
    counts = np.bincount(predictions()["grade"])
    low, high = metrics["ci"]["quadratic_weighted_kappa"]
    for sentence in (
        "# On \\_our\\_ camera\n",
        "The model was evaluated on 60 photographs of 30 patients from IDRiD [@porwal2018idrid].",
        "Of 165 photographs at hand, 5 (3\N{NO-BREAK SPACE}%) were left out: 4 as ungradable and 1 for want of a "
        "reference grade.",
        "160 photographs had been divided by patient: 80 (50\N{NO-BREAK SPACE}%) for training, 12 (",
        "Those for testing are reported here.",
        f"reference grades were: {counts[0]} (",
        "The model was BiRA-Net [@zhao2019biranet], a network of two attention streams joined by bilinear pooling, on "
        "the backbone tf\\_efficientnet\\_lite0 [@tan2019efficientnet] as implemented in timm [@wightman2019timm]; its "
        "input was an image of 224 × 224 pixels. The probabilities for a photograph and for its mirror image were "
        "averaged.",
        "The backbone was initialised with weights pretrained on ImageNet [@deng2009imagenet]; the layers of the "
        "backbone up to a stride of 8 were not trained any further. Training was done on 80 photographs of 55 patients "
        "from IDRiD [@porwal2018idrid] in batches of 16 by AdamW [@loshchilov2019adamw] with a learning rate of 0.001 "
        "and a weight decay of 0.01; the rate rose linearly over the first tenth of the steps",
        "The loss was the grading loss of BiRA-Net [@zhao2019biranet], a cross-entropy weighted by the distance "
        "between predicted and true grade, with weights scaled to a mean of 1.",
        "Training ran for 30 epochs at most, or until kappa on 12 validation photographs had not risen for 10 epochs. "
        "It ended after 22 epochs, and the weights after epoch 12, with the highest quadratic weighted kappa on the 12 "
        "validation photographs (0.80), were used. The random seed was 3, and training was done in single precision on "
        "a CPU.",
        "cut at thresholds that were fitted for agreement with the reference grades (0.90, 1.70, 2.50 and 3.10 for "
        "grades 1 to 4). The probabilities were calibrated by temperature scaling [@guo2017calibration] on 8 "
        "photographs of the calibration part (temperature 1.40);",
        "chosen for a sensitivity of at least 0.90 (threshold 0.30); a specificity of at least 0.90 (threshold 0.70).",
        f"Quadratic weighted kappa was {metrics['quadratic_weighted_kappa']:.2f} ({low:.2f}–{high:.2f})",
        "\n\nOf 165 photographs, 161 (98\N{NO-BREAK SPACE}%) were gradable. In total, 60 photographs of 30",
        "By camera, quadratic weighted kappa was ",
        "* The test part was read \\*twice\\*.",
        "**figures/subgroups_camera.** Subgroups by camera.",
    ):
        assert sentence in text, sentence
    # What is an order to the user, a path, a hash or a command is no part of what a paper says.
    for word in ("biranet evaluate", "0a1b", "safetensors", "prepared", "column"):
        assert word not in text, word
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


def test_methods_of_folds_speak_of_all_models_and_those_of_a_probe_say_what_it_is(tmp_path: Path) -> None:
    table = apply_rules(predictions(), RULES)
    write_report(tmp_path, table.drop(columns="source"), title="Folds", provenance=Provenance(facts=OF_FOLDS))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    for sentence in (
        "A five-fold cross-validation was carried out on 60 photographs of 30 patients. The photographs were divided "
        "into five folds by patient (random seed 1)",
        "Each of the five models was a linear probe [@alain2016probes], a linear layer on",
        "Each model was trained with the random seed 1.",  # by an earlier biranet, which did not say how
        "cut at thresholds that were fitted for agreement with the reference grades on the answers for the other folds "
        "(0.80 to 0.90, 1.70, 2.50 to 2.60 and 3.10 to 3.20 for grades 1 to 4, over the folds).",
        "The probabilities of each fold were calibrated by temperature scaling [@guo2017calibration] on the answers "
        "for the other folds (temperatures 1.20 to 1.40)",
        "a sensitivity of at least 0.90 (thresholds 0.30 to 0.40 over the folds); a specificity of at least 0.90 "
        "(thresholds 0.70 over the folds).",
        "Over the five folds, quadratic weighted kappa ranged from 0.60 to 0.80.",
        "The values of the tables were translated to grades as follows: none=0.",
        "* copies: a.jpg and b.jpg.",
    ):
        assert sentence in text, sentence
    assert "mine" not in text and "found no photograph" not in text
    points = rows_of(tmp_path / "tables/operating_points.csv")
    assert [(row["threshold"], row["threshold_low"], row["threshold_high"]) for row in points[1:]] == [
        ("0.35", "0.3", "0.4"),
        ("0.7", "0.7", "0.7"),
    ]
    assert "0.30 to 0.40" in (tmp_path / "tables/operating_points.tex").read_text()
    figure = (tmp_path / "figures/scores_by_grade.svg").read_text(encoding="utf-8")
    assert "sensitivity of at least 0.90: 0.30 to 0.40" in figure
    whole = {name: fact for name, fact in OF_FOLDS.items() if name != "Training"}
    runs = (TrainingRun(64, 44, 9, 18, 7), TrainingRun(64, 45, 9, 30, 21))
    facts = {**whole, "Model": FACTS["Model"], "Training": TrainingFact("none", SETTINGS, runs)}
    write_report(tmp_path, table, title="Folds", provenance=Provenance(facts=facts))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    for sentence in (
        "All weights were initialised with those of the model first.safetensors, which had been trained on APTOS 2019, "
        "and all layers were trained. Training was done on 64 photographs of 44 to 45 patients from the other folds in",
        "It ended after 18 to 30 epochs, and the weights after epochs 7 to 21, with the highest",
    ):
        assert sentence in text, sentence


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize(
    ("patients", "sentences", "false"),
    [
        (
            PatientsFact(60, unknown=60),
            (
                "photograph by photograph, as patients were not known",
                "by file hash and perceptual hash found no photograph and no copy of one both among",
                "Patients were not known, so every photograph was counted as that of a patient of its own.",
                "from a bootstrap over photographs, as patients were not known [@efron1993bootstrap]",
                "widened for few photographs",
            ),
            ("of a patient stood", "by patient", "no patient", "over patients", "of 30 patients"),
        ),
        (
            PatientsFact(60, unknown=4),
            (
                "60 photographs of 30 patients (each photograph of an unknown patient counting as one)",
                "by patient, where known",
                "no copy of one and no known patient both among",
                "over patients (each photograph of an unknown patient counting as one), all photographs of one",
            ),
            ("no patient both", "as patients were not known"),
        ),
        (
            PatientsFact(60, guessed=60, guessed_from=("name",)),
            (
                "60 photographs of 30 patients (as guessed from the names of files)",
                "by patient, as guessed from the names of files",
                "and no patient, as guessed from the names of files, both among",
                "over patients (as guessed from the names of files), all photographs of one together",
            ),
            ("all photographs of a patient", "unknown"),
        ),
    ],
)
def test_no_more_is_said_of_patients_than_is_known(
    tmp_path: Path, patients: PatientsFact, sentences: tuple[str, ...], false: tuple[str, ...], folds: bool
) -> None:
    facts = {**FACTS, "Patients": patients, "Model": OF_FOLDS["Model"]}
    facts |= {"Division": DivisionFact(5, 1, patients.unit)} if folds else {"Divided patients": patients}
    table = predictions()
    if patients.all_unknown:
        table["group"] = table["file"]
        facts["Training"] = TrainingFact("none", SETTINGS, (TrainingRun(60, 60, 0, 2),))
    write_report(tmp_path, table.drop(columns="source"), title="Patients", provenance=Provenance(facts=facts))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8").partition("## To be said")[0]
    by = sentences[1] if not patients.all_unknown else sentences[0]
    assert f"The penalty was chosen by cross-validation among them, {by} (" in text.replace("; the", ". The")
    divided = "were divided into five folds" if folds else "160 photographs had been divided"
    assert f"{divided} {by}" in text
    for sentence in sentences:
        assert sentence in text, sentence
    for sentence in false:
        assert sentence not in text, sentence


def test_of_pooled_tables_patients_are_known_where_they_are_in_all(tmp_path: Path) -> None:
    known = {"Model": FACTS["Model"], "Patients": PatientsFact(30, unknown=30)}
    for other, unit in (({"Patients": PatientsFact(20, 20)}, "photographs, as"), ({}, "patients (each photograph of")):
        tables = (SourceTable("a.csv", "0a", known), SourceTable("b.csv", "0a", {"Model": FACTS["Model"], **other}))
        write_report(tmp_path, predictions(), title="Pooled", provenance=Provenance(tables=tables))
        assert f"a bootstrap over {unit}" in (tmp_path / "methods.md").read_text(encoding="utf-8")


def test_a_training_that_ran_to_its_end_is_not_said_to_have_ended_early(tmp_path: Path) -> None:
    run = TrainingRun(80, 55, 12, epochs=2, best_epoch=2)
    settings = replace(SETTINGS, epochs=2)
    for early_stop, end in ((0, "2 epochs"), (10, "2 epochs at most, or until kappa on 12 validation photographs had")):
        training = TrainingFact("stage2", replace(settings, early_stop=early_stop), (run,))
        facts = {**FACTS, "Training": training, "Epoch": EpochFact(2, 0.8, "quadratic_weighted_kappa")}
        write_report(tmp_path, predictions(), title="Whole", provenance=Provenance(facts=facts))
        text = (tmp_path / "methods.md").read_text(encoding="utf-8")
        assert f"Training ran for {end}" in text and "It ended" not in text
        assert ". The weights after epoch 2, with the highest quadratic weighted kappa on the 12 validation" in text


def test_the_probe_stands_in_methods_results_tables_and_notes(tmp_path: Path) -> None:
    table = predictions()
    worse = table.assign(predicted_grade=(table["predicted_grade"] + 1) % 5)
    metrics = write_report(tmp_path, table, title="Beside", extras=ReportExtras(probe=worse))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "## Reference model\n\nAs a reference, a linear probe [@alain2016probes] was fitted to the same" in text
    difference = metrics["control"]["differences"]["quadratic_weighted_kappa"]
    ends = " to ".join(f"{end:.2f}" for end in difference["ci"])
    assert f"the differences, model less probe, were +{difference['difference']:.2f} ({ends}) and 0.00" in text
    note = next(
        note for note in metrics["notes"] if note.startswith("A linear probe, which is one linear layer on the")
    )
    assert f"{difference['difference']:.2f} ({ends}) and 0.00" in note
    assert note.endswith("The model agrees better with the reference grades than a linear layer does.")
    rows = {row["key"]: row for row in rows_of(tmp_path / "tables/probe.csv")}
    assert float(rows["quadratic_weighted_kappa"]["difference"]) == pytest.approx(difference["difference"])
    assert "beside a linear probe: one linear layer on" in (tmp_path / "tables/probe.tex").read_text()
    write_report(tmp_path, table, title="Alone")
    assert "probe" not in (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert not (tmp_path / "tables/probe.csv").exists()


def test_of_pooled_tables_is_said_what_all_share(tmp_path: Path) -> None:
    facts = {"Model": FACTS["Model"], "Thresholds": FACTS["Thresholds"]}
    tables = [
        SourceTable(f"{seed}.csv", "0a", {**facts, "Trained on": TrainedOnFact("idrid", seed)}) for seed in (1, 2)
    ]
    write_report(tmp_path, predictions(), title="Pooled", provenance=Provenance(tables=(*tables,)))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "The answers of two tables were pooled; what is said of them holds for all of them." in text
    assert "BiRA-Net [@zhao2019biranet]" in text and "trained on" not in text
    assert "sensitivity of at least 0.90: 0.30" in (tmp_path / "figures/scores_by_grade.svg").read_text()


def test_sentences_of_an_earlier_report_are_repeated_or_left_out_and_not_read(tmp_path: Path) -> None:
    facts = {
        "Model": "biranet, backbone resnet18, images of 224 px",
        "Trained on": "idrid, seed 3",
        "Rules": "none fitted",
    }
    write_report(tmp_path, predictions(), title="Earlier", provenance=Provenance(facts=facts))
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "The model was biranet, backbone resnet18, images of 224 px." in text
    assert "The model was trained on idrid, seed 3." in text and "none fitted" not in text


def test_facts_come_back_from_a_report_as_the_data_that_they_were(report: tuple[Path, dict[str, Any]]) -> None:
    stored = json.loads((report[0] / "metrics.json").read_text(encoding="utf-8"))
    back = parse_provenance(stored)
    assert back is not None and {name: back.facts[name] for name in FACTS} == FACTS
    assert stored["facts"]["Model"] == str(FACTS["Model"])
    folds = Provenance(facts=OF_FOLDS)
    assert parse_provenance(json.loads(json.dumps(folds.as_json()))) == folds

"""The study's page: made from the tables alone, with all of their numbers, and sentences that follow the intervals."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, t
from sklearn.metrics import roc_auc_score

from biranet.config import EvaluationConfig
from biranet.decisions.predictions import read_predictions
from biranet.evaluation.groups import arrange_groups, block_sizes, draw_weights
from biranet.evaluation.intervals import RESAMPLES, measure_with_intervals, paired_differences
from studies.idrid import page
from studies.idrid.analysis import KEYS, pool, read_results
from studies.idrid.sentences import at_the_edges, sooner, standing


@pytest.fixture(scope="module")
def paper(finished_study, tmp_path_factory):
    """A folder with the page, and `tables` with nothing but CSVs, which it was made of; read only."""
    folder = tmp_path_factory.mktemp("paper")
    tables = folder / "tables"
    shutil.copytree(finished_study / "results", tables)
    assert all(path.suffix == ".csv" for path in tables.rglob("*") if path.is_file())
    assert page.main([str(tables), "--out", str(folder)]) == 0
    return folder


def test_every_number_of_the_tables_stands_on_the_page(paper):
    text = (paper / "README.md").read_text()
    measures = pd.read_csv(paper / "tables" / "measures.csv")
    assert len(measures) == 5 * len(KEYS)
    measures = pd.concat([measures, pd.read_csv(paper / "tables" / "external" / "measures.csv")])
    assert len(measures) == 9 * len(KEYS)
    for row in measures.itertuples():
        assert f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" in text or pd.isna(row.low)
        assert f" {row.value:.3f}" in text
    differences = pd.read_csv(paper / "tables" / "differences.csv")
    assert set(differences["question"]) == {"method", "whole", "loss", "ablation"}  # there was no RA-Net
    external = pd.read_csv(paper / "tables" / "external" / "differences.csv")
    assert set(external["question"]) == {"method", "whole", "loss"}
    for row in pd.concat([differences, external]).itertuples():
        ends = "" if pd.isna(row.low) else f" [{row.low:+.3f}, {row.high:+.3f}]"
        written = f"{row.difference:+.3f}{ends}"
        bold = not pd.isna(row.low) and (row.low > 0 or row.high < 0)
        assert (f"| **{written}** |" if bold else f"| {written} |") in text
    for row in pd.read_csv(paper / "tables" / "convergence.csv").itertuples():
        epochs = "–" if pd.isna(row.epochs_to_level) else int(row.epochs_to_level)
        assert f"| {row.lr:g} | {row.final_kappa:.3f} | {epochs} |" in text
    for row in pd.read_csv(paper / "tables" / "models.csv").itertuples():
        assert f" {row.weights / 1e6:.2f} | {row.trained / 1e6:.2f} |" in text


def test_the_settings_stand_in_the_sentences(paper):
    text = " ".join((paper / "README.md").read_text().split())
    for sentence in (
        "40 photographs of the official training part of IDRiD",
        "in 20 groups; of grade 0 to 4: 8, 8, 8, 8, 8.",
        "shown to the network at 64 px. 2 outer folds by group",
        "All on `test_resnet` with ImageNet weights, layers up to `none` frozen, but where nothing is.",
        "2 epochs, batches of 20 drawn so that each grade comes about equally often, augmentation `fundus`, adamw",
        "16 photographs of `elsewhere` in 8 groups; of grade 0 to 4: 4,",
        "there was 1 seed.",
    ):
        assert sentence in text, sentence


def test_the_choices_are_counted(paper):
    choices = pd.read_csv(paper / "tables" / "choices.csv").query("chosen == 1")
    text = (paper / "README.md").read_text()
    plain = choices.query("variant == 'plain' and loss == 'ce'")["lr"]
    assert f"| Plain network | cross-entropy | {(plain == 1e-3).sum()} | {(plain == 1e-2).sum()} |" in text
    assert at_the_edges(pd.read_csv(paper / "tables" / "choices.csv")) in text
    three = pd.DataFrame({"lr": [1.0, 2.0, 3.0] * 2, "chosen": [0, 0, 1, 0, 1, 0]})
    assert at_the_edges(three).startswith("The highest rate was chosen in 1 of 2 cases, the lowest in 0;")


def test_the_numbers_are_those_of_our_evaluation(paper):
    tables = [
        pool([read_predictions(paper / "tables" / "predictions" / f"biranet_{loss}_s1.csv")])
        for loss in ("ce", "grading")
    ]
    measured = measure_with_intervals(tables[1])
    rows = pd.read_csv(paper / "tables" / "measures.csv").query("variant == 'biranet' and loss == 'grading'")
    for row in rows.itertuples():
        assert row.value == pytest.approx(measured[row.measure], abs=1e-8)
        assert [row.low, row.high] == pytest.approx(measured["ci"][row.measure], abs=1e-8)
    (expected,) = paired_differences(tables, EvaluationConfig())
    rows = pd.read_csv(paper / "tables" / "differences.csv").query("question == 'loss' and other == 'biranet'")
    assert rows["difference"].tolist() == pytest.approx([expected[key]["difference"] for key in KEYS], abs=1e-8)
    assert rows["low"].tolist() == pytest.approx([expected[key]["ci"][0] for key in KEYS], abs=1e-8)


def test_the_same_tables_make_the_same_page(paper, tmp_path):
    assert page.main([str(paper / "tables"), "--out", str(tmp_path)]) == 0
    for name in ("README.md", "differences.svg", "curves.svg"):
        assert (tmp_path / name).read_bytes() == (paper / name).read_bytes()
    for name in ("differences.svg", "curves.svg"):
        assert (paper / name).read_text().count("<svg") == 1
        assert f"]({name})" in (paper / "README.md").read_text()


def test_the_page_counts_the_intervals_that_leave_out_0(paper):
    differences = pd.read_csv(paper / "tables" / "differences.csv").dropna(subset=["low"])
    excluding = ((differences["low"] > 0) | (differences["high"] < 0)).sum()
    kappas = differences[differences["measure"] == "quadratic_weighted_kappa"]
    of_kappa = ((kappas["low"] > 0) | (kappas["high"] < 0)).sum()
    text = " ".join((paper / "README.md").read_text().split())
    assert f"of {len(kappas)} differences of kappa, ablations included, {of_kappa} leave out 0, of all" in text
    assert f"measures {excluding} of {len(differences)}" in text


def test_without_external_photos_the_page_does_not_speak_of_them(paper, tmp_path):
    shutil.copytree(paper / "tables", tmp_path / "tables")
    shutil.rmtree(tmp_path / "tables" / "external")
    assert page.main([str(tmp_path / "tables"), "--out", str(tmp_path)]) == 0
    assert "## Photographs of another clinic" in (paper / "README.md").read_text()
    text = (tmp_path / "README.md").read_text()
    assert "## Photographs of another clinic" not in text
    assert "On photographs of another clinic" not in text
    assert "#e08214" in (paper / "differences.svg").read_text()
    assert "#e08214" not in (tmp_path / "differences.svg").read_text()


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ([(0.01, 0.2), (-0.1, 0.3)], "ahead in 1 of 2"),
        ([(-0.2, -0.01), (0.01, 0.3)], "ahead in 1 of 2 and behind in 1 of 2"),
        ([(0.0, 0.2), (None, None)], "nothing shown"),
        ([(-0.2, 0.0), (-0.2, 0.1)], "nothing shown"),
    ],
)
def test_a_question_counts_the_comparisons_it_rests_on(ends, shown):
    rows = pd.DataFrame({"difference": 0.1, "low": [low for low, _ in ends], "high": [high for _, high in ends]})
    assert standing(rows.astype(float), "Kappa", [" (here)", " (there)"]).startswith(f"Kappa: {shown}, ")


def test_the_whole_method_is_compared_with_the_ordinary_way(paper):
    names = ("plain_ce", "biranet_grading")
    tables = [pool([read_predictions(paper / "tables" / "predictions" / f"{name}_s1.csv")]) for name in names]
    (expected,) = paired_differences(tables, EvaluationConfig())
    rows = pd.read_csv(paper / "tables" / "differences.csv").query("question == 'method'")
    assert rows["difference"].tolist() == pytest.approx([expected[key]["difference"] for key in KEYS], abs=1e-8)
    (kappa,) = rows.query("measure == 'quadratic_weighted_kappa'").itertuples()
    (said,) = [line for line in (paper / "README.md").read_text().splitlines() if "**The whole method" in line][:1]
    assert f"{kappa.difference:+.3f} [{kappa.low:+.3f}, {kappa.high:+.3f}]" in said


def test_the_study_stays_below_the_model_that_ships():
    core = pd.read_csv(page.HERE / "results" / "core" / "measures.csv").query("measure == 'quadratic_weighted_kappa'")
    ships = json.loads((page.HERE.parent / "shipped" / "results" / "cross_validated.json").read_text())
    assert core["value"].max() < ships["quadratic_weighted_kappa"]  # as the page says in words


def test_the_sentence_on_convergence_counts_pairs():
    def training(loss, fold, epochs):
        rate = 1e-3 if fold == 2 else {"ce": 1e-4, "grading": 3e-4}[loss]
        return {"variant": "plain", "loss": loss, "seed": 1, "fold": fold, "lr": rate, "epochs_to_level": epochs}

    reached = {"ce": [5, 4, 3, None], "grading": [2, 4, 6, 1]}
    rows = [training(loss, fold, epochs) for loss, all_of in reached.items() for fold, epochs in enumerate(all_of)]
    table = pd.DataFrame(rows).astype({"epochs_to_level": "Int64"})
    assert sooner(table, "Plain network") == (
        "Plain network: mean epochs to 95 % of the final kappa: cross-entropy 4.0, grading loss 4.0; the grading loss "
        "was earlier in 1, later in 1 and level in 1 of 3 pairs of trainings, 1 of 4 at the same rate; 1 did not end "
        "above kappa 0 with both."
    )
    assert "nothing can be said" in sooner(table.query("loss == 'ce' or fold == 3"), "Plain network")


def test_seeds_are_pooled_within_their_groups(paper):
    found = read_results(paper / "tables")
    one = found.tables["biranet", "grading"]
    three = pool([one, one, one])
    assert three["file"].is_unique
    ours, theirs = measure_with_intervals(three), measure_with_intervals(one)
    # Three times the same answers are no more patients: same values, same width of the intervals.
    assert ours["groups"] == theirs["groups"]
    for key in KEYS:
        assert ours[key] == pytest.approx(theirs[key])
        if key != "micro_f1":
            assert ours["ci"][key] == pytest.approx(theirs["ci"][key], abs=1e-9)
    # But the exact interval of a share asks for its photos, and takes few for less than many.
    assert ours["ci"]["micro_f1"] == pytest.approx(korn_graubard(one, 3 * len(one)), abs=1e-9)
    assert theirs["ci"]["micro_f1"] == pytest.approx(korn_graubard(one, len(one)), abs=1e-9)


def korn_graubard(table, photos):
    """The interval of the share of right grades, written out, as if it were of so many photos in the same groups."""
    config, groups = EvaluationConfig(), arrange_groups([table])
    assert block_sizes(groups, RESAMPLES) == [RESAMPLES]
    weights = draw_weights(groups, RESAMPLES, [config.seed, 0])
    hit = (table["grade"] == table["predicted_grade"]).to_numpy()[groups.order]
    hits = np.array([hit[groups.group_of_photo == number].sum() for number in range(len(groups.sizes))])
    share, drawn = hit.mean(), weights.T @ hits / (weights.T @ groups.sizes)
    count = len(groups.sizes)
    design_effect = drawn.var() * count / (count - 1) / (share * (1 - share) / (photos - 1))
    size = min(photos, photos / design_effect * (t.ppf(0.975, photos - 1) / t.ppf(0.975, count - 1)) ** 2)
    right, wrong = share * size, (1 - share) * size
    return [beta.ppf(0.025, right, wrong + 1), beta.ppf(0.975, right + 1, wrong)]


def test_the_referable_auc_is_that_within_the_folds():
    core = page.HERE / "results" / "core"
    measured = pd.read_csv(core / "measures.csv").query("measure == 'referable_auc'")
    assert len(measured) == 14
    for row in measured.itertuples():
        table = pd.read_csv(core / "predictions" / f"{row.variant}_{row.loss}_s1.csv")
        areas = [
            roc_auc_score(fold["grade"] >= 2, fold[["p2", "p3", "p4"]].sum(axis=1)) for _, fold in table.groupby("fold")
        ]
        assert len(areas) == 5
        assert row.value == pytest.approx(sum(areas) / 5, abs=0.003)


def test_before_the_grid_has_run_the_page_says_so(tmp_path):
    tables = tmp_path / "core"
    tables.mkdir()
    budget = [("biranet", "outer", 10, 13, 12.5, 0.451), ("plain", "inner", 30, 13, 7.0, 0.758)]
    columns = ["variant", "part", "trainings", "epochs", "processor_seconds_per_epoch", "hours"]
    pd.DataFrame(budget, columns=columns).to_csv(tables / "budget.csv", index=False)
    assert page.main([str(tables), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text()
    assert "has not been run yet" in text
    assert "| BiRA-Net, outer | 10 | 13 | 12.5 | 0.45 |" in text
    assert "| all | 40 | | | 1.2 |" in text
    assert "## Results" not in text


def test_a_missing_table_is_named(paper, tmp_path, capsys):
    tables = tmp_path / "tables"
    shutil.copytree(paper / "tables", tables)
    (tables / "choices.csv").unlink()
    assert page.main([str(tables), "--out", str(tmp_path)]) == 2
    assert "choices.csv" in capsys.readouterr().err


@pytest.mark.kernels
def test_the_committed_page_is_that_of_the_committed_tables(tmp_path):
    core = page.HERE / "results" / "core"
    shutil.copytree(core, tmp_path / "core")
    assert page.main([str(tmp_path / "core"), "--out", str(tmp_path)]) == 0
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) > 1
    for path in made:
        where = page.HERE / path.name if path.parent == tmp_path else core / path.relative_to(tmp_path / "core")
        assert path.read_bytes() == where.read_bytes()

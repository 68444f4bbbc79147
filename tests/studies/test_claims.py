"""The study of the claims on drawn photographs: who learns from what, what is measured, and its page."""

import argparse
import dataclasses
import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score

from biranet.errors import InputError
from biranet.manifest import graded_photos, read_manifest
from biranet.photos.audit import find_duplicate_sets
from studies.claims import between, page, run, sums
from studies.claims.arms import ARMS, COMPARISONS, METHOD, PROBE, Head, Probe, known_arms
from studies.claims.maps import principal_directions, project
from studies.claims.training import Fold, answer, choose, train_and_ask

FITTED = Probe("Linear probe", penalty=1.0)
"""A probe whose penalty is known; how it is chosen, which takes long, is tested where the product chooses it."""

LONGER = ["plain_ce", METHOD]
"""Those below that choose their lengths."""

SMALL = {
    PROBE: FITTED,
    "plain_ce": dataclasses.replace(ARMS["plain_ce"], rates=(0.01, 0.1), lengths=(2, 4)),
    METHOD: dataclasses.replace(ARMS[METHOD], rates=(0.01,), lengths=(2,)),
    "probe_projected": dataclasses.replace(FITTED, projected=True),
    "plain_untuned": dataclasses.replace(ARMS["plain_untuned"], lengths=(3,)),
}


def words(prepared, folder, **more):
    """What the command is given."""
    paths = {"recipe": folder / "recipe.toml", "out": folder / "out", "results": folder / "results"}
    given = {"masks": None, "backbone_weights": None, "size": None, "longer": False, "seeds": 2}
    return argparse.Namespace(prepared=prepared, **(given | paths | more))


@pytest.fixture(scope="module")
def finished(prepared, tiny_recipe, tmp_path_factory):
    """Folder of a finished run with few arms: `out`, `results`; read only."""
    folder = tmp_path_factory.mktemp("claims")
    (folder / "recipe.toml").write_text(tiny_recipe)
    run.run(words(prepared, folder), SMALL)
    return folder


def test_every_seed_answers_for_every_photo_by_what_learned_from_other_visits(finished, prepared):
    answers = pd.read_csv(finished / "results" / "answers.csv")
    photos = graded_photos(read_manifest(prepared))
    for _, table in answers.groupby("seed"):
        assert sorted(table["file"]) == sorted(photos["file"])
        assert (table.groupby("group")["fold"].nunique() == 1).all()
    first, second = (table.set_index("file")["fold"] for _, table in answers.groupby("seed"))
    assert (first != second[first.index]).any()


def test_it_goes_on_where_it_was_stopped_and_to_the_same_answers(finished, prepared, tmp_path, capsys):
    given = words(prepared, finished, results=tmp_path)
    kept = run.part_file(finished / "out" / "parts", 1, 0, METHOD)
    before = json.loads(kept.read_text())
    run.run(given, SMALL)
    assert "seed" not in capsys.readouterr().out
    assert (tmp_path / "answers.csv").read_bytes() == (finished / "results" / "answers.csv").read_bytes()
    kept.unlink()
    run.run(given, SMALL)
    assert capsys.readouterr().out.count(METHOD) == 1
    assert {**json.loads(kept.read_text()), "seconds": before["seconds"]} == before
    with pytest.raises(InputError, match="begun with other settings"):
        recipe = tmp_path / "other.toml"
        recipe.write_text((finished / "recipe.toml").read_text().replace("lr = 1e-2", "lr = 1e-3"))
        run.run(words(prepared, finished, recipe=recipe), SMALL)


@pytest.mark.parametrize(
    "changed",
    [
        {"plain_ce": dataclasses.replace(SMALL["plain_ce"], rates=(0.01, 0.2))},
        {"plain_ce": dataclasses.replace(SMALL["plain_ce"], lengths=(2,))},
        {"plain_ce": dataclasses.replace(SMALL["plain_ce"], build=ARMS["ranet_ce"].build)},
        {METHOD: dataclasses.replace(SMALL[METHOD], taught=0.5)},
        {PROBE: dataclasses.replace(FITTED, penalty=None)},
    ],
)
def test_parts_of_a_changed_arm_are_not_mixed(finished, prepared, changed):
    with pytest.raises(InputError, match="begun with other settings"):
        run.run(words(prepared, finished), SMALL | changed)


def test_longer_trainings_are_chosen_among_where_a_length_is_and_mixed_with_no_others(finished, prepared):
    for name, arm in known_arms(longer=True).items():
        if isinstance(arm, Head) and len(ARMS[name].lengths) > 1:
            assert arm.lengths == (*ARMS[name].lengths, 4 * max(ARMS[name].lengths))
            assert set(ARMS[name].rates) <= set(arm.rates) and min(arm.rates) == 2e-4
        else:
            assert arm == ARMS[name]
    with pytest.raises(InputError, match="begun with other settings"):
        run.run(words(prepared, finished, longer=True), SMALL)


@pytest.mark.parametrize(("name", "value"), [("CHANNELS", 8), ("HELD_BACK", 0.5), ("LESIONS", ("MA", "HE"))])
def test_parts_of_changed_constants_are_not_mixed(finished, prepared, name, value, monkeypatch):
    monkeypatch.setattr(run, name, value)
    with pytest.raises(InputError, match="begun with other settings"):
        run.run(words(prepared, finished), SMALL)


def test_measures_are_means_over_seeds_of_those_of_sklearn(finished):
    found = json.loads((finished / "results" / "claims.json").read_text())
    answers = pd.read_csv(finished / "results" / "answers.csv")
    expected = {key: [] for key in sums.KEYS}
    for _, table in answers.groupby("seed"):
        grade, said = table["grade"], table[f"{METHOD}_grade"]
        ranks = table.groupby("fold")[f"{METHOD}_score"].rank(pct=True)
        expected["quadratic_weighted_kappa"].append(cohen_kappa_score(grade, said, weights="quadratic"))
        expected["aca"].append(recall_score(grade, said, average="macro", zero_division=0))
        expected["referable_auc"].append(roc_auc_score(grade >= 2, ranks))
    for key, values in expected.items():
        measured = found["arms"][METHOD][key]
        assert measured["value"] == pytest.approx(np.mean(values))
        np.testing.assert_allclose(measured["by_seed"], values, atol=1e-6)
        assert measured["ci"][0] < measured["value"] < measured["ci"][1]
    asked = {(each["first"], each["other"]): each for each in found["comparisons"]}
    assert asked.keys() == {(first, other) for _, first, other in COMPARISONS if {first, other} <= SMALL.keys()}
    kappa = asked[PROBE, METHOD]["quadratic_weighted_kappa"]
    values = [found["arms"][arm]["quadratic_weighted_kappa"]["value"] for arm in (METHOD, PROBE)]
    assert kappa["value"] == pytest.approx(values[0] - values[1])
    assert kappa["p"] <= kappa["p_adjusted"] <= 1
    assert {pair["first"] for pair in found["controls"]} == {PROBE, "plain_ce", "plain_untuned"}


def fold_of(channels=6, seed=1):
    """60 photos whose averaged features tell their grade, and less of the last third."""
    random = np.random.default_rng(5)
    grades = np.tile(np.arange(5), 12)
    maps = random.normal(size=(60, 2, channels, 2, 2)) * 0.3
    maps[:, :, 0] += grades[:, None, None, None] - 2
    maps = torch.from_numpy(maps).float()
    drawn = torch.full((60, 2, 2, 2), torch.nan)
    photos = pd.DataFrame({"file": map(str, range(60)), "group": map(str, range(60)), "grade": grades})
    return Fold(photos, maps, maps, drawn, np.arange(30), np.arange(30, 40), np.arange(40, 60), seed)


@pytest.mark.parametrize("name", ["probe", "plain_ce", "biranet_grading"])
def test_the_test_photos_have_no_say(name):
    """Neither their grades nor their features change what is chosen and learned."""
    arm, fold = FITTED if name == PROBE else ARMS[name], fold_of()
    if isinstance(arm, Head):
        arm = dataclasses.replace(arm, rates=arm.rates[:2], lengths=(2, 5))
    choice, shares = answer(arm, fold)
    grades = fold.grades.copy()
    grades[fold.test] = 4 - grades[fold.test]
    maps = fold.maps.clone()
    maps[fold.test[1:]] += 1
    other = fold._replace(photos=fold.photos.assign(grade=grades), maps=maps, projected=maps)
    again, changed = answer(arm, other)
    assert again == choice
    np.testing.assert_array_equal(changed[0], shares[0])
    assert np.abs(changed[1:] - shares[1:]).max() > 1e-3


def test_the_choice_is_the_best_of_all_settings_on_what_is_held_back():
    fold, arm = fold_of(), dataclasses.replace(ARMS["plain_ce"], rates=(1e-4, 0.1, 1.0), lengths=(1, 30))
    choice = choose(arm, fold)
    scores = {}
    truth = np.eye(5)[fold.grades[fold.held_back]].cumsum(axis=1)
    for rate, steps in itertools.product(arm.rates, arm.lengths):
        shares = train_and_ask(arm, fold, fold.inner, fold.held_back, rate, steps)
        scores[rate, steps] = ((shares.cumsum(axis=1) - truth) ** 2).sum(axis=1).mean()
    assert choice.score == pytest.approx(min(scores.values())) and choice.score < 0.2
    assert scores[choice.setting, choice.steps] == min(scores.values())
    assert choice.longest == (choice.steps == 30)


def test_what_diverges_is_not_chosen():
    fold = fold_of()
    wild = fold._replace(projected=fold.projected * 1e30)
    arm = dataclasses.replace(ARMS["no_normalization"], rates=(1e-3,), lengths=(1, 2))
    assert train_and_ask(arm, wild, fold.inner, fold.test, 1e-3, 2) is None
    with pytest.raises(InputError, match="diverges at every rate"):
        answer(arm, wild)
    later = fold.projected.clone()
    later[fold.test] *= 1e30  # chosen before: then it has no opinion
    _, shares = answer(arm, fold._replace(projected=later))
    assert (shares == 0.2).all()


def test_masks_teach_attention_in_photos_that_have_some_and_are_learned_from():
    fold = fold_of()
    untaught, taught = (
        train_and_ask(ARMS[name], each, fold.inner, fold.test, 0.01, 3)
        for name, each in ((METHOD, fold), ("taught", fold))
    )
    np.testing.assert_array_equal(taught, untaught)  # nothing is drawn
    drawn = fold.drawn.clone()
    drawn[fold.test] = torch.tensor([[0.0, 0.5], [0.0, 0.0]])
    elsewhere = train_and_ask(ARMS["taught"], fold._replace(drawn=drawn), fold.inner, fold.test, 0.01, 3)
    np.testing.assert_array_equal(elsewhere, untaught)
    drawn[fold.inner] = torch.tensor([[0.0, 0.5], [0.0, 0.0]])
    there = train_and_ask(ARMS["taught"], fold._replace(drawn=drawn), fold.inner, fold.test, 0.01, 3)
    assert np.abs(there - untaught).max() > 1e-4


def test_directions_hold_what_there_is_and_a_projection_keeps_it():
    maps = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    maps = torch.cat([maps, maps[:, :1] - maps[:, 1:2]], dim=1)  # of four channels three matter
    directions, share = principal_directions(maps, 3)
    assert share == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(directions @ directions.T, torch.eye(3), atol=1e-5, rtol=0)
    back = torch.einsum("kc,nkhw->nchw", directions, project(maps, directions))
    torch.testing.assert_close(back, maps, atol=1e-4, rtol=0)
    assert principal_directions(maps, 1)[1] < share


def test_intervals_and_power_know_visits_and_seeds():
    """Of known variances: 400 visits that move the mean by 0.03, and 12 seeds that spread by 0.01."""
    random = np.random.default_rng(3)
    seeds = 0.05 + 0.01 * np.resize([1, -1], 12)
    drawn = sums.Drawn(seeds, 0.05 + 0.03 * random.standard_normal(20_000), 400)
    error = np.sqrt(0.03**2 + 0.01**2 / 11)
    told = drawn.told()
    assert told["value"] == pytest.approx(0.05)
    assert told["ci"][1] - 0.05 == pytest.approx(norm.ppf(0.975) * error, rel=0.02)
    assert told["p"] == pytest.approx(2 * norm.sf(0.05 / error), rel=0.1)
    assert told["detectable"] == pytest.approx((norm.ppf(0.975) + norm.ppf(0.8)) * error, rel=0.02)
    # Where all hangs on the seeds, 11 degrees of freedom are left.
    alone = drawn._replace(draws=np.full(9, 0.05)).told()
    assert alone["ci"][1] - 0.05 == pytest.approx(2.201 * 0.01 / np.sqrt(11), rel=1e-3)


def drawn_study(random, noise, visits=80, seeds=2):
    """Answers of arms that err by so much, and by half as much again in each seed."""
    files = [f"{number:02}" for number in range(visits)]
    photos = pd.DataFrame({"file": files, "group": files, "grade": random.integers(5, size=visits)})
    of_visits = {arm: random.standard_normal(visits) for arm in noise}
    tables = []
    for seed in range(seeds):
        table = photos.assign(seed=seed, fold=np.arange(visits) % 2)
        for arm, size in noise.items():
            said = table["grade"] + size * (of_visits[arm] + 0.5 * random.standard_normal(visits))
            table = table.assign(**{f"{arm}_grade": said.round().clip(0, 4).astype(int), f"{arm}_score": said})
        tables.append(table)
    return pd.concat(tables)


def test_the_same_arms_are_compared_in_two_runs_photo_by_photo():
    random = np.random.default_rng(4)
    small = drawn_study(random, {"probe": 1.0, "plain_ce": 1.0})
    elsewhere = "fundus/" + small["file"]  # prepared from the folder above
    better = small.assign(file=elsewhere, plain_ce_grade=small["grade"], plain_ce_score=small["grade"])
    found = sums.compare_runs(small, better.sample(frac=1, random_state=1), ["probe", "plain_ce"], resamples=200)
    assert found["probe"]["quadratic_weighted_kappa"]["value"] == 0
    expected = [
        1 - cohen_kappa_score(table["grade"], table["plain_ce_grade"], weights="quadratic")
        for _, table in small.groupby("seed")
    ]
    kappa = found["plain_ce"]["quadratic_weighted_kappa"]
    np.testing.assert_allclose(kappa["by_seed"], expected, atol=1e-6)
    assert kappa["ci"][0] > 0
    assert kappa["p_adjusted"] == pytest.approx(2 * kappa["p"])  # of two, the other of which is nothing
    assert found["probe"]["quadratic_weighted_kappa"]["p_adjusted"] == 1
    with pytest.raises(InputError, match="same photos in the same seeds and folds"):
        sums.compare_runs(small, better.assign(fold=1 - better["fold"]), ["probe"])


def test_a_difference_called_detectable_is_found_in_four_of_five_studies():
    """In studies that are drawn anew, of arms whose kappas differ by what these call detectable, or not at all."""
    random = np.random.default_rng(1)

    def told(noise, studies):
        tables = (drawn_study(random, {PROBE: noise, METHOD: 0.6}) for _ in range(studies))
        each = [sums.sum_up(table, [PROBE, METHOD], resamples=100)["comparisons"][0] for table in tables]
        return pd.DataFrame([one["quadratic_weighted_kappa"] for one in each])

    apart, alike = told(1.07, 36), told(0.6, 16)
    assert apart["value"].mean() == pytest.approx(apart["detectable"].mean(), rel=0.1)
    assert (apart["p"] < 0.05).mean() == pytest.approx(0.8, abs=0.1)
    assert (alike["p"] < 0.05).mean() <= 0.15


def test_holm_rejects_no_more_than_bonferroni_of_the_first_and_never_falls():
    p = [0.04, 0.001, 0.5, 0.02, 0.9]
    adjusted = sums.holm(p)
    assert adjusted == pytest.approx([0.12, 0.005, 1.0, 0.08, 1.0])
    assert sums.holm([]) == []


def test_an_official_test_part_is_refused(prepared):
    photos = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    photos.loc[0, "official_split"] = "test"
    with pytest.raises(InputError, match="published test part"):
        run.divide(photos, find_duplicate_sets(photos), 1)


def test_the_page_says_what_the_intervals_say(finished, tmp_path):
    results = shutil.copytree(finished / "results", tmp_path / "results")
    for folder in page.FURTHER:
        further = shutil.copytree(finished / "results", results / folder)
        measured = json.loads((further / "claims.json").read_text())
        (further / "claims.json").write_text(json.dumps(measured | {"longer": folder == "longer"}))
        assert between.main([str(finished / "results"), str(further)]) == 0
    text = page.PAGE.with_figures(page.PAGE.path.read_text(encoding="utf-8"), results)
    found = json.loads((results / "claims.json").read_text())
    # The same answers; of longer trainings those arms are compared that can have some.
    assert text.count("+0.000 [+0.000, +0.000]") >= (len(found["arms"]) + len(LONGER)) * len(sums.KEYS)
    compared = json.loads((results / "longer" / between.BETWEEN_NAME).read_text())["arms"]
    assert list(compared) == LONGER
    for each in [*found["comparisons"], *found["controls"], *found["prices"]]:
        for key in sums.KEYS:
            assert f"{each[key]['value']:+.3f} [{each[key]['ci'][0]:+.3f}" in text
    first, *_ = text.partition("## In short")[2].split("* **")[1:]
    assert first.startswith("BiRA-Net against the linear probe")
    assert (finished / "results" / "controls.svg").read_text().count("<path") > 3

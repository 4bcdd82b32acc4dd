"""The report against a naive recomputation, what it refuses, and what must not change it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from magnn.cli import console
from magnn.data.split import Split
from magnn.errors import InputError
from magnn.ranking.baselines import choose_knn, item_knn
from magnn.ranking.evaluate import evaluate_scorer
from tests.conftest import SMALL_MODEL
from tests.worlds import log_of

Log = tuple[pl.DataFrame, pl.DataFrame]


def fitted_on(split: Split, **options: Any) -> magnn.Recommender:
    return magnn.fit(split, preset="paper", config={"model": SMALL_MODEL}, epochs=1, **options)


@pytest.fixture(scope="module")
def not_refitted(small_log: Log) -> magnn.Recommender:
    return fitted_on(magnn.split(magnn.read_events(small_log[0]), "paper"), refit=False)


@pytest.fixture(scope="module")
def with_repeats(small_log: Log) -> magnn.Recommender:
    """Users come back to what they had: some test items are seen ones, some come twice in the test."""
    events = small_log[0]
    again = events.group_by("user_id", maintain_order=True).head(3).with_columns(pl.col("timestamp") + 10**8)
    log = pl.concat([events, again, again.with_columns(pl.col("timestamp") + 10**6)])
    split = magnn.split(magnn.read_events(log, repeats="all"), "paper")
    assert len(np.intersect1d(split.train.of(0), split.test.of(0))), "or this shows nothing"
    return fitted_on(split)


def lists(rec: magnn.Recommender, parts: tuple[int, ...], k: int) -> dict[int, list[int]]:
    """User number -> ranked items, from query vectors and one matrix product; `parts` of the log are what has been seen."""
    model, split = rec.model, rec.split
    Q = model.items.detach().numpy()
    width = model.config.long_window + model.config.short_window
    found = {}
    for user in range(model.n_users):
        of_user = split.events.histories.users == user
        seen = split.events.histories.items[of_user & np.isin(split.part, parts)].tolist()
        if not seen:
            continue
        history = ([model.n_items] * width + seen)[-width:]
        with torch.no_grad():
            v = model(torch.tensor([user]), torch.tensor([history]))[0].numpy()
        scores = v @ Q.T
        scores[seen] = -np.inf
        order = np.argsort(-scores, kind="stable")[:k].tolist()
        found[user] = [item for item in order if scores[item] > -np.inf]
    return found


def counted(split: Split, part: int, ranked: dict[int, list[int]], k: int) -> dict[str, float]:
    """Metrics in plain Python, from their definitions."""
    rows = []
    for user, items in ranked.items():
        relevant = set(
            split.events.histories.items[(split.events.histories.users == user) & (split.part == part)].tolist()
        )
        if not relevant:
            continue
        at = [place for place, item in enumerate(items, start=1) if item in relevant]
        dcg = sum(1 / math.log2(place + 1) for place in at)
        ideal = [1 / math.log2(place + 1) for place in range(1, k + 1)]
        precisions = [(number + 1) / place for number, place in enumerate(at)]
        rows.append(
            {
                "recall": len(at) / len(relevant),
                "ndcg": dcg / sum(ideal[: len(relevant)]),
                "ndcg_fixed": dcg / sum(ideal),
                "map": sum(precisions) / len(relevant),
                "mrr": 1 / at[0] if at else 0.0,
            }
        )
    shown = {item for items in ranked.values() for item in items}
    means = {f"{name}@{k}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return {**means, f"coverage@{k}": len(shown) / split.events.n_items}


@pytest.mark.parametrize("which", ["recommender", "not_refitted", "with_repeats"])
@pytest.mark.parametrize("k", [1, 10, 50])
def test_the_report_is_what_naive_ranking_counts(request: pytest.FixtureRequest, which: str, k: int) -> None:
    """On test, the validation events are history, whether or not they were trained on."""
    rec: magnn.Recommender = request.getfixturevalue(which)
    report = magnn.evaluate(rec, k=k, baselines=False)
    expected = counted(rec.split, 2, lists(rec, (0, 1), k), k)
    assert report.metrics == pytest.approx(expected, rel=1e-9)
    assert report.metrics.keys() == expected.keys()


def test_validation_events_are_ranked_after_training_events_alone(not_refitted: magnn.Recommender) -> None:
    report = magnn.evaluate(not_refitted, on="valid", baselines=False)
    assert report.metrics == pytest.approx(counted(not_refitted.split, 1, lists(not_refitted, (0,), 10), 10), rel=1e-9)
    chosen = [log.metrics for log in not_refitted.logs]
    assert report.metrics["ndcg@10"] == pytest.approx(chosen[0]["ndcg@10"]), "training judges with the same yardstick"


def test_popularity_counts_what_the_recommender_was_trained_on(
    recommender: magnn.Recommender, not_refitted: magnn.Recommender
) -> None:
    for rec, trained_on in ((recommender, (0, 1)), (not_refitted, (0,))):
        split, histories = rec.split, rec.split.events.histories
        counts = np.bincount(histories.items[np.isin(split.part, trained_on)], minlength=histories.n_items).astype(
            float
        )
        ranked = {}
        for user in range(histories.n_users):
            scores = counts.copy()
            scores[histories.items[(histories.users == user) & (split.part != 2)]] = -np.inf
            ranked[user] = np.argsort(-scores, kind="stable")[:10].tolist()
        found = magnn.evaluate(rec).systems["popularity"].metrics
        assert found == pytest.approx(counted(split, 2, ranked, 10), rel=1e-9)


def test_item_knn_counts_the_same_and_chooses_on_the_validation_events(
    recommender: magnn.Recommender, not_refitted: magnn.Recommender
) -> None:
    for rec in (recommender, not_refitted):
        split, report = rec.split, magnn.evaluate(rec)
        chosen = choose_knn(split.train, split.valid)
        assert chosen != choose_knn(split.train_and_valid, split.test), "or this shows nothing"
        assert report.knn == chosen
        trained_on = split.train_and_valid if rec.refit else split.train
        scorer = item_knn(trained_on, split.train_and_valid, chosen)
        expected = evaluate_scorer(scorer, split.train_and_valid, split.test).metrics
        assert report.systems["item-knn"].metrics == expected


def test_the_baselines_do_not_depend_on_the_order_of_users(small_log: Log) -> None:
    """Renamed users stand elsewhere in every array. (The network does depend on it: their rows start elsewhere.)"""
    events = small_log[0]
    found = []
    for name in (pl.col("user_id"), (pl.col("user_id") * 7919) % 1009):  # 1009 is prime: no two users become one
        renamed = events.with_columns(name.alias("user_id")).sample(fraction=1, shuffle=True, seed=1)
        rec = fitted_on(magnn.split(magnn.read_events(renamed), "paper"))
        report = magnn.evaluate(rec)
        found.append({system: report.systems[system].metrics for system in ("popularity", "item-knn")})
    assert found[0]["popularity"] == pytest.approx(found[1]["popularity"], rel=1e-9)
    # Sums in another order: rounding may swap two equal items, no more.
    assert found[0]["item-knn"] == pytest.approx(found[1]["item-knn"], abs=5e-3)


def test_the_report_says_what_was_compared(recommender: magnn.Recommender) -> None:
    told: list[str] = []
    report = magnn.evaluate(recommender, recommender.split, k=3, progress=told.append)
    assert told == list(report.systems) == ["magnn", "item-knn", "popularity"]
    assert (report.on, report.protocol, report.refit, report.k) == ("test", "paper", True, 3)
    assert report.n_items == recommender.split.events.n_items and report.n_cold == 0
    assert report.n_users == len(report.systems["magnn"].users) == recommender.split.events.n_users
    shown = report.to_dict()
    assert shown["metrics"] == report.metrics
    assert shown["baselines"]["item-knn"] == report.systems["item-knn"].metrics
    assert list(magnn.evaluate(recommender, baselines=False).systems) == ["magnn"]


def test_intervals_hold_the_mean_and_narrow_with_users(recommender: magnn.Recommender) -> None:
    for result in magnn.evaluate(recommender).systems.values():
        assert result.ci95.keys() == result.metrics.keys() - {"coverage@10"}
        for name, (low, high) in result.ci95.items():
            assert 0 <= low <= result.metrics[name] <= high <= 1
            values = result.per_user[name.split("@")[0]]
            # A percentile interval of a mean of 40 is near the normal one.
            assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(len(values)), rel=0.3, abs=1e-9)


def test_users_without_a_history_are_counted_apart() -> None:
    """In a split by time, some users only begin after the cut."""
    early = pl.DataFrame(
        {"user": ["a", "b", "c", "d"] * 4, "item": [*"wxyz", *"xyzw", *"yzwx", *"zwxy"], "time": range(16)}
    )
    late = pl.DataFrame({"user": ["a", "new", "newer", "b"], "item": ["v", "w", "x", "v"], "time": range(100, 104)})
    rec = fitted_on(magnn.split(magnn.read_events(pl.concat([early, late])), "time"))
    report = magnn.evaluate(rec, k=2)
    assert (report.n_users, report.n_cold) == (2, 2)
    assert report.to_dict()["cold_users"] == 2


def test_another_split_than_the_fitted_one_is_refused(recommender: magnn.Recommender, small_log: Log) -> None:
    events = recommender.split.events
    rolled = replace(events.histories, items=np.roll(events.histories.items, 1))
    others = [
        replace(recommender.split, events=replace(events, histories=rolled)),
        magnn.split(events, "leave-one-out"),
        magnn.split(magnn.read_events(small_log[0].head(-20)), "paper"),
        replace(recommender.split, part=np.zeros_like(recommender.split.part)),
    ]
    for other in others:
        with pytest.raises(InputError, match="fitted on another split"):
            magnn.evaluate(recommender, other)
    again = magnn.split(magnn.read_events(small_log[0]), "paper")
    assert magnn.evaluate(recommender, again, k=3, baselines=False).k == 3, "the same split, made anew, is the same"


def test_what_was_trained_on_is_not_ranked(recommender: magnn.Recommender, small_log: Log) -> None:
    with pytest.raises(InputError, match="refit=False"):
        magnn.evaluate(recommender, on="valid")
    with pytest.raises(InputError, match="nothing to evaluate"):
        magnn.evaluate(fitted_on(magnn.split(magnn.read_events(small_log[0]), "none")))


def test_no_other_part_is_ranked(not_refitted: magnn.Recommender) -> None:
    part: Any = "train"
    with pytest.raises(InputError, match="'test' or 'valid', not 'train'"):
        magnn.evaluate(not_refitted, on=part)


@pytest.mark.parametrize("k", [0, -1, 10**6])
def test_k_must_fit_the_catalogue(recommender: magnn.Recommender, k: int) -> None:
    with pytest.raises(InputError, match=f"k must be between 1 and .* not {k}"):
        magnn.evaluate(recommender, k=k)


def test_item_knn_does_not_say_that_it_chose_where_there_was_nothing_to_choose_by(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for sequences, chosen in (
        ([["x", "y"], ["y", "z"], ["z", "x"]], False),
        ([["x", "y", "z"], ["y", "z", "x"]], True),
    ):
        report = magnn.evaluate(fitted_on(log_of(sequences, "leave-one-out")), k=2)
        assert report.knn is not None and report.knn_chosen == chosen
        console.show(console.metrics_table(report))
        assert ("chosen on validation" in capsys.readouterr().out) == chosen
    assert not magnn.evaluate(fitted_on(log_of(sequences, "leave-one-out")), k=2, baselines=False).knn_chosen

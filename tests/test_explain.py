"""Explanations: the parts add up, the known cause carries the score, and what is asked differently is answered so."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from magnn.errors import InputError, UnknownIdError
from magnn.explain import PARTS, FromItem, Listed
from magnn.model.addends import addends
from magnn.model.graph_part import Mixture
from magnn.model.magnn import QueryParts
from tests.conftest import SMALL_MODEL
from tests.worlds import SMALL, config, log_of, partner_world


def assert_adds_up(found: magnn.Explanation) -> None:
    size = sum(map(abs, found.parts.values()))
    assert sum(found.parts.values()) == pytest.approx(found.score, rel=1e-12, abs=1e-12)
    assert sum(found.by_memory_unit) == pytest.approx(found.parts["memory"], abs=1e-5 * size)
    assert sum(i.co_occurrence for i in found.by_item) == pytest.approx(found.parts["co_occurrence"], abs=1e-5 * size)
    if all(i.short_term is not None for i in found.by_item):
        assert sum(i.short_term or 0 for i in found.by_item) == pytest.approx(
            found.parts["short_term"], abs=1e-5 * size
        )
    assert sum(i.graph for i in found.by_item) == pytest.approx(found.parts["graph"], abs=1e-5 * size)
    frame = found.to_frame()
    assert frame["value"].sum() == pytest.approx(found.score, abs=1e-5 * size)
    assert frame["share"].abs().sum() >= 1 - 1e-6


TRAINED: dict[str, dict[str, object]] = {
    "paper": {"preset": "paper"},
    "best, sparse log": {"preset": "best", "model": {"feed_forward": False, "cosine": True}},
    "best, dense log": {"preset": "best", "model": {"feed_forward": True, "cosine": False}},
    "paper, concat, cosine": {"preset": "paper", "model": {"fusion": "concat", "cosine": True}},
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_thousand_explanations_add_up_to_the_scores(recommender: magnn.Recommender, name: str) -> None:
    """Of a trained model: what its ranking scores an item with is the sum of the parts, to 1e-5 of their absolute sum."""
    settings = TRAINED[name]
    model = settings.get("model", {})
    assert isinstance(model, dict)
    rec = magnn.fit(recommender.split, config=settings | {"model": SMALL_MODEL | model}, epochs=8, refit=False)
    losses = [log.loss for log in rec.logs if log.phase == "select"]
    assert len(losses) > 3 and losses[-1] < losses[0]
    events = rec.split.events
    rng = np.random.default_rng(0)
    users, items = rng.integers(events.n_users, size=1000), rng.integers(events.n_items, size=1000)
    scores_BN = torch.empty(len(users), events.n_items)
    rec.scorer(events.histories)(users, scores_BN)
    for row, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        found = rec.explain(events.user_ids[user], events.item_ids[item])
        assert_adds_up(found)
        size = sum(map(abs, found.parts.values()))
        assert abs(sum(found.parts.values()) - float(scores_BN[row, item])) < 1e-5 * size


@pytest.mark.parametrize(
    "model",
    [{"fusion": "concat"}, {"fusion": "gru"}, {"long_term": False}, {"short_term": False}, {"cosine": True}],
    ids=str,
)
def test_of_other_models_too(recommender: magnn.Recommender, model: dict[str, object]) -> None:
    rec = magnn.fit(recommender.split, preset="paper", config={"model": SMALL_MODEL | model}, epochs=1)
    for user in rec.split.events.user_ids[:5]:
        for item in rec.split.events.item_ids[:20]:
            assert_adds_up(rec.explain(user, item))


@pytest.mark.parametrize("preset", ["paper", "best"])
def test_score_and_rank_are_those_of_the_list(preset: str, request: pytest.FixtureRequest) -> None:
    recommender = request.getfixturevalue("recommender" if preset == "paper" else "best_recommender")
    user = recommender.split.events.user_ids[3]
    for place, listed in enumerate(recommender.recommend(user, k=15), start=1):
        found = recommender.explain(user, listed.item)
        assert (found.rank, found.title) == (place, listed.title)
        assert found.score == pytest.approx(listed.score, rel=1e-5)
        assert (found.listed is not None) == (place > 10)
    assert found.listed is not None
    tenth = recommender.recommend(user, k=10)[-1]
    assert found.listed.item == tenth.item
    assert sum(found.listed.parts.values()) == pytest.approx(tenth.score, rel=1e-4)
    assert f"on place 10, it lacks {tenth.score - found.score:.3g}" in found.in_words()


def test_every_number_is_said_of_what_it_is_of() -> None:
    """Made by hand, so that every part has a value of its own; the largest speak for, the popularity against."""
    values = {"taste": 1.0, "short_term": 3.0, "long_term": 2.0, "memory": 0.5, "co_occurrence": 0.25}
    values |= {"graph": 1.25, "popularity": -2.0}
    of_listed = values | {"taste": 1.5, "memory": 4.0}
    heat, alien = FromItem("heat", None, 1, 2.0, 0.25, 0.5), FromItem("alien", "Alien", 2, 1.0, 0.0, 0.75)
    found = magnn.Explanation(
        user="alice",
        item="aliens",
        title="Aliens",
        score=6.0,
        rank=12,
        parts=values,
        by_item=[heat, alien],
        by_memory_unit=[0.75, -0.25],
        gate=0.5,
        read=[],
        listed=Listed("up", "Up", 10.0, of_listed),
        notes=["A note."],
    )
    assert [(cause.what, cause.share) for cause in found.causes()] == [
        ("what came last", 0.45),
        ("the longer history", 0.25),
        ("its popularity", -0.2),
        ("general taste", 0.1),
    ]
    assert found.in_words() == (
        "Aliens is number 12 for alice. 45% because of what came last: heat (28%), Alien (18%); 25% because of the longer "
        "history; 10% because of general taste. Against it: its popularity (20%). To Up, on place 10, it lacks 4, most in "
        f"{PARTS['memory']} (3.5). A note."
    )
    shares = {(part, source): share for part, source, _, share in found.to_frame().rows()}
    assert shares == {
        ("taste", None): 0.1,
        ("short_term", "heat"): 0.2,
        ("short_term", "Alien"): 0.1,
        ("long_term", None): 0.2,
        ("memory", "unit 1"): 0.075,
        ("memory", "unit 2"): -0.025,
        ("co_occurrence", "heat"): 0.025,
        ("co_occurrence", "Alien"): 0.0,
        ("graph", "heat"): 0.05,
        ("graph", "Alien"): 0.075,
        ("popularity", None): -0.2,
    }


def test_an_item_that_only_the_validation_has_is_trained_on_by_the_final_fit() -> None:
    split = log_of([list("vwxyz"), list("vwxqy")], "leave-one-out")
    for refit, said in ((True, False), (False, True)):
        rec = magnn.fit(split, config={"model": SMALL_MODEL}, epochs=1, refit=refit)
        assert ("in no training event" in rec.explain(0, "q").in_words()) == said


def test_what_attention_reads_is_the_mean_over_heads_by_item(recommender: magnn.Recommender) -> None:
    events, config = recommender.split.events, recommender.model.config
    history = [events.item_ids[i] for i in (3, 5, 3, 8, 2, 9, 4, 1, 7)]
    found = recommender.explain(events.user_ids[0], events.item_ids[6], history=history)
    width = config.short_window + config.long_window
    numbers = torch.tensor([[events.item_number(item) for item in history]])
    padded = torch.nn.functional.pad(numbers, (width - len(history), 0), value=events.n_items)
    attention_AH = addends(recommender.model, torch.tensor([0]), padded).attention_BAH[0]
    assert len(attention_AH) > 1
    expected: dict[object, float] = {}
    for item, weight in zip(padded[0].tolist(), attention_AH.mean(dim=0).tolist(), strict=False):
        if item < events.n_items:
            expected[events.item_ids[item]] = expected.get(events.item_ids[item], 0) + weight
    assert {found.item: found.attention for found in found.read} == pytest.approx(expected)


def test_the_reasons_of_a_sentence_come_to_100_percent(best_recommender: magnn.Recommender) -> None:
    """Also where parts of one reason speak against each other."""
    events = best_recommender.split.events
    for user in events.user_ids[:5]:
        for item in events.item_ids[:20]:
            found = best_recommender.explain(user, item)
            shares = [abs(cause.share) for cause in found.causes()]
            assert 0.98 < sum(shares) < 1 + 1e-9
            assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("parts", "neighbours", "focus"),
    [
        ({}, 0, 0),
        ({"cooccurrence": False}, 0, 1),
        ({"long_term": False, "short_term": False}, 0, 0),
        ({"long_term": False, "short_term": False, "cooccurrence": False}, 20, 0),
    ],
    ids=["all", "short term", "co-occurrence", "graph"],
)
def test_the_item_that_decides_carries_the_score(parts: dict[str, bool], neighbours: int, focus: int) -> None:
    """Odd users end on an item whose partner comes next: of the recent items, that one must be the cause."""
    split = partner_world()
    model = {**SMALL, "short_window": 2, **parts}
    settings = {
        **config(epochs=40, targets=1, patience=40, l2=1e-3),
        "model": model,
        "graph": {"neighbours": neighbours},
    }
    rec = magnn.fit(split, config=settings, refit=False)
    events, right = split.events, []
    for number in range(1, 60, 2):
        items = split.train_and_valid.of(number)
        history = [events.item_ids[int(i)] for i in items]
        wanted = f"b{history[-1][1:]}"
        found = rec.explain(events.user_ids[number], wanted, history=history, focus=focus)
        latest = next(i for i in found.by_item if i.age == 1)
        right.append(latest.item == history[-1] and latest.total == max(i.total for i in found.by_item))
        right[-1] &= found.share(latest.total) > 0.5
    assert np.mean(right) > 0.8


def test_what_decided_before_the_last_item_is_seen_by_the_long_term() -> None:
    """Everybody meets an item, then a filler that says nothing, then the item's partner: only the long term can know."""
    rng = np.random.default_rng(3)
    markers = [rng.permutation(12)[:4].tolist() for _ in range(240)]
    walks = [[name for n, m in enumerate(ms) for name in (f"a{m:02d}", f"f{n}", f"b{m:02d}")] for ms in markers]
    settings = config(epochs=60, targets=1, l2=1e-3, weight_rate=1.0)
    model = {**SMALL, "short_window": 1, "long_window": 1, "taste": False}
    rec = magnn.fit(log_of(walks, "none"), config={**settings, "model": model})
    for user, walk in enumerate(walks[:30]):
        found = rec.explain(user, walk[-1], history=walk[:-1])
        assert found.rank == 1
        assert found.share(found.parts["long_term"] + found.parts["memory"]) > 0.5
        assert found.read[0].item == walk[-3]


def test_focus_and_without_ask_as_if(recommender: magnn.Recommender) -> None:
    events = recommender.split.events
    user = events.user_ids[3]
    history = [events.item_ids[int(i)] for i in events.histories.of(3)]
    rest = [item for item in history if item != history[-1]]
    assert recommender.recommend(user, without=[history[-1]] * 2) == recommender.recommend(user, history=rest)
    changed = recommender.explain(user, history[-1], without=[history[-1]])
    assert changed == recommender.explain(user, history[-1], history=rest)
    assert changed.rank is not None  # it can be recommended now
    present, lasting = (recommender.explain(user, events.item_ids[0], focus=focus) for focus in (1, -1))
    assert (present.gate, present.parts["long_term"], present.parts["memory"]) == (1, 0, 0)
    assert (lasting.gate, lasting.parts["short_term"]) == (0, 0)
    middle = recommender.explain(user, events.item_ids[0])
    assert middle.gate is not None
    assert 0 < middle.gate < 1
    for focus in (1, -1):  # a list is of the same focus as its explanations
        for place, listed in enumerate(recommender.recommend(user, 5, focus=focus), start=1):
            found = recommender.explain(user, listed.item, focus=focus)
            assert found.rank == place and found.score == pytest.approx(listed.score, rel=1e-4)


def test_what_cannot_be_asked_is_named(recommender: magnn.Recommender) -> None:
    events = recommender.split.events
    user, item = events.user_ids[0], events.item_ids[0]
    unseen = next(i for n, i in enumerate(events.item_ids) if n not in events.histories.of(0))
    for focus in (1.5, -2, float("nan")):
        with pytest.raises(InputError, match=f"focus {focus:g} is outside"):
            recommender.explain(user, item, focus=focus)
    with pytest.raises(InputError, match="is not in the history"):
        recommender.recommend(user, without=[unseen])
    with pytest.raises(UnknownIdError, match="item 'nothing'"):
        recommender.explain(user, "nothing")
    with pytest.raises(InputError, match="a user, or a history"):
        recommender.explain(None, item)
    rec = magnn.fit(recommender.split, preset="paper", config={"model": SMALL_MODEL | {"long_term": False}}, epochs=1)
    with pytest.raises(InputError, match="this model has none"):
        rec.recommend(user, focus=0.5)


def test_what_is_special_is_said() -> None:
    """An item only in held-out events, an item of the history, a stranger, titles that are code or very long."""
    hostile = "<script>alert('\u202etxt \N{PILE OF POO}')</script>" + "x" * 10_000
    log = pl.DataFrame({"user": ["a"] * 5 + ["b"] * 5, "item": [*"vwxyz", *"vwxyq"]})
    titles = pl.DataFrame({"item": list("vwxyzq"), "title": [hostile, "[bold]", None, "", "Z", "Q"]})
    split = magnn.split(magnn.read_events(log, items=titles), "leave-one-out")
    rec = magnn.fit(split, config={"model": SMALL_MODEL}, epochs=1, refit=False)
    assert "in no training event" in rec.explain("a", "q").in_words()
    inside = rec.explain("a", "v")
    assert inside.rank is None
    assert "never recommended" in inside.in_words()
    shown = rec.explain(None, "q", history=["v", "w"])
    assert shown.user is None
    assert shown.parts["taste"] == 0
    assert [i.item for i in shown.by_item] == ["w", "v"]
    assert len(rec.explain("a", "v").in_words()) < 1000
    page = shown._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    json.dumps(shown.to_dict())
    assert set(shown.parts) == set(PARTS)
    assert {*QueryParts._fields} - {"gate"} < set(PARTS), "what has no name here is in no explanation"


def test_without_history_a_graph_that_helps_nobody_does_not_speak() -> None:
    rec = magnn.fit(log_of(["xyz", "x"], "none"), config={"model": SMALL_MODEL, "graph": {"neighbours": 9}}, epochs=1)
    assert rec.graph_part is not None
    silent = replace(rec, graph_part=replace(rec.graph_part, mixture=Mixture.silent()))
    found = silent.explain(1, "y", history=[])
    assert found.score == 0
    assert "There is no history, so nothing can speak." in found.in_words()
    assert [silent.explain(1, item, history=[]).rank for item in "xyz"] == [1, 2, 3], "ties go to the lower item"


@pytest.mark.parametrize(
    ("taste", "neighbours", "speaks"),
    [
        (True, 10, "only general taste and popularity"),
        (True, 0, "only general taste"),
        (False, 10, "only popularity"),
        (False, 0, "nothing"),
    ],
)
def test_without_history_only_taste_and_popularity_speak(taste: bool, neighbours: int, speaks: str) -> None:
    log = pl.DataFrame({"user": [*"aaab"], "item": [*"xyzx"]})
    settings = {"model": SMALL_MODEL | {"taste": taste}, "graph": {"neighbours": neighbours}}
    rec = magnn.fit(magnn.split(magnn.read_events(log), "none"), config=settings, epochs=1)
    found = rec.explain("b", "y", without=["x"])
    assert found.by_item == []
    assert found.read == []
    assert f"There is no history, so {speaks} can speak." in found.in_words()
    assert found.score == pytest.approx(found.parts["taste"] + found.parts["popularity"])
    assert (found.parts["taste"] != 0) == taste

"""Memory units: an attribute that was planted is found with its lift, one that was not is not."""

import dataclasses
import itertools
import math

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import magnn
from magnn.data.synthetic import GENRES
from magnn.model.addends import addends
from magnn.model.magnn import MAGNN
from magnn.reporting import attributes
from magnn.reporting.attributes import LEAST_ITEMS, Attribute, alike, attributes_of, gathered, holm
from magnn.reporting.memory import choose_items, memory_of, read_shares
from tests.conftest import SMALL_MODEL


def planted(recommender: magnn.Recommender) -> magnn.Recommender:
    """The same log, with a network in which the items of genre g read unit g."""
    table = recommender.split.events.item_table
    assert table is not None
    size = len(GENRES)
    config = recommender.model.config.model_copy(
        update={"dim": size, "memory_units": size, "position_scale": 0.0, "heads": 2}
    )
    model = MAGNN(config, recommender.model.n_users, recommender.model.n_items)
    with torch.no_grad():
        for item, genre in enumerate(table["genre"]):
            model.embeddings.input_D.weight[item] = 3 * torch.eye(size)[GENRES.index(genre)]
            model.embeddings.input_D.weight[item] += 0.01 * item % 0.1  # so that no two are the same
        model.memory.key_MD.copy_(4 * torch.eye(size))
    return dataclasses.replace(recommender, model=model.eval())


def counts_of(recommender: magnn.Recommender) -> np.ndarray:
    return np.bincount(recommender.split.train_and_valid.items, minlength=recommender.split.events.n_items)


def test_a_planted_genre_is_found_in_its_unit(recommender: magnn.Recommender) -> None:
    rec = planted(recommender)
    counts = counts_of(rec)
    table = rec.split.events.item_table
    assert table is not None
    found = memory_of(rec, counts)
    assert found is not None
    trained = pl.Series(counts > 0)
    genres = table["genre"].filter(trained).value_counts()
    sizes = dict(genres.iter_rows())
    for unit, genre in zip(found.units, GENRES, strict=True):
        assert unit.first == sizes[genre]
        assert table["genre"][unit.readers[0][0]] == genre
        assert [g.value for g in unit.gathered] == [genre][: sizes[genre] >= LEAST_ITEMS]
        if not unit.gathered:
            continue
        only = unit.gathered[0]
        assert (only.inside, only.everywhere, only.size) == (min(found.top, sizes[genre]), sizes[genre], found.top)
        assert only.lift == pytest.approx((only.inside / found.top) / (sizes[genre] / sum(sizes.values())))
    assert [(a.column, a.p) for a in found.alike] == [("genre", 0.001)]
    assert found.alike[0].together > 0.9 and abs(found.alike[0].by_chance) < 0.2
    rows = found.heat_map
    own = rows.share_RM[np.arange(len(rows.items)), [GENRES.index(group) for group in rows.groups]]
    assert (own == rows.share_RM.max(axis=1)).all()
    assert 1 < found.spread < 4


def test_a_genre_that_was_not_planted_is_not_found(recommender: magnn.Recommender) -> None:
    rec = planted(recommender)
    table = rec.split.events.item_table
    assert table is not None
    shuffled = table.with_columns(genre=table["genre"].shuffle(seed=3))
    events = dataclasses.replace(rec.split.events, item_table=shuffled)
    rec = dataclasses.replace(rec, split=dataclasses.replace(rec.split, events=events))
    found = memory_of(rec, counts_of(rec))
    assert found is not None
    assert not any(unit.gathered for unit in found.units)
    assert found.alike[0].p > 0.05


def test_reading_an_item_is_a_history_of_that_item(recommender: magnn.Recommender) -> None:
    model = recommender.model
    shares = read_shares(model)
    assert shares.shape == (model.n_items, SMALL_MODEL["memory_units"])
    history = torch.full((1, model.config.long_window + model.config.short_window), model.n_items)
    history[0, model.config.long_window - 1] = 17
    for user in (0, 5):  # whose taste makes no difference
        read = addends(model, torch.tensor([user]), history).read_BM
        np.testing.assert_allclose(shares[17], read[0].numpy(), rtol=1e-5)


def test_which_columns_are_attributes() -> None:
    table = pl.DataFrame(
        {
            "item": range(12),
            "title": ["t"] * 12,
            "genres": ["A|B", " A | ", "", None, "A", "A|A", "A", "B", "B", "B", "B", "C"],
            "tags": [["x", "y"], ["x"], [], None, *[["x"]] * 4, *[["y", None]] * 4],
            "for_children": [True, False] * 5 + [None, None],
            "price": [1.5] * 12,
            "year": [1990] * 6 + [1991] * 6,
            "about": [f"words {i}" for i in range(12)],
            "always": ["same"] * 12,
            "nested": [{"a": "x"}] * 12,
        }
    )
    found = {a.column: a for a in attributes_of(table)}
    assert {name: a.values for name, a in found.items()} == {
        "genres": ["A", "B"],
        "tags": ["x", "y"],
        "for_children": ["no", "yes"],
    }
    assert np.flatnonzero(found["genres"].has_NA.toarray()[:, 0]).tolist() == [0, 1, 4, 5, 6]
    assert np.flatnonzero(found["tags"].has_NA.toarray()[:, 1]).tolist() == [0, 8, 9, 10, 11]
    assert [a.values for a in attributes_of(table, np.arange(12) > 0)] == [["x"], ["no"]]  # of the others, 4 are left
    assert attributes_of(None) == []


def test_gathered_is_fishers_test_with_holms_correction() -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"item": range(60), "kind": rng.choice(list("abc"), 60), "sort": rng.choice(list("de"), 60)})
    columns = attributes_of(table)
    member = np.zeros((60, 2), bool)
    is_a = (table["kind"] == "a").to_numpy()
    member[np.flatnonzero(is_a)[:10], 0] = True
    member[rng.permutation(60)[:12], 1] = True
    among = np.ones(60, bool)
    expected = {}
    for column in columns:
        for a, value in enumerate(column.values):
            has = column.has_NA.toarray()[:, a]
            for m in range(2):
                n, total, everywhere = int(member[:, m].sum()), 60, int(has.sum())
                inside = int((has & member[:, m]).sum())
                ways = sum(
                    math.comb(everywhere, i) * math.comb(total - everywhere, n - i)
                    for i in range(inside, min(n, everywhere) + 1)
                )
                expected[m, value] = ways / math.comb(total, n)
    adjusted = dict(zip(expected, holm(np.array(list(expected.values()))), strict=True))
    wanted = {key: p for key, p in adjusted.items() if p < 0.05}
    assert (0, "a") in wanted
    found = {(m, g.value): g.p for m, group in enumerate(gathered(columns, member, among)) for g in group}
    assert found == pytest.approx(wanted)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """An adjusted value is the largest Bonferroni value over all sets of hypotheses that hold this one."""
    n = len(p_values)
    for i, adjusted in enumerate(holm(np.array(p_values))):
        sets = [[j for j in range(n) if mask >> j & 1] for mask in range(1, 2**n) if mask >> i & 1]
        closed = max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in sets)
        assert adjusted == pytest.approx(closed)
    assert len(holm(np.zeros(0))) == 0


def attribute(groups: np.ndarray) -> Attribute:
    return attributes_of(pl.DataFrame({"item": range(len(groups)), "group": [f"g{g}" for g in groups]}))[0]


def test_together_is_the_mean_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "PERMUTATIONS", 9)
    rng = np.random.default_rng(0)
    groups, vectors = np.arange(15) % 3, rng.random((15, 4))
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i, j in itertools.combinations(range(15), 2) if groups[i] == groups[j]]
    assert alike(attribute(groups), vectors, np.ones(15, int)).together == pytest.approx(np.mean(pairs))


def test_by_chance_p_is_seldom_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "PERMUTATIONS", 99)
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 100, 60)
    p = [alike(attribute(rng.integers(0, 4, 60)), rng.random((60, 5)), counts, seed=i).p for i in range(60)]
    assert sum(value <= 0.05 for value in p) <= 8
    assert 0.3 < np.mean(p) < 0.7


def test_popularity_alone_is_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that say how popular an item is, and genres that go with popularity: no more than that is not alike."""
    monkeypatch.setattr(attributes, "PERMUTATIONS", 99)
    rng = np.random.default_rng(0)
    tenth = np.repeat(np.arange(10), 20)
    vectors = np.eye(10)[tenth] + 1e-3 * rng.random((200, 10))
    groups = np.where(rng.random(200) < 0.2, rng.integers(0, 5, 200), tenth // 2)
    confounded = alike(attribute(groups), vectors, 1000 * tenth + 1)
    assert confounded.together > 0.1
    assert confounded.p > 0.05
    # Were popularity not held back, it would be taken for a genre.
    assert alike(attribute(groups), vectors, np.ones(200, int)).p == 0.01


def test_items_of_the_heat_map_are_chosen_by_popularity() -> None:
    table = pl.DataFrame({"item": range(20), "genres": ["A"] * 7 + ["A|B"] * 3 + ["B"] * 6 + [None] * 4})
    counts = np.array([1, 2, 3, 4, 5, 6, 0, 99, 98, 97, 1, 2, 3, 4, 5, 6, 50, 50, 50, 50])
    items, groups = choose_items(attributes_of(table), counts)
    assert items == [5, 4, 3, 2, 15, 14, 13, 12]
    assert groups == ["A"] * 4 + ["B"] * 4
    assert choose_items([], counts)[0][:3] == [7, 8, 9]

"""What a program asks of a recommender: nothing seen comes back, one answer equals many, and errors name the value."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import magnn
from magnn.data.interactions import Id
from magnn.errors import InputError, UnknownIdError
from magnn.model.magnn import MAGNN
from tests.conftest import SMALL_MODEL


def query(model: MAGNN, user: int, items: list[int]) -> torch.Tensor:
    """v_u from the network itself, with the history laid into its window by hand."""
    width = model.config.long_window + model.config.short_window
    kept = items[-width:]
    history = torch.tensor([[model.n_items] * (width - len(kept)) + kept])
    with torch.no_grad():
        vector: torch.Tensor = model(torch.tensor([user]), history)[0]
        return vector


def naive(rec: magnn.Recommender, user: int, items: list[int], k: int) -> list[tuple[Id, float]]:
    """Every item scored one by one, the seen ones crossed out, sorted by score and then by number."""
    products = (rec.model.items.detach() @ query(rec.model, user, items)).tolist()
    scores = {j: score for j, score in enumerate(products) if j not in items}
    best = sorted(scores, key=lambda j: (-scores[j], j))[:k]
    return [(rec.split.events.item_ids[j], scores[j]) for j in best]


def assert_same(got: list[magnn.Recommended], expected: list[tuple[Id, float]]) -> None:
    assert [found.score for found in got] == pytest.approx([score for _, score in expected], rel=1e-4, abs=1e-7)
    # Items whose scores differ by less than rounding may change places.
    assert {found.item for found in got} == {item for item, _ in expected}


@pytest.fixture(scope="module")
def tiny() -> magnn.Recommender:
    """Three users of text ids over four items: "all" has seen everything, "most" all but one item."""
    log = pl.DataFrame({"user": ["all"] * 4 + ["most"] * 3 + ["one"], "item": [*"wxyz", *"zyx", "w"]})
    titles = pl.DataFrame({"item": list("wxyz"), "title": ["Alien", "Heat", None, "[/]"]})
    split = magnn.split(magnn.read_events(log, items=titles), "none")
    return magnn.fit(split, preset="paper", config={"model": SMALL_MODEL}, epochs=1)


def test_recommendations_are_the_products_of_query_and_items(recommender: magnn.Recommender) -> None:
    events = recommender.split.events
    for user in range(0, events.n_users, 7):
        items = events.histories.of(user).tolist()
        assert_same(recommender.recommend(events.user_ids[user], k=9), naive(recommender, user, items, 9))


def test_nothing_a_user_has_seen_is_recommended_and_all_else_is(recommender: magnn.Recommender) -> None:
    """Seen in train, valid or test: for a service, all of it has happened."""
    events = recommender.split.events
    catalogue = set(events.item_ids.to_list())
    for user, found in enumerate(recommender.recommend_many(events.user_ids.to_list(), k=events.n_items)):
        seen = {events.item_ids[item] for item in events.histories.of(user).tolist()}
        assert {one.item for one in found} == catalogue - seen
        assert len(found) == len(catalogue - seen), "an item comes twice"
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert np.isfinite([one.score for one in found]).all()


def test_fewer_are_left_fewer_are_given(tiny: magnn.Recommender) -> None:
    assert tiny.recommend("all", k=4) == []
    assert [found.item for found in tiny.recommend("most", k=4)] == ["w"]
    assert {found.item for found in tiny.recommend("one", k=4)} == set("xyz")
    assert [len(found) for found in tiny.recommend_many(["one", "all", "most"], k=4)] == [3, 0, 1]


def test_titles_come_with_the_items_that_have_one(tiny: magnn.Recommender) -> None:
    assert {found.item: found.title for found in tiny.recommend("one", k=3)} == {"x": "Heat", "y": None, "z": "[/]"}
    assert {found.title for found in tiny.similar("w", k=3)} == {"Heat", None, "[/]"}


def test_ids_are_what_the_log_had(recommender: magnn.Recommender, tiny: magnn.Recommender) -> None:
    user = recommender.split.events.user_ids[0]
    assert isinstance(user, int) and isinstance(recommender.recommend(user, k=1)[0].item, int)
    assert isinstance(tiny.recommend("one", k=1)[0].item, str)
    assert recommender.recommend(str(user), k=5) == recommender.recommend(user, k=5), "a command line has only text"


def test_many_are_each_one_in_the_order_asked(recommender: magnn.Recommender) -> None:
    users = recommender.split.events.user_ids.to_list()[::-3]
    users.append(users[0])  # twice is fine
    many = recommender.recommend_many(users, k=6)
    assert len(many) == len(users)
    for user, found in zip(users, many, strict=True):
        alone = recommender.recommend(user, k=6)
        assert {one.item for one in found} == {one.item for one in alone}
        assert [one.score for one in found] == pytest.approx([one.score for one in alone], rel=1e-4, abs=1e-7)
    assert recommender.recommend_many([], k=6) == []


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_somebody_unknown_is_a_history_without_taste(recommender: magnn.Recommender, data: st.DataObject) -> None:
    """Nobody's row of the user table is zero, and none of the log's users lends theirs."""
    events = recommender.split.events
    items = data.draw(st.lists(st.integers(0, events.n_items - 1), min_size=1, max_size=20))
    got = recommender.recommend(history=[events.item_ids[item] for item in items], k=5)
    assert_same(got, naive(recommender, recommender.model.n_users, items, 5))
    width = recommender.model.config.long_window + recommender.model.config.short_window
    history = torch.tensor([([recommender.model.n_items] * width + items)[-width:]])
    with torch.no_grad():
        parts = recommender.model.parts(torch.tensor([recommender.model.n_users]), history)
    assert (parts.taste == 0).all()


def test_a_history_in_place_of_the_logs_keeps_the_users_taste(recommender: magnn.Recommender) -> None:
    events = recommender.split.events
    seen = events.histories.of(3).tolist()
    user, ids = events.user_ids[3], [events.item_ids[item] for item in seen]
    assert recommender.recommend(user, k=5, history=ids) == recommender.recommend(user, k=5)
    fresh = [int(item) for item in range(events.n_items) if item not in seen][:2]
    got = recommender.recommend(user, k=events.n_items, history=[events.item_ids[item] for item in fresh])
    assert_same(got, naive(recommender, 3, fresh, events.n_items))
    assert {events.item_ids[item] for item in seen} <= {found.item for found in got}, "the log's history is replaced"


def test_a_known_user_with_nothing_done_is_taste_alone(recommender: magnn.Recommender) -> None:
    user = recommender.split.events.user_ids[3]
    assert_same(recommender.recommend(user, k=5, history=[]), naive(recommender, 3, [], 5))


def test_similar_is_the_cosine_and_leaves_itself_out(recommender: magnn.Recommender) -> None:
    events = recommender.split.events
    Q = recommender.model.items.detach().numpy().astype(np.float64)
    Q /= np.linalg.norm(Q, axis=1, keepdims=True)
    for item in (0, 17, events.n_items - 1):
        cosine = Q @ Q[item]
        ranked = [j for j in np.argsort(-cosine).tolist() if j != item]
        expected = [(events.item_ids[j], float(cosine[j])) for j in ranked]
        everything = recommender.similar(events.item_ids[item], k=events.n_items - 1)
        assert_same(everything, expected)
        assert_same(recommender.similar(events.item_ids[item], k=4), expected[:4])


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_must_fit_the_catalogue(tiny: magnn.Recommender, k: int) -> None:
    for ask in (lambda: tiny.recommend("one", k), lambda: tiny.recommend_many(["one"], k)):
        with pytest.raises(InputError, match=f"between 1 and the catalogue's 4 items, not {k}"):
            ask()


@pytest.mark.parametrize("k", [0, 4])
def test_an_item_is_not_among_its_similar_ones_so_k_is_one_less(tiny: magnn.Recommender, k: int) -> None:
    with pytest.raises(InputError, match=f"k must be between 1 and the 3 other items, not {k}"):
        tiny.similar("w", k)


@pytest.mark.parametrize("user", ["nobody", "", "One", 7])
def test_an_unknown_user_is_named(tiny: magnn.Recommender, user: Id) -> None:
    for ask in (lambda: tiny.recommend(user), lambda: tiny.recommend_many(["one", user])):
        with pytest.raises(UnknownIdError, match=f"user {user!r} is not among the 3 users"):
            ask()


@pytest.mark.parametrize("item", [10**30, -(10**30), "1.0", "", "x", 10**6])
def test_an_unknown_item_is_named(recommender: magnn.Recommender, item: Id) -> None:
    for ask in (lambda: recommender.similar(item), lambda: recommender.recommend(history=[item])):
        with pytest.raises(UnknownIdError, match=r"item .* is not among the"):
            ask()  # type: ignore[no-untyped-call]


def test_a_list_shows_itself_as_a_table(tiny: magnn.Recommender) -> None:
    found = tiny.recommend("one", k=3)
    assert found.to_frame().rows() == [(n, f.item, f.title, f.score) for n, f in enumerate(found, start=1)]
    hostile = magnn.Recommendations([magnn.Recommended("<i>", 1.0, "<script>alert(1)</script>")])
    assert "&lt;script&gt;" in hostile._repr_html_()
    assert "<script" not in hostile._repr_html_() and "<i>" not in hostile._repr_html_()
    assert magnn.Recommendations().to_frame().height == 0


def test_nobody_with_nothing_is_refused(tiny: magnn.Recommender) -> None:
    with pytest.raises(InputError, match="a user, or a history"):
        tiny.recommend()
    with pytest.raises(InputError, match="at least one item of history"):
        tiny.recommend(history=[])


def test_loading_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        magnn.load(tmp_path / "nowhere")


def test_one_text_is_not_several_ids(tiny: magnn.Recommender) -> None:
    """Each of its letters would be an id."""
    for ask in (
        lambda: tiny.recommend(history="abc"),
        lambda: tiny.recommend("one", without="a"),
        lambda: tiny.recommend_many("one"),
        lambda: tiny.explain(None, "a", history="abc"),
    ):
        with pytest.raises(InputError, match=r"is one text, '.*'; give a list of ids"):
            ask()


def test_a_long_title_is_cut_in_a_notebook() -> None:
    long = magnn.Recommendations([magnn.Recommended("a", 1.0, "x" * 10_000)])
    assert len(long._repr_html_()) < 1_000

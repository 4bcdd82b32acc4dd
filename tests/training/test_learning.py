"""What a fit learns: worlds with known answers."""

import numpy as np
import pytest
import torch

import magnn
from magnn.evaluation import MODEL
from tests.worlds import BEST, SMALL, chain_world, config, log_of, partner_world, taste_world


def test_a_deterministic_chain_is_learned_to_recall_1() -> None:
    split = chain_world()
    rec = magnn.fit(split, config=config(epochs=40, targets=1, patience=40), seed=0)
    assert magnn.evaluate(rec, split, k=1, baselines=False).metrics["recall@1"] == 1.0


@pytest.mark.parametrize("fusion", ["concat", "gru"])
def test_other_fusions_learn_the_chain_too(fusion: str) -> None:
    split = chain_world()
    settings = config(epochs=40, targets=1, patience=40)
    rec = magnn.fit(split, config={**settings, "model": {**SMALL, "fusion": fusion}}, refit=False)
    assert magnn.evaluate(rec, split, k=1, baselines=False).metrics["recall@1"] > 0.9


def test_two_tastes_separate() -> None:
    split = taste_world()
    rec = magnn.fit(split, config=config(epochs=20))
    for user in range(40):
        assert {str(found.item)[0] for found in rec.recommend(user, k=6)} == {"ab"[user % 2]}


def test_taste_alone_separates_them_too() -> None:
    off = {"short_term": False, "long_term": False, "cooccurrence": False}
    rec = magnn.fit(taste_world(), config={**config(epochs=30), "model": {**SMALL, **off}})
    right = [str(f.item)[0] == "ab"[user % 2] for user in range(40) for f in rec.recommend(user, k=6)]
    assert np.mean(right) > 0.95


@pytest.mark.parametrize(
    ("parts", "knows"),
    [
        ({}, True),
        ({"long_term": False, "cooccurrence": False}, True),
        ({"long_term": False, "short_term": False}, True),
        ({"long_term": False, "short_term": False, "cooccurrence": False}, False),
    ],
    ids=["all", "short term", "co-occurrence", "taste"],
)
def test_what_the_last_item_decides_is_seen_by_the_parts_that_look_at_it(parts: dict[str, bool], knows: bool) -> None:
    split = partner_world()
    settings = {**config(epochs=40, targets=1, patience=40, l2=1e-3), "model": {**SMALL, "short_window": 1, **parts}}
    found = magnn.evaluate(magnn.fit(split, config=settings), split, k=1, baselines=False).systems[MODEL]
    recall = found.per_user["recall"][found.users % 2 == 1].mean()
    assert (recall > 0.5) if knows else (recall < 0.25), f"recall@1 is {recall}"


@pytest.mark.parametrize("candidates", [4096, 8], ids=["whole catalogue", "drawn"])
def test_the_softmax_learns_the_chain_and_the_graph_with_it(candidates: int) -> None:
    split = chain_world()
    training = {**BEST["training"], "epochs": 20, "candidates": candidates}
    for neighbours in (0, 10):
        settings = {**BEST, "training": training, "graph": {"neighbours": neighbours}}
        rec = magnn.fit(split, config=settings)
        assert (rec.graph_part is None) == (neighbours == 0)
        assert magnn.evaluate(rec, split, k=1, baselines=False).metrics["recall@1"] > 0.95


@pytest.mark.parametrize(("feed_forward", "knows"), [(True, True), (False, False)])
def test_what_two_items_decide_together_is_learned_by_the_layer_on_the_sum(feed_forward: bool, knows: bool) -> None:
    """Like switches on a stair: either item alone says nothing, and the parts of a query add up what each says."""
    pairs = [(a, b) for a in range(2) for b in range(2)]
    split = log_of([[f"a{a}", f"b{b}", f"t{a ^ b}"] for a, b in pairs for _ in range(60)], "none")
    shape = SMALL | {"feed_forward": feed_forward, "taste": False}
    training = {"batch_size": 64, "learning_rate": 0.02, "gce_q": 0, "epochs": 60}
    rec = magnn.fit(split, config={"model": shape, "training": training, "graph": {"neighbours": 0}})
    lists = {(a, b): [str(found.item) for found in rec.recommend(history=[f"a{a}", f"b{b}"], k=4)] for a, b in pairs}
    right = [found.index(f"t{a ^ b}") < found.index(f"t{1 - a ^ b}") for (a, b), found in lists.items()]
    assert all(right) == knows


def test_the_graph_alone_knows_what_the_last_item_decides() -> None:
    """One epoch of a tiny network says little: what ranks here is the graph, learned on the validation events."""
    split = partner_world()
    rec = magnn.fit(split, config={**BEST, "training": {**BEST["training"], "epochs": 1}})
    found = magnn.evaluate(rec, split, k=1, baselines=False).systems[MODEL]
    assert found.per_user["recall"][found.users % 2 == 1].mean() > 0.5
    log = next(log for log in rec.logs if log.phase == "graph")
    assert log.metrics["ndcg@10"] > rec.logs[0].metrics["ndcg@10"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT RUN: needs a GPU that this PyTorch can use")
def test_a_gpu_solves_a_world_with_one_answer() -> None:
    chain = magnn.fit(chain_world(), config=config(epochs=40, targets=1, patience=40), device="cuda")
    assert magnn.evaluate(chain, k=1, baselines=False).metrics["recall@1"] == 1.0

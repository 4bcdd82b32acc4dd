"""Training as a whole: solvable worlds, repeatability, resuming, early stopping, Ctrl-C."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import magnn
from magnn import fitting
from magnn.data.split import Split
from magnn.data.windows import training_windows
from magnn.errors import InputError, Interrupted
from magnn.ranking.evaluate import evaluate_scorer
from magnn.training.trainer import Progress
from tests.worlds import log_of

SMALL = {"dim": 16, "heads": 4, "memory_units": 4, "long_window": 6, "init_std": 0.1}


def config(**training: Any) -> dict[str, Any]:
    return {
        "preset": "paper",
        "model": SMALL,
        "training": {"batch_size": 256, "learning_rate": 0.01, "l2": 1e-5, **training},
    }


def chain_world(n_users: int = 120, n_items: int = 20) -> Split:
    """Everybody walks round the same circle of items, from a place of their own: the last item decides the next."""
    walks = [[f"{(start + step) % n_items:02d}" for step in range(12)] for start in range(n_users)]
    return log_of(walks, "leave-one-out")


def taste_world() -> Split:
    """Two tastes in random order: what the user likes decides, and nothing else does."""
    rng = np.random.default_rng(0)
    likes = [[f"{'ab'[user % 2]}{item:02d}" for item in rng.permutation(20)[:14]] for user in range(200)]
    return log_of(likes, "paper")


def small_world(protocol: Any = "paper") -> Split:
    rng = np.random.default_rng(1)
    return log_of([[f"{i:02d}" for i in rng.permutation(30)[: 4 + user % 12]] for user in range(60)], protocol)


def weights_equal(a: magnn.Recommender, b: magnn.Recommender) -> bool:
    left, right = a.model.state_dict(), b.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


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


def partner_world(n_partners: int = 20) -> Split:
    """Items mostly have their partner behind them; odd users have met five alone when they meet the last one's partner.

    Where an odd user goes next is written in the last item only: the other four have partners just as good. Even users
    end on one more item, so that their validation event is a partner: the epoch is not chosen by chance.
    """
    rng = np.random.default_rng(2)
    sequences = []
    for user in range(240):
        *items, last = (f"{i:02d}" for i in rng.permutation(n_partners)[:10])
        pairs = [name for i in (items if user % 2 == 0 else items[:4]) for name in (f"a{i}", f"b{i}")]
        sequences.append(pairs + ([f"a{last}"] if user % 2 == 0 else [*(f"a{i}" for i in items[4:]), f"b{items[-1]}"]))
    return log_of(sequences, "leave-one-out")


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
    found = magnn.evaluate(magnn.fit(split, config=settings), split, k=1, baselines=False).systems["MA-GNN"]
    recall = found.per_user["recall"][found.users % 2 == 1].mean()
    assert (recall > 0.5) if knows else (recall < 0.25), f"recall@1 is {recall}"


BEST: dict[str, Any] = {
    "preset": "best",
    "model": {**SMALL, "short_window": 3, "dropout": 0.1},
    "training": {"batch_size": 128, "learning_rate": 0.01},
    "graph": {"neighbours": 10},
}


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
    found = magnn.evaluate(rec, split, k=1, baselines=False).systems["MA-GNN"]
    assert found.per_user["recall"][found.users % 2 == 1].mean() > 0.5
    log = next(log for log in rec.logs if log.phase == "graph")
    assert log.metrics["ndcg@10"] > rec.logs[0].metrics["ndcg@10"]


def test_the_final_graph_counts_what_the_final_model_trained_on() -> None:
    split = chain_world()
    settings = {**BEST, "training": {**BEST["training"], "epochs": 1}}
    for refit, seen in ((True, split.train_and_valid), (False, split.train)):
        rec = magnn.fit(split, config=settings, refit=refit)
        assert rec.graph_part is not None
        counts = np.bincount(seen.items, minlength=seen.n_items)
        np.testing.assert_allclose(rec.graph_part.log_counts_N, np.log(counts + 5), rtol=1e-6)


LOGS = {
    "nobody shares an item": [[f"{user}-{n}" for n in range(5)] for user in range(20)],
    "one event each": [[f"{user % 7}"] for user in range(20)],
    "one item in every history": [["hit", f"{user % 9}", f"{user % 5}x"] for user in range(30)],
    "two items": [["a", "b"], ["b", "a"], ["a"], ["b"]],
}


@pytest.mark.parametrize("protocol", ["paper", "leave-one-out", "none"])
@pytest.mark.parametrize("log", LOGS)
def test_logs_with_little_in_them_are_fitted_all_the_same(log: str, protocol: Any) -> None:
    rec = magnn.fit(log_of(LOGS[log], protocol), config={**BEST, "training": {**BEST["training"], "epochs": 2}})
    assert rec.completed
    assert rec.graph_part is not None
    scores = [found.score for found in rec.recommend(0, k=1)]
    assert all(np.isfinite(scores))


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


def test_same_seed_same_model_other_seed_other_model() -> None:
    split = small_world()
    first, again, other = (magnn.fit(split, config=config(epochs=3), seed=seed) for seed in (0, 0, 1))
    assert weights_equal(first, again)
    assert not weights_equal(first, other)


def test_fitting_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    magnn.fit(small_world(), config=config(epochs=1))
    assert torch.equal(torch.rand(1), expected)


def test_no_test_event_reaches_training() -> None:
    """Whatever the test events are, the model is the same to the bit."""
    split = small_world()
    histories = split.events.histories
    items = histories.items.copy()
    items[split.part == 2] = (items[split.part == 2] + 7) % histories.n_items
    changed = type(histories)(items, histories.offsets, histories.n_items)
    events = type(split.events)(changed, split.events.times, split.events.user_ids, split.events.item_ids)
    other = Split(events, split.protocol, split.part)
    assert not np.array_equal(other.test.items, split.test.items)
    assert weights_equal(magnn.fit(split, config=config(epochs=2)), magnn.fit(other, config=config(epochs=2)))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("stop_after", [("select", 1), ("select", 3), ("refit", 1)])
def test_resuming_equals_never_stopping(tmp_path: Path, dropout: float, stop_after: tuple[str, int]) -> None:
    split = small_world()
    settings = {**config(epochs=4, patience=9), "model": {**SMALL, "dropout": dropout}}
    whole = magnn.fit(split, config=settings)

    def stop(progress: Progress) -> None:
        if progress.log and (progress.phase, progress.epoch) == stop_after:
            raise KeyboardInterrupt

    cut = magnn.fit(split, config=settings, checkpoints=tmp_path, progress=stop)
    assert not cut.completed and not cut.refit
    resumed = magnn.fit(split, config=settings, checkpoints=tmp_path, resume=True)
    assert resumed.completed and resumed.refit
    assert weights_equal(resumed, whole)
    assert [(log.phase, log.epoch, log.loss, log.metrics) for log in resumed.logs] == [
        (log.phase, log.epoch, log.loss, log.metrics) for log in whole.logs
    ]


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    split = small_world()
    magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path)
    with pytest.raises(InputError, match="other data, settings or seed"):
        magnn.fit(split, config=config(epochs=1), seed=1, checkpoints=tmp_path, resume=True)


def test_resuming_with_other_validation_events_is_refused(tmp_path: Path) -> None:
    walks = [["a", "b", "c", "d"], ["b", "c", "d", "a"]]
    magnn.fit(log_of(walks, "leave-one-out"), config=config(epochs=1), checkpoints=tmp_path)
    walks[0][2:] = "d", "c"
    with pytest.raises(InputError, match="other data, settings or seed"):
        magnn.fit(log_of(walks, "leave-one-out"), config=config(epochs=1), checkpoints=tmp_path, resume=True)


def test_resuming_from_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    split = small_world()
    magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path)
    path = tmp_path / "select.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged checkpoint"):
        magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path, resume=True)


def test_a_fresh_fit_forgets_old_checkpoints(tmp_path: Path) -> None:
    split = small_world()
    magnn.fit(split, config=config(epochs=1), seed=1, checkpoints=tmp_path)
    magnn.fit(split, config=config(epochs=1), seed=0, checkpoints=tmp_path)
    magnn.fit(split, config=config(epochs=1), seed=0, checkpoints=tmp_path, resume=True)
    fitting.discard_checkpoints(tmp_path)
    assert not tmp_path.exists()


def test_ctrl_c_keeps_the_best_validated_epoch() -> None:
    split = small_world()

    def stop(progress: Progress) -> None:
        if progress.epoch == 3 and not progress.log:
            raise KeyboardInterrupt

    cut = magnn.fit(split, config=config(epochs=9), progress=stop)
    best = max(cut.logs, key=lambda log: log.metrics["ndcg@10"]).epoch
    reference = magnn.fit(split, config=config(epochs=best), refit=False)
    assert weights_equal(cut, reference)


@pytest.mark.parametrize("phase", ["graph", "refit"])
def test_ctrl_c_outside_the_epochs_keeps_what_was_there_before(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph part is learned, and a refit prepared, outside the loop over epochs."""
    split, settings = small_world(), {"model": SMALL, "training": {"batch_size": 256}}
    reference = magnn.fit(split, config=settings, epochs=2, refit=False)

    def stop(progress: Progress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    if phase == "refit":
        calls = iter([training_windows])
        monkeypatch.setattr("magnn.fitting.training_windows", lambda *a, **k: next(calls, interrupted)(*a, **k))
    cut = magnn.fit(split, config=settings, epochs=2, progress=stop)
    assert not cut.completed and not cut.refit
    assert weights_equal(cut, reference)
    assert cut.graph_part is not None and reference.graph_part is not None
    assert cut.graph_part.mixture.is_silent == (phase == "graph")
    assert cut.recommend_many(cut.split.events.user_ids[:2].to_list(), k=3)
    if phase == "refit":
        np.testing.assert_array_equal(cut.graph_part.weighted.data, reference.graph_part.weighted.data)


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_before_anything_is_there() -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="nothing to save"):
        magnn.fit(small_world(), config=config(epochs=2), progress=stop)


def test_a_training_that_diverges_is_refused() -> None:
    with pytest.raises(InputError, match=r"the loss of epoch . is nan; lower training\.learning_rate"):
        magnn.fit(small_world(), config=config(epochs=9, learning_rate=1e30))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed must be from 0 to"):
        magnn.fit(small_world(), seed=seed)


def test_early_stopping_waits_for_patience_and_keeps_the_best() -> None:
    split = small_world()
    rec = magnn.fit(split, config=config(epochs=60, patience=2, learning_rate=0.05), refit=False)
    values = [log.metrics["ndcg@10"] for log in rec.logs]
    best = int(np.argmax(values))
    assert len(values) == best + 1 + 2 < 60
    assert magnn.evaluate(rec, on="valid", baselines=False).metrics["ndcg@10"] == pytest.approx(values[best])


@pytest.mark.parametrize("preset", ["paper", "best"])
def test_the_chosen_epoch_is_as_good_as_its_log_says(preset: str) -> None:
    split = chain_world()
    settings = {"preset": preset, "model": SMALL, "training": {"epochs": 6, "batch_size": 256, "learning_rate": 0.004}}
    rec = magnn.fit(split, config=settings | {"graph": {"neighbours": 0}}, refit=False)
    selected = [log for log in rec.logs if log.phase == "select"]
    best = max(selected, key=lambda log: log.metrics["ndcg@10"])
    assert best.epoch > 2
    found = evaluate_scorer(rec.scorer(split.train), split.train, split.valid, intervals=False).metrics
    assert found == best.metrics


def test_where_it_would_take_too_long_a_part_of_the_users_validates(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()
    asked: list[int] = []

    def scorer(users_B: np.ndarray[Any, np.dtype[np.int64]], out_BN: torch.Tensor) -> None:
        asked.extend(users_B.tolist())
        out_BN.zero_()

    def users_asked(seed: int) -> list[int]:
        asked.clear()
        fitting.validation_metrics(scorer, world.train, world.valid, seed)
        return sorted(asked)

    everybody = np.flatnonzero((world.train.lengths > 0) & (world.valid.lengths > 0)).tolist()
    assert users_asked(0) == everybody
    monkeypatch.setattr(fitting, "JUDGED", 7 * world.events.n_items)
    some = users_asked(0)
    assert len(some) == 7 and set(some) < set(everybody)
    assert users_asked(0) == some != users_asked(1)


def test_refit_trains_on_validation_events_for_the_epochs_found() -> None:
    split = small_world()
    rec = magnn.fit(split, config=config(epochs=4))
    selecting = [log for log in rec.logs if log.phase == "select"]
    refitting = [log for log in rec.logs if log.phase == "refit"]
    best = max(selecting, key=lambda log: log.metrics["ndcg@10"]).epoch
    assert rec.refit and len(refitting) == best and not any(log.metrics for log in refitting)


@pytest.mark.parametrize("protocol", ["none", "leave-one-out", "time"])
def test_every_protocol_trains(protocol: str) -> None:
    split = small_world(protocol)
    rec = magnn.fit(split, config=config(epochs=2))
    assert rec.refit == (protocol != "none")
    assert len(rec.recommend(0, k=3)) == 3


def test_users_of_one_event_train() -> None:
    split = log_of([["x"], ["y"], ["x"], ["z"]], "paper")
    rec = magnn.fit(split, config=config(epochs=2))
    assert len(rec.recommend(0, k=2)) == 2


def test_a_user_who_has_seen_everything_trains() -> None:
    split = log_of([["x", "y", "z"], ["z", "y", "x"]], "none")
    rec = magnn.fit(split, config=config(epochs=2))
    assert rec.recommend(0, k=2) == []
    assert np.isfinite([log.loss for log in rec.logs]).all()


@pytest.mark.parametrize(("n_users", "dense"), [(60, False), (120, True)])
def test_what_the_log_decides_is_decided_by_its_training_events(n_users: int, dense: bool, tmp_path: Path) -> None:
    """Chains over 20 items: 30 or 60 training events an item, and more of them in the final fit, which asks no more."""
    rec = magnn.fit(chain_world(n_users), config={"model": SMALL}, epochs=1)
    assert (rec.settings.model.feed_forward, rec.settings.model.cosine) == (dense, True)
    rec.save(tmp_path / "model")
    again = magnn.load(tmp_path / "model")
    assert again.settings == rec.settings and weights_equal(again, rec)


def test_order_of_users_changes_no_evaluation() -> None:
    """Whoever stands where in the block: the lists of a user are the same."""
    rec = magnn.fit(small_world(), config=config(epochs=2))
    users = list(range(60))
    forward = rec.recommend_many(users, k=5)
    backward = rec.recommend_many(users[::-1], k=5)[::-1]
    assert [[f.item for f in found] for found in forward] == [[f.item for f in found] for found in backward]


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", "cannot train on 'tpu'; choose cpu or cuda"), ("cuda", "this PyTorch finds no GPU")]
)
def test_a_device_that_is_not_there(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        magnn.fit(small_world(), config=config(epochs=1), device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT RUN: needs a GPU that this PyTorch can use")
@pytest.mark.parametrize("settings", [config(epochs=3), {"preset": "best", "training": {"epochs": 3}}])
def test_a_gpu_trains_the_same_model(settings: dict[str, Any]) -> None:
    """The same seed starts from the same weights and draws the same batches; without dropout, what differs is rounding."""
    split = small_world()
    settings = settings | {"model": {**settings.get("model", {}), "dropout": 0.0}}
    on_cpu, on_gpu = (magnn.fit(split, config=settings, device=device) for device in ("cpu", "cuda"))
    assert {value.device.type for value in on_gpu.model.state_dict().values()} == {"cpu"}
    for here, there in zip(on_cpu.logs, on_gpu.logs, strict=True):
        assert here.loss == pytest.approx(there.loss, rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT RUN: needs a GPU that this PyTorch can use")
def test_a_gpu_solves_a_world_with_one_answer() -> None:
    chain = magnn.fit(chain_world(), config=config(epochs=40, targets=1, patience=40), device="cuda")
    assert magnn.evaluate(chain, k=1, baselines=False).metrics["recall@1"] == 1.0

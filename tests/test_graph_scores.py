"""Scores with the graph part: everywhere the same, exact in the list, and kept on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import magnn
from magnn.artifact import _write_json
from magnn.cli.console import describe_fit
from magnn.errors import ArtifactError
from magnn.model.graph_part import GraphConfig, Mixture, count_neighbours
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import GraphScorer
from magnn.ranking.rank import rank
from magnn.storage import file_sha256
from tests.worlds import histories_of


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8), min_size=1, max_size=6),
    st.integers(1, 10),
    st.booleans(),
    st.integers(0, 99),
)
def test_top_k_is_exact_with_the_graph(world: list[list[int]], k: int, ties: bool, seed: int) -> None:
    """Every score written out, sorted by hand; with `ties`, the network says the same of every item."""
    histories = histories_of(world, 10)
    part = count_neighbours(histories, GraphConfig(neighbours=3, recent=4))
    rng = torch.Generator().manual_seed(seed)
    items = torch.zeros(10, 2) if ties else torch.randn(10, 2, generator=rng)
    dense = DotScorer(torch.randn(len(world), 2, generator=rng), items)
    users = np.arange(len(world))
    found, scores = rank(GraphScorer(dense, part, histories), users, histories, k)
    graph = part.scores(histories).toarray()
    for user, sequence in enumerate(world):
        whole = (dense.vectors_UD[user] @ items.T).numpy() + part.popularity + graph[user]
        left = [i for i in range(10) if i not in sequence]
        listed = [i for i in found[user].tolist() if i >= 0]
        assert len(set(listed)) == min(k, len(left)) and set(listed) <= set(left)
        np.testing.assert_allclose(
            scores[user][: len(listed)], sorted(whole[left], reverse=True)[:k], rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(scores[user][: len(listed)], whole[listed], rtol=1e-5, atol=1e-5)


def test_one_user_many_users_and_the_file_agree(best_recommender: magnn.Recommender, tmp_path: Path) -> None:
    users = best_recommender.split.events.user_ids.to_list()
    many = best_recommender.recommend_many(users, k=7)
    best_recommender.recommend_all(tmp_path / "all.parquet", k=7)
    rows = pl.read_parquet(tmp_path / "all.parquet").partition_by("user", maintain_order=True)
    for user, together, frame in zip(users, many, rows, strict=True):
        alone = best_recommender.recommend(user, k=7)
        assert [r.item for r in alone] == [r.item for r in together] == frame["item"].to_list()
        np.testing.assert_allclose([r.score for r in alone], [r.score for r in together], rtol=1e-5)


def test_a_saved_model_recommends_and_explains_the_same(best_recommender: magnn.Recommender, tmp_path: Path) -> None:
    best_recommender.save(tmp_path / "model")
    again = magnn.load(tmp_path / "model")
    for user in best_recommender.split.events.user_ids[:5]:
        assert again.recommend(user) == best_recommender.recommend(user)
        item = best_recommender.recommend(user)[0].item
        assert again.explain(user, item) == best_recommender.explain(user, item)


def test_a_silent_graph_part_leaves_the_network_alone_and_fit_says_so(
    best_recommender: magnn.Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert best_recommender.graph_part is not None
    part = replace(best_recommender.graph_part, mixture=Mixture.silent())
    replace(best_recommender, graph_part=part).save(tmp_path / "model")
    silent, alone = magnn.load(tmp_path / "model"), replace(best_recommender, graph_part=None)
    for user in best_recommender.split.events.user_ids[:5]:
        found = silent.recommend(user)
        assert [r.item for r in found] == [r.item for r in alone.recommend(user)]
        parts = silent.explain(user, found[0].item).parts
        assert (parts["graph"], parts["popularity"]) == (0, 0)
    for fitted, says_so in ((best_recommender, False), (silent, True)):
        describe_fit(fitted)
        assert ("its part of every score is 0" in " ".join(capsys.readouterr().err.split())) == says_so


@pytest.mark.parametrize("how", ["column beyond the catalogue", "rows missing", "no mixture"])
def test_a_graph_that_does_not_fit_is_refused(best_recommender: magnn.Recommender, tmp_path: Path, how: str) -> None:
    """Hashes are right: somebody wrote it so."""
    path = tmp_path / "model"
    best_recommender.save(path)
    tensors = load_file(path / "graph.safetensors")
    if how == "no mixture":
        tensors = {name: value for name, value in tensors.items() if not name.startswith("mixture")}
    elif how == "rows missing":
        tensors["co_occurrence.indptr"] = tensors["co_occurrence.indptr"][:-1].clone()
    else:
        tensors["co_occurrence.indices"] += 10**6
    save_file(tensors, path / "graph.safetensors")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["sha256"]["graph.safetensors"] = file_sha256(path / "graph.safetensors")
    _write_json(path / "manifest.json", manifest)
    with pytest.raises(ArtifactError, match="do not belong together"):
        magnn.load(path)


def test_a_history_in_place_of_the_logs_changes_the_neighbours(best_recommender: magnn.Recommender) -> None:
    events = best_recommender.split.events
    item, other = events.item_ids[0], events.item_ids[50]
    one, two = (best_recommender.explain(None, events.item_ids[1], history=[i]) for i in (item, other))
    assert one.parts["graph"] != two.parts["graph"]
    assert one.parts["popularity"] == two.parts["popularity"]


def test_what_the_graph_looks_at_is_kept_on_disk(best_recommender: magnn.Recommender, tmp_path: Path) -> None:
    part = best_recommender.graph_part
    assert part is not None
    settings = best_recommender.settings.model_copy(update={"graph": GraphConfig(neighbours=3, recent=2)})
    other = replace(best_recommender, graph_part=replace(part, recent=2), settings=settings)
    other.save(tmp_path / "model")
    users = best_recommender.split.events.user_ids.to_list()
    found = magnn.load(tmp_path / "model").recommend_many(users, k=5)
    assert found == other.recommend_many(users, k=5) != best_recommender.recommend_many(users, k=5)

"""What a program does around a fit and with a model: settings of PyTorch, threads, copies, numbers of NumPy."""

import copy
import json
import pickle
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from magnn.errors import InputError
from magnn.model.short_term import ItemGraph
from magnn.sparse import check_entries
from tests.worlds import BEST, config, small_world, weights_equal

BEST_FOR_A_WHILE = {**BEST, "training": {**BEST["training"], "epochs": 3}}  # dropout draws in every step


def test_integers_of_numpy_are_integers(tmp_path: Path) -> None:
    rec = magnn.fit(small_world(), config=config(epochs=1), seed=np.int64(3))  # type: ignore[arg-type]
    rec.save(tmp_path / "model")
    assert magnn.load(tmp_path / "model").seed == 3
    k: Any = np.int32(4)
    rec.recommend_all(tmp_path / "lists.parquet", k=k)
    assert pl.read_parquet(tmp_path / "lists.parquet")["rank"].max() == 4
    assert json.loads(json.dumps(magnn.evaluate(rec, k=k, baselines=False).to_dict()))["k"] == 4


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off_a_fit_is_the_same(around: Callable[[], AbstractContextManager[Any]]) -> None:
    settings = {**BEST, "training": {**BEST["training"], "epochs": 1}}
    alone = magnn.fit(small_world(), config=settings)
    with around():
        within = magnn.fit(small_world(), config=settings)
        assert not torch.is_grad_enabled()
    assert weights_equal(alone, within)
    assert within.recommend(0) == alone.recommend(0)


def test_a_model_loaded_where_gradients_are_off_recommends_everywhere(
    best_recommender: magnn.Recommender, tmp_path: Path
) -> None:
    best_recommender.save(tmp_path / "model")
    with torch.inference_mode():
        loaded = magnn.load(tmp_path / "model")
        assert loaded.recommend(3) == best_recommender.recommend(3)
    assert loaded.recommend(4) == best_recommender.recommend(4)


def test_loading_leaves_the_global_generator_alone(saved_model: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    magnn.load(saved_model)
    assert torch.equal(torch.rand(1), expected)


@contextmanager
def of_64_bits() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("defaults", "value"), [(of_64_bits, "torch.float64"), (lambda: torch.device("meta"), "meta")])
def test_other_defaults_of_pytorch_are_one_line(
    saved_model: Path, defaults: Callable[[], AbstractContextManager[Any]], value: str
) -> None:
    split = small_world()
    with defaults(), pytest.raises(InputError, match=rf"^PyTorch's default is {value}; torch\.set_default_.*$"):
        magnn.fit(split, epochs=1)
    with defaults(), pytest.raises(InputError, match=rf"^PyTorch's default is {value}; torch\.set_default_.*$"):
        magnn.load(saved_model)


def test_fits_in_threads_are_those_of_one_after_the_other(saved_model: Path) -> None:
    """And loading in between changes none of them."""
    split, found, together = small_world(), {}, threading.Barrier(2)

    def run(seed: int) -> None:
        together.wait()
        found[seed] = magnn.fit(split, config=BEST_FOR_A_WHILE, seed=seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            magnn.load(saved_model)
            thread.join(0.2)
    for seed in (0, 1):
        assert weights_equal(found[seed], magnn.fit(split, config=BEST_FOR_A_WHILE, seed=seed))


def test_a_fit_in_another_thread_keeps_its_checkpoints_to_itself(tmp_path: Path) -> None:
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(InputError) as error:
            magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path / "kept")
        refused.append(str(error.value))

    def in_a_thread(_: Any) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(60)

    magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path / "kept", progress=in_a_thread)
    assert refused and all("another fit keeps its checkpoints there" in said for said in refused)


def through_pickle(rec: magnn.Recommender) -> Any:
    """As multiprocessing hands it on."""
    return pickle.loads(pickle.dumps(rec))  # noqa: S301 our own bytes


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_answers_the_same(best_recommender: magnn.Recommender, copied: Callable[[Any], Any]) -> None:
    expected = best_recommender.recommend(3)  # from here on it holds what it computed from its graphs
    again = copied(best_recommender)
    assert again.recommend(3) == expected
    assert again.graph_part is not None and best_recommender.graph_part is not None
    assert again.graph_part.graphs[0] is not best_recommender.graph_part.graphs[0]


def test_a_model_and_its_split_can_be_keys(recommender: magnn.Recommender, saved_model: Path) -> None:
    loaded = magnn.load(saved_model)
    assert {recommender: 1, loaded: 2}[loaded] == 2 and loaded.split != recommender.split


@pytest.mark.parametrize("refit", [True, False])
def test_nothing_of_the_training_is_kept_in_memory(refit: bool) -> None:
    settings = {**BEST, "training": {**BEST["training"], "epochs": 1}}
    rec = magnn.fit(small_world(), config=settings, refit=refit)
    assert [name for name, weight in rec.model.named_parameters() if weight.grad is not None] == []
    assert rec.graph_part is not None and vars(rec.graph_part).keys() == {"graphs", "log_counts_N", "recent", "mixture"}


def test_a_loaded_model_needs_its_files_no_more(best_recommender: magnn.Recommender, tmp_path: Path) -> None:
    best_recommender.save(tmp_path / "model")
    loaded = magnn.load(tmp_path / "model")
    for path in (tmp_path / "model").iterdir():
        path.write_bytes(b"\xff" * path.stat().st_size)  # as `cp` writes another over it
    shutil.rmtree(tmp_path / "model")
    assert loaded.recommend(3) == best_recommender.recommend(3)


def test_sparse_products_warn_of_nothing() -> None:
    """In a process of its own: PyTorch says it once."""
    program = "import torch; from magnn.sparse import csr; csr(torch.zeros(1), torch.zeros(0), torch.zeros(0), (0, 0))"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_more_links_than_can_be_counted_are_refused() -> None:
    check_entries(2**31 - 1)
    too_many: Any = SimpleNamespace(nnz=2**31)
    for refuses in (lambda: check_entries(2**31), lambda: ItemGraph(too_many)):
        with pytest.raises(InputError, match=r"2,147,483,648 links .* graph_links"):
            refuses()


def test_what_a_searchs_progress_raises_comes_out(tmp_path: Path) -> None:
    """It says nothing about the settings that were tried."""

    def wrong(at: Any) -> None:
        if at.training is not None:
            raise KeyError("metric")

    with pytest.raises(KeyError, match="metric"):
        magnn.tune(small_world(), config=config(epochs=1), minutes=1, trials=3, progress=wrong)
    with pytest.raises(KeyError, match="metric"):
        magnn.tune(small_world(), config=config(epochs=1), minutes=1, trials=3, progress=wrong, study=tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as study:
        assert study.execute("SELECT state FROM trials").fetchall() == [("FAIL",)], "nobody works at it"

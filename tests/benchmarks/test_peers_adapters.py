"""Each peer's adapter keeps the contract and learns, on a log where an item is followed by the next one."""

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.measure import ROOT
from benchmarks.peers import environments

pytestmark = pytest.mark.peers

N_ITEMS, N_USERS, LENGTH, K = 100, 50, 14, 20
NEW_USER, EMPTY_USER, UNTRAINED_ITEM = N_USERS, N_USERS + 1, N_ITEMS

LIGR = {
    "transformer_layers_type": "rectools.models.nn.transformers.ligr.LiGRLayers",
    "use_key_padding_mask": True,
    "n_heads": 1,
}
RECTOOLS = {"n_factors": 32, "n_blocks": 1, "session_max_len": 20, "batch_size": 8, "lr": 0.005, "dropout_rate": 0.1}
RECBOLE = {"train_batch_size": 64, "learning_rate": 0.005, "valid_every": 5}
# Folder, model, settings, epochs, and whether it can serve a user who was not trained on.
PEERS = [
    ("implicit", "cosine", {"K": 20}, None, True),
    ("implicit", "bm25", {"K": 20, "K1": 1.2, "B": 0.75}, None, True),
    ("implicit", "als", {"factors": 16}, 10, True),
    ("implicit", "bpr", {"factors": 16, "learning_rate": 0.1, "valid_every": 10}, 100, False),
    ("recbole", "BPR", RECBOLE, 40, False),
    ("recbole", "GRU4Rec", RECBOLE, 30, True),
    ("recbole", "Caser", RECBOLE | {"MAX_ITEM_LIST_LENGTH": 5}, 30, False),
    ("recbole", "HGN", RECBOLE | {"MAX_ITEM_LIST_LENGTH": 5}, 20, False),
    ("recbole", "SASRec", RECBOLE, 20, True),
    ("recbole", "GCSAN", RECBOLE | {"MAX_ITEM_LIST_LENGTH": 10}, 10, True),
    ("rectools", "sasrec", RECTOOLS | {"loss": "BCE", "n_heads": 1, "n_negatives": 5}, 40, True),
    ("rectools", "sasrec", RECTOOLS | {"loss": "softmax", "n_heads": 1}, 20, True),
    ("rectools", "sasrec", RECTOOLS | LIGR | {"loss": "sampled_softmax", "n_negatives": 20}, 20, True),
    ("rectools", "sasrec", RECTOOLS | LIGR | {"loss": "gBCE", "gbce_t": 0.75, "n_negatives": 20}, 20, True),
]
ONE_OF_EACH = [PEERS[2], PEERS[4], PEERS[8], PEERS[11]]


def name_of(peer: tuple[str, str, dict[str, Any], int | None, bool]) -> str:
    return "-".join((peer[0], peer[1], str(peer[2].get("loss", "")))).strip("-")


def events() -> dict[str, dict[int, list[int]]]:
    """Items of each user in each file: the last event for the test, the one before for the validation."""
    random = np.random.default_rng(5)
    walks = {
        user: [(start + i) % N_ITEMS for i in range(LENGTH)]
        for user, start in enumerate(random.permutation(N_USERS) * 2)
    }
    train = {user: items[:-2] for user, items in walks.items()}
    history = {user: items[:-1] for user, items in walks.items()} | {NEW_USER: [10, 11, UNTRAINED_ITEM, 12]}
    held_out = {place: {user: [items[place]] for user, items in walks.items()} for place in (-2, -1)}
    return {"train": train, "history": history, "valid": held_out[-2], "test": held_out[-1]}


def write(folder: Path, name: str, items: dict[int, list[int]]) -> None:
    rows = [f"{user}\t{item}\t{time}" for user, row in sorted(items.items()) for time, item in enumerate(row)]
    (folder / f"{name}.tsv").write_text("\n".join(["user\titem\ttime", *rows]) + "\n")


def python_of(library: str) -> Path:
    """The interpreter of a library's environment; without one the test is reported as not run."""
    python = environments.python_of(library)
    if python is None:
        pytest.skip(f"NOT RUN: environment of {library} is not built; python -m benchmarks.peers build")
    return python


def run(
    folder: Path,
    peer: tuple[str, str, dict[str, Any], int | None, bool],
    files: tuple[str, ...] = ("train", "valid", "history", "test"),
    **changes: Any,
) -> tuple[NDArray[np.int32], dict[str, Any], list[str]]:
    """Lists, report, and the lines of progress."""
    library, model, settings, epochs, _ = peer
    python = python_of(library)
    for name in files:
        write(folder, name, events()[name])
    task = {"model": model, "settings": settings, "epochs": epochs, "k": K, "threads": 1, "seed": 0, "seconds": 1e9}
    sizes = {"n_users": N_USERS + 2, "n_items": N_ITEMS + 1}
    (folder / "task.json").write_text(json.dumps(task | sizes | changes))
    command = [str(python), str(environments.PEERS / library / "adapter.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    progress = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    return np.load(folder / "lists.npy"), json.loads((folder / "report.json").read_text()), progress


RECTOOLS_FASTER = """
import torch
from benchmarks.peers.rectools import faster
from rectools.models.nn.transformers.lightning import TransformerLightningModule
from rectools.models.nn.transformers.ligr import LiGRLayers
from rectools.models.nn.transformers.net_blocks import LearnableInversePositionalEncoding
from rectools.models.nn.transformers.similarity import DistanceSimilarityModule
from rectools.models.nn.transformers.torch_backbone import TransformerTorchBackbone


class Items(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.vectors = torch.nn.Parameter(torch.randn(30, 8))

    def get_all_embeddings(self):
        return self.vectors * 1


faster.GROUP = 3
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
items = Items()
positions, layers = LearnableInversePositionalEncoding(True, 6, 8), LiGRLayers(2, 8, 1, 0.0)
sessions = torch.randint(1, 30, (7, 6))
sessions[torch.arange(6).flip(0) >= torch.tensor([[1], [6], [3], [2], [6], [4], [0]])] = 0
candidates = torch.randint(1, 30, (7, 6, 5))
candidates[sessions == 0] = 0
batch = {"x": sessions, "y": candidates[..., 0], "yw": torch.rand(7, 6)}
found = []
for backbone, similarity, training in (
    (TransformerTorchBackbone, DistanceSimilarityModule, TransformerLightningModule),
    (faster.Backbone, faster.Similarity, faster.Training),
):
    network = backbone(1, 0.0, items, positions, layers, similarity(), True, True)
    logits = network(batch, candidates)[sessions != 0]
    softmax = training(network, {}, {}, [], [], None, 0.1, 0.2, "softmax").training_step(batch, 0)
    found.append({"logits": logits, "softmax": softmax})
    for what, loss in (("of some", (logits**2).sum()), ("of all", softmax)):
        network.zero_grad()
        loss.backward(retain_graph=True)
        found[-1] |= {f"{name} {what}": each.grad.clone() for name, each in network.named_parameters()}
for name, library in found[0].items():
    torch.testing.assert_close(found[1][name], library, msg=name)
assert len(found[0]) > 20 and len(found[0]["logits"]) == 22
"""


RECBOLE_FASTER = """
import logging
from types import SimpleNamespace
import torch
from benchmarks.peers.recbole import faster
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.utils import get_model

logging.disable(logging.WARNING)
faster.GROUP = 3
settings = {"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 6, "gpu_id": "", "dropout_prob": 0.0}
settings |= {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "hidden_size": 8, "embedding_size": 8}
for name in faster.MODELS:
    torch.manual_seed(0)
    model = get_model(name)(Config(name, "log", config_dict=settings), SimpleNamespace(num=lambda field: 30))
    lengths = torch.tensor([1, 6, 3, 2, 6, 4, 1])
    sessions = torch.randint(1, 6, (7, 6)) * (torch.arange(6) < lengths[:, None])
    batch = Interaction({"item_id_list": sessions, "item_length": lengths, "item_id": torch.randint(1, 30, (7,))})
    found = []
    for change in (lambda model: None, faster.make_faster):
        change(model)
        model.zero_grad()
        model.calculate_loss(batch).backward()
        scores = model.full_sort_predict(batch)
        found.append({"scores": scores} | {key: each.grad.clone() for key, each in model.named_parameters()})
    assert found[0]["scores"].std() > 0
    assert "forward" in vars(model), "the second time, it is the faster one"
    for key, library in found[0].items():
        torch.testing.assert_close(found[1][key], library, msg=f"{name}: {key}")
"""


@pytest.mark.parametrize(("library", "code"), [("rectools", RECTOOLS_FASTER), ("recbole", RECBOLE_FASTER)])
def test_the_faster_network_is_the_librarys_but_for_padding(library: str, code: str, tmp_path: Path) -> None:
    command = [str(python_of(library)), "-W", "ignore", "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_lists(lists: NDArray[np.int32]) -> float:
    """Each list has new items and then its end, the user without events none; recall@10 of the others."""
    history, test = events()["history"], events()["test"]
    assert lists.dtype == np.int32
    assert lists.shape == (N_USERS + 2, K)
    for user, row in enumerate(lists.tolist()):
        items = [item for item in row if item >= 0]
        assert row == items + [-1] * (K - len(items))
        assert len(set(items)) == len(items)
        assert not set(items) & set(history.get(user, []))
        assert max(items, default=0) <= N_ITEMS
    assert (lists[EMPTY_USER] == -1).all()
    return float(np.mean([test[user][0] in lists[user, :10] for user in range(N_USERS)]))


@pytest.mark.parametrize(
    ("model", "settings", "learns"),
    [
        ("popularity", {}, False),
        ("item-knn", {"exponent": 0.5, "decay": 0.3}, True),
        ("ease", {"regularisation": 10.0}, True),
    ],
    ids=["popularity", "item-knn", "ease"],
)
def test_our_own_baselines_keep_it_too(model: str, settings: dict[str, Any], learns: bool, tmp_path: Path) -> None:
    lists, report, _ = run(tmp_path, ("own", model, settings, None, True))
    recall = check_lists(lists)
    assert not learns or recall > 3 * 10 / (N_ITEMS - LENGTH)
    assert (lists[NEW_USER, 0] >= 0).all()
    assert 0 < report["valid"]["ndcg@10"] <= 1
    assert all(report[name] > 0 for name in ("train_seconds", "valid_seconds", "recommend_seconds", "peak_gib"))


@pytest.mark.parametrize("peer", PEERS, ids=name_of)
def test_it_keeps_the_contract_and_learns(
    peer: tuple[str, str, dict[str, Any], int | None, bool], tmp_path: Path
) -> None:
    lists, report, progress = run(tmp_path, peer)
    recall = check_lists(lists)
    assert (lists[NEW_USER, 0] >= 0) == peer[4]

    test = events()["test"]
    hits = [
        row.tolist().index(test[user][0]) if test[user][0] in row[:10] else None for user, row in enumerate(lists[:50])
    ]
    ndcg = np.mean([0 if place is None else 1 / math.log2(place + 2) for place in hits])
    assert recall > 3 * 10 / (N_ITEMS - LENGTH)  # three times chance
    assert report["own_metrics"]["recall@10"] == pytest.approx(recall, abs=1e-6)
    assert report["own_metrics"]["ndcg@10"] == pytest.approx(ndcg, abs=1e-6)

    assert report["epochs"] == len(progress) <= (peer[3] or 1)
    assert 1 <= report["best_epoch"] <= report["epochs"]
    assert report["stopped_by"] in ("epochs", "patience")
    assert 0 < report["valid"]["ndcg@10"] <= 1
    assert all(report[name] > 0 for name in ("train_seconds", "valid_seconds", "recommend_seconds", "peak_gib"))
    assert report["versions"][peer[0]]
    files = {"task.json", "train.tsv", "valid.tsv", "history.tsv", "test.tsv", "lists.npy", "report.json"}
    assert {path.name for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("peer", ONE_OF_EACH, ids=name_of)
def test_a_final_fit_trains_as_long_as_it_is_told_and_looks_at_no_test_events(
    peer: tuple[str, str, dict[str, Any], int | None, bool], tmp_path: Path
) -> None:
    lists, report, progress = run(tmp_path, peer, ("train", "history", "test"), epochs=3)
    assert (report["epochs"], report["best_epoch"], len(progress)) == (3, 3, 3)
    assert report["stopped_by"] == "epochs"
    assert report["valid"] is None
    (tmp_path / "again").mkdir()
    again, report, _ = run(tmp_path / "again", peer, ("train", "history"), epochs=3)
    np.testing.assert_array_equal(lists, again)
    assert report["own_metrics"]["recall@10"] is None
    assert "test.tsv" in report["own_metrics"]["reason"]


@pytest.mark.parametrize("peer", ONE_OF_EACH, ids=name_of)
def test_it_stops_when_the_time_is_up(peer: tuple[str, str, dict[str, Any], int | None, bool], tmp_path: Path) -> None:
    lists, report, progress = run(tmp_path, peer, seconds=1e-4, epochs=None)
    assert (report["epochs"], report["best_epoch"], len(progress)) == (1, 1, 1)
    assert report["stopped_by"] == "time"
    assert report["train_seconds"] < 20
    assert (lists[:N_USERS] >= 0).all()


@pytest.mark.parametrize("peer", [peer for peer in ONE_OF_EACH if peer[0] != "implicit"], ids=name_of)
def test_time_ends_an_epoch_before_its_last_batch(
    peer: tuple[str, str, dict[str, Any], int | None, bool], tmp_path: Path
) -> None:
    """The loss of the epoch, of which the first batch is the same, says how many batches there were."""
    losses = []
    for name, seconds in (("cut", 1e-4), ("whole", 1e9)):
        (tmp_path / name).mkdir()
        _, _, (progress, *_) = run(tmp_path / name, peer, ("train", "history"), epochs=1, seconds=seconds)
        losses.append(float(progress.split("loss ")[1].split()[0]))
    assert losses[0] != losses[1]

"""The paper's experiments as lists of runs.

Source: Ma et al., AAAI 2020, tables 2 and 3, figure 3.
"""

from collections.abc import Callable
from typing import Any, Literal

from benchmarks.runs import Spec, ours

SEEDS = 5
FEWER_SEEDS = 3  # for what is compared over variants
PROTOCOL: Literal["paper"] = "paper"

GATED = "MF + S + H, gated"
# The rows of the ablation, in the paper's order; the full model is the main result's.
ABLATION: dict[str, dict[str, Any]] = {
    "MF": {"short_term": False, "long_term": False, "cooccurrence": False},
    "MF + S": {"long_term": False, "cooccurrence": False},
    GATED: {"cooccurrence": False},
    "MF + S + H, concatenated": {"cooccurrence": False, "fusion": "concat"},
    "MF + S + H, GRU": {"cooccurrence": False, "fusion": "gru"},
}
TUNING: dict[str, dict[str, Any]] = {
    "preset": {},
    "l2 .03": {"training": {"l2": 0.03}},
    "l2 2": {"training": {"l2": 2.0}},
    "weights learn as fast as embeddings": {"training": {"weight_rate": 1.0}},
    "positions of amplitude 1": {"model": {"position_scale": 50}},
    "initial standard deviation .1": {"model": {"init_std": 0.1, "position_scale": 0.2}},
    "1 negative": {"training": {"negatives": 1}},
    "batch 4096": {"training": {"batch_size": 4096}},
    "learning rate doubled": {"training": {"learning_rate": 0.008}},
    "history of 50": {"model": {"long_window": 50}},
    "90 epochs": {"training": {"epochs": 90}},
}
SIZES = (5, 10, 15, 20)
DEFAULT_SIZE = 20


def main_result(data: str) -> list[Spec]:
    """Preset `paper`."""
    return [ours(data, PROTOCOL, seed=seed) for seed in range(SEEDS)]


def ablation(data: str) -> list[Spec]:
    """What each part is worth."""
    return [
        ours(data, PROTOCOL, variant=variant, config={"model": parts}, seed=seed)
        for seed in range(FEWER_SEEDS)
        for variant, parts in ABLATION.items()
    ]


def sizes(data: str) -> list[Spec]:
    """Attention heads, and memory units."""
    return [
        size_run(data, setting, size, seed)
        for seed in range(FEWER_SEEDS)
        for setting in ("heads", "memory_units")
        for size in SIZES
        if size != DEFAULT_SIZE  # the main result's
    ]


def size_run(data: str, setting: str, size: int, seed: int) -> Spec:
    """The run with so many heads or memory units."""
    if size == DEFAULT_SIZE:
        return ours(data, PROTOCOL, seed=seed)
    return ours(data, PROTOCOL, variant=f"{setting} {size}", config={"model": {setting: size}}, seed=seed)


def tuning(data: str) -> list[Spec]:
    """What is open in the paper, one thing changed at a time from the preset; on the validation events only."""
    return [
        ours(data, PROTOCOL, variant=f"tuning {name}", config=change, refit=False, on="valid")
        for name, change in TUNING.items()
    ]


EXPERIMENTS: dict[str, Callable[[str], list[Spec]]] = {
    "main": main_result,
    "ablation": ablation,
    "sizes": sizes,
    "tuning": tuning,
}

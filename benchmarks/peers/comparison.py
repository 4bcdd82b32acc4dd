"""What is compared on what, as runs: the settings that each system tries, and the run that is judged on the test events."""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers import environments
from benchmarks.peers.systems import SYSTEMS, System
from benchmarks.runs import LOGS, Run, Spec, ours
from magnn.data.split import Protocol

# Data, protocol, and whether the final model is trained on the validation events too: as public results are reported.
COMPARISONS: tuple[tuple[str, Protocol, bool], ...] = (
    ("amazon-cds", "paper", True),
    ("amazon-beauty", "leave-one-out", False),
    ("ml-1m", "leave-one-out", False),
    ("ml-latest-small", "paper", True),
    ("amazon-beauty", "paper", True),
    ("ml-1m", "paper", True),
)
SELECT_BY = "ndcg@10"
MAGNN = "MA-GNN"
# As many as the peers have: the preset, and the penalty, which is what matters most from one log to the next.
MAGNN_SETTINGS: tuple[dict[str, Any], ...] = ({}, {"training": {"l2": 0.03}}, {"training": {"l2": 2.0}})
BEST = "magnn best"
OURS: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {MAGNN: ("paper", MAGNN_SETTINGS), BEST: ("best", ({},))}
SEEDS = 3  # that BEST is run with; the first is compared with the others, which have one
NAMES = (*(system.name for system in SYSTEMS), *OURS)


def setting_specs(name: str, data: str, protocol: Protocol) -> list[Spec]:
    """A run for each setting of a system, on the validation events."""
    if name in OURS:
        preset, settings = OURS[name]
        return [
            ours(data, protocol, preset=preset, variant=f"setting {number}", config=config, refit=False, on="valid")
            for number, config in enumerate(settings, start=1)
        ]
    return [
        _spec(name, data, protocol, settings, refit=False, on="valid", variant=f"setting {number}")
        for number, settings in enumerate(system_of(name).on(data), start=1)
    ]


def final_specs(name: str, data: str, protocol: Protocol, *, refit: bool, seed: int = 0) -> list[Spec]:
    """The run on the test events, for each setting that may be the chosen one; only ours have other seeds than 0."""
    if name in OURS:  # with the preset `paper` as it is, it is the paper's main result
        preset, settings = OURS[name]
        variants = ["", *(f"setting {number}" for number in range(2, len(settings) + 1))]
        return [
            ours(data, protocol, preset=preset, variant=variant, config=config, refit=refit, seed=seed)
            for variant, config in zip(variants, settings, strict=True)
        ]
    return [_spec(name, data, protocol, settings, refit=refit, on="test") for settings in system_of(name).on(data)]


def system_of(name: str) -> System:
    """The system of that name."""
    return next(system for system in SYSTEMS if system.name == name)


def _spec(name: str, data: str, protocol: Protocol, settings: dict[str, Any], **how: Any) -> Spec:
    return Spec(
        data=data,
        protocol=protocol,
        system=name,
        settings=settings,
        data_sha256=LOGS[data].sha256,
        code=environments.code_of(system_of(name).folder),
        **how,
    )


def best_of(runs: Mapping[int, Run]) -> int | None:
    """Key of the run with the best validation ndcg@10; None if all failed."""
    finished = [index for index, run in runs.items() if not run.error]
    return max(finished, key=lambda index: runs[index].valid[SELECT_BY], default=None)

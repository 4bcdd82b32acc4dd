"""How good a recommender is, beside the baselines, on events it was not trained on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from magnn.data.split import Protocol, Split
from magnn.errors import InputError
from magnn.ranking.baselines import KnnSettings, choose_knn, item_knn, popularity
from magnn.ranking.evaluate import Evaluation, evaluate_scorer, users_to_judge
from magnn.ranking.rank import Scorer, check_k
from magnn.recommender import Recommender

MODEL = "magnn"  # in tables, whatever its preset


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Evaluations under one protocol, by system: "magnn", "item-knn", "popularity".

    Attributes:
        on: the held-out part that was ranked.
        protocol: how the log was split.
        refit: whether the validation events were trained on.
        n_users: users evaluated; n_cold: users with held-out events but no history, who are not.
        n_items: the catalogue.
        knn: settings of item-kNN; None without baselines.
        knn_chosen: whether it chose them on the validation events; where nobody has any to choose by, it has fixed ones.
    """

    on: Literal["test", "valid"]
    protocol: Protocol
    refit: bool
    k: int
    n_users: int
    n_cold: int
    n_items: int
    systems: dict[str, Evaluation]
    knn: KnnSettings | None = None
    knn_chosen: bool = False

    @property
    def metrics(self) -> dict[str, float]:
        """The recommender's own metrics."""
        return self.systems[MODEL].metrics

    def to_dict(self) -> dict[str, Any]:
        """The object that `magnn evaluate --json` prints."""
        baselines = {name: result for name, result in self.systems.items() if name != MODEL}
        return {
            "split": self.on,
            "protocol": self.protocol,
            "refit": self.refit,
            "users": self.n_users,
            "cold_users": self.n_cold,
            "items": self.n_items,
            "k": self.k,
            "metrics": self.metrics,
            "ci95": self.systems[MODEL].ci95,
            "baselines": {name: result.metrics for name, result in baselines.items()},
            "baselines_ci95": {name: result.ci95 for name, result in baselines.items()},
            "item_knn_settings": asdict(self.knn) if self.knn else None,
        }


def evaluate(
    recommender: Recommender,
    split: Split | None = None,
    *,
    on: Literal["test", "valid"] = "test",
    k: int = 10,
    baselines: bool = True,
    progress: Callable[[str], None] | None = None,
) -> EvaluationReport:
    """Rank the whole catalogue for every user with held-out events, without what the user has seen.

    For the test events, everything before them is history, whether or not the validation events were trained on. The
    baselines count on exactly what the recommender was trained on, and item-kNN chooses its settings where the
    recommender chose its epoch, on the validation events.

    Args:
        split: the split it was fitted on; by default the one it carries.
        on: "test", or "valid" for a recommender that was not refitted.
        k: list length.
        baselines: whether to evaluate popularity and item-kNN too.
        progress: called with the name of each system before its turn.

    Raises:
        InputError: another split than the fitted one, `on` neither of the two, nothing held out, validation events that
            were trained on, or k outside [1, n_items].
    """
    fitted = recommender.split
    if split is not None and not _same(split, fitted):
        raise InputError("this recommender was fitted on another split: its training events may be among those to rank")
    if fitted.protocol == "none":
        raise InputError(
            "fitted with the split 'none': every event was trained on, so there is nothing to evaluate; "
            "fit with another, --split paper (magnn.split(events, 'paper'))"
        )
    if on not in ("test", "valid"):
        raise InputError(f"can evaluate on 'test' or 'valid', not {on!r}")
    if on == "valid" and recommender.refit:
        raise InputError(
            "the validation events were trained on in the final fit; fit with --no-refit (refit=False) to rank them"
        )
    k = check_k(k, fitted.events.n_items)
    history, held_out = (fitted.train_and_valid, fitted.test) if on == "test" else (fitted.train, fitted.valid)
    trained_on = fitted.train_and_valid if recommender.refit else fitted.train

    knn: KnnSettings | None = None
    makers: dict[str, Callable[[], Scorer]] = {MODEL: lambda: recommender.scorer(history)}

    def chosen_knn() -> Scorer:
        nonlocal knn
        knn = choose_knn(fitted.train, fitted.valid)
        return item_knn(trained_on, history, knn)

    if baselines:
        makers["item-knn"] = chosen_knn
        makers["popularity"] = lambda: popularity(trained_on)
    systems = {}
    for name, make in makers.items():
        if progress:
            progress(name)
        systems[name] = evaluate_scorer(make(), history, held_out, k)
    n_users = len(systems[MODEL].users)
    n_cold = int((held_out.lengths > 0).sum()) - n_users
    chosen = knn is not None and len(users_to_judge(fitted.train, fitted.valid)) > 0
    return EvaluationReport(
        on, fitted.protocol, recommender.refit, k, n_users, n_cold, history.n_items, systems, knn, chosen
    )


def _same(a: Split, b: Split) -> bool:
    return (
        np.array_equal(a.part, b.part)
        and np.array_equal(a.events.histories.items, b.events.histories.items)
        and np.array_equal(a.events.histories.offsets, b.events.histories.offsets)
    )

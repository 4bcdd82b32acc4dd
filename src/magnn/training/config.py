"""How the network is trained."""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from magnn.model.config import VERY_DENSE, OrAuto

FEW_EPOCHS = 8
MANY_EVENTS = 32_000_000


class TrainingConfig(BaseModel):
    """Settings of the training loop.

    The defaults were chosen on the validation events of Amazon CDs, and checked on those of MovieLens-100K and
    latest-small (docs/experiments.md); the paper does not give its own.

    Example:
        >>> config = TrainingConfig()
        >>> config.batch_of(samples=10_000), config.batch_of(samples=70_000)
        (1024, 4096)
        >>> round(config.rate_of(batch=4096), 4)
        0.002
        >>> config.q_of(events=100_000, items=10_000), config.q_of(events=1_000_000, items=4_000)
        (0.3, 0.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int | None, OrAuto] = Field(
        60,
        ge=1,
        description=f"epochs at most; early stopping may end before; auto: {FEW_EPOCHS}, and fewer where that would be "
        f"more than some {MANY_EVENTS:,} training events",
    )
    batch_size: Annotated[int | None, OrAuto] = Field(
        None,
        ge=1,
        description="samples in a step; auto: about a 16th of all, from 1,024 to 16,384; "
        "for softmax a 64th, from 512 to 2,048",
    )
    learning_rate: Annotated[float | None, OrAuto] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="of Adam; auto: 1e-3 at 1,024 samples in a step (softmax: 2.8e-3), and as their square root",
    )
    weight_rate: float = Field(
        0.03,
        gt=0,
        allow_inf_nan=False,
        description="learning rate of the weight matrices, as a multiple of that of the embeddings",
    )
    l2: float = Field(
        0.25, ge=0, allow_inf_nan=False, description="lambda, on the squared norm of all parameters; the loss is a sum"
    )
    loss: Literal["bpr", "softmax"] = Field(
        "bpr",
        description="bpr: the paper's, against sampled negatives; softmax: against the catalogue, one target a sample",
    )
    gce_q: Annotated[float | None, OrAuto] = Field(
        None,
        ge=0,
        le=1,
        description="of softmax: 0 is the log loss; the larger, the less a sample counts whose target scores low; auto: "
        f"0.3 with up to 20 training events an item, less with more, 0 from {VERY_DENSE} on",
    )
    candidates: int = Field(
        4096,
        ge=1,
        description="of softmax: items that a step's targets compete with, drawn where the catalogue has more",
    )
    targets: int = Field(3, ge=1, description="|T|, next items that a sample predicts")
    negatives: int = Field(5, ge=1, description="unseen items drawn for each target; the loss is their mean")
    whole_window: bool = Field(
        True, description="a sample has a whole short window before its target; otherwise one event is enough"
    )
    decay: bool = Field(
        False, description="the learning rate rises over a twentieth of the steps, then falls to 0 over `epochs`"
    )
    patience: int = Field(15, ge=1, description="epochs without a better validation before stopping")
    select_by: Literal["recall@10", "ndcg@10"] = Field("ndcg@10", description="validation metric that picks the epoch")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.loss == "softmax" and self.targets != 1:
            raise ValueError(f"loss = 'softmax' goes with targets = 1, not {self.targets}")
        return self

    def for_log(self, events: int) -> "TrainingConfig":
        """These settings for a log of so many training events: its epochs are decided.

        Where items have very many events, one epoch teaches their rows what several do on a small log.

        Example:
            >>> config = TrainingConfig(epochs=None)
            >>> config.for_log(1_000_000).epochs, config.for_log(10_000_000).epochs, config.for_log(10**9).epochs
            (8, 3, 1)
        """
        if self.epochs is not None:
            return self
        return self.model_copy(update={"epochs": min(max(round(MANY_EVENTS / max(events, 1)), 1), FEW_EPOCHS)})

    def for_samples(self, samples: int) -> "TrainingConfig":
        """These settings for so many samples: batch and learning rate are decided.

        Example:
            >>> config = TrainingConfig(loss="softmax", targets=1).for_samples(100_000)
            >>> config.batch_size, round(config.learning_rate, 5)
            (2048, 0.00396)
        """
        batch = self.batch_of(samples)
        return self.model_copy(update={"batch_size": batch, "learning_rate": self.rate_of(batch)})

    def rate_factor(self, epochs: float) -> float:
        """What the learning rate is multiplied with after so many epochs.

        Example:
            >>> config = TrainingConfig(epochs=10, decay=True)
            >>> config.rate_factor(0.25), config.rate_factor(0.5), config.rate_factor(10)
            (0.4875, 0.95, 0.0)
        """
        if not self.decay:
            return 1.0
        assert self.epochs is not None, "decided by for_log"
        done = epochs / self.epochs
        return min(done / 0.05, 1) * (1 - done)

    def batch_of(self, samples: int) -> int:
        """Samples in a step. Some work costs the same whatever their number; few steps an epoch still learn as well."""
        if self.batch_size is not None:
            return self.batch_size
        steps, smallest, largest = (16, 10, 14) if self.loss == "bpr" else (64, 9, 11)
        return int(2 ** min(max(round(math.log2(max(samples, 1) / steps)), smallest), largest))

    def rate_of(self, batch: int) -> float:
        """Learning rate; with Adam it grows as the square root of the batch (Malladi et al., NeurIPS 2022)."""
        if self.learning_rate is not None:
            return self.learning_rate
        return (1e-3 if self.loss == "bpr" else 2.8e-3) * math.sqrt(batch / 1024)

    def q_of(self, events: int, items: int) -> float:
        """q of the generalised cross-entropy, from how many events an item has.

        What the log loss wants to know of every sample, a sparse log cannot tell: there it gains to leave the hopeless ones
        alone. On a dense one they can be learned (docs/experiments.md).
        """
        if self.gce_q is not None:
            return self.gce_q
        sparse, dense = 20, VERY_DENSE  # events an item
        density = min(max(events / max(items, 1), sparse), dense)
        return 0.3 * (1 - math.log(density / sparse) / math.log(dense / sparse))

"""How the network is trained."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(60, ge=1, description="epochs at most; early stopping usually ends before")
    batch_size: int | None = Field(
        None, ge=1, description="samples in a step; if not given, about a 16th of all, from 1,024 to 16,384"
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="of Adam; if not given, 1e-3 at 1,024 samples in a step, and as their square root",
    )
    weight_rate: float = Field(
        0.03, gt=0, allow_inf_nan=False, description="learning rate of the weight matrices, in that of the embeddings"
    )
    l2: float = Field(
        0.25, ge=0, allow_inf_nan=False, description="lambda, on the squared norm of all parameters; the loss is a sum"
    )
    targets: int = Field(3, ge=1, description="|T|, next items that a sample predicts")
    negatives: int = Field(5, ge=1, description="unseen items drawn for each target; the loss is their mean")
    patience: int = Field(15, ge=1, description="epochs without a better validation before stopping")
    select_by: Literal["recall@10", "ndcg@10"] = Field("ndcg@10", description="validation metric that picks the epoch")

    def batch_of(self, samples: int) -> int:
        """Samples in a step. Some work costs the same whatever their number; 16 steps an epoch still learn as well."""
        if self.batch_size is not None:
            return self.batch_size
        return int(2 ** min(max(round(math.log2(max(samples, 1) / 16)), 10), 14))

    def rate_of(self, batch: int) -> float:
        """Learning rate; with Adam it grows as the square root of the batch (Malladi et al., NeurIPS 2022)."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-3 * math.sqrt(batch / 1024)

"""How the network is trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """Settings of the training loop.

    The defaults were chosen on the validation events of MovieLens-100K and latest-small, and checked on those of Amazon
    CDs (docs/experiments.md); the paper does not give its own.

    Example:
        >>> TrainingConfig(epochs=5).batch_size
        1024
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(100, ge=1, description="epochs at most; early stopping usually ends before")
    batch_size: int = Field(1024, ge=1, description="samples in a step")
    learning_rate: float = Field(3e-3, gt=0, description="of Adam")
    l2: float = Field(1e-4, ge=0, description="lambda, on the squared norms of what a sample touches")
    targets: int = Field(3, ge=1, description="|T|, next items that a sample predicts")
    negatives: int = Field(1, ge=1, description="unseen items drawn for each target")
    patience: int = Field(15, ge=1, description="epochs without a better validation before stopping")
    select_by: Literal["recall@10", "ndcg@10"] = Field("ndcg@10", description="validation metric that picks the epoch")

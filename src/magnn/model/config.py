"""What shapes the network. Every part can be switched off, so the paper's ablations are configurations."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DENSE = 60  # events an item: from here on there is something to learn of what items say together
VERY_DENSE = 200  # from here on of their vectors' lengths, and from every sample (`TrainingConfig.q_of`)
# A setting that may be left to the log: None, which a TOML file, having no such value, writes as "auto".
OrAuto = BeforeValidator(lambda value: None if value == "auto" else value)


class ModelConfig(BaseModel):
    """Architecture of MA-GNN.

    Example:
        >>> ModelConfig(long_term=False, cooccurrence=False).short_term  # the paper's "MF + S"
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(50, ge=1, description="embedding size d")
    short_window: int = Field(5, ge=1, description="|L|, events in the short-term window")
    long_window: int = Field(20, ge=1, description="|H|max, events of long-term history before it")
    heads: int = Field(20, ge=1, description="h, attention heads over the long-term history")
    memory_units: int = Field(20, ge=1, description="m, latent interests shared by all users")
    taste: bool = Field(True, description="p_u . q_j, matrix factorisation")
    short_term: bool = Field(True, description="graph network over the short-term window")
    long_term: bool = Field(True, description="attention over the long-term history, and the memory")
    fusion: Literal["gate", "concat", "gru"] = Field("gate", description="how short and long term become one")
    cooccurrence: bool = Field(True, description="bilinear item co-occurrence over the short-term window")
    graph_steps: int = Field(3, ge=1, description="how many events ahead the item graph links")
    graph_links: int = Field(
        0, ge=0, description="of the item graph: a link stays that is among so many nearest of either item; 0 keeps all"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="on the query, in training")
    cosine: Annotated[bool | None, OrAuto] = Field(
        False,
        description="score with queries and items of unit length, times cosine_scale; "
        f"auto: with fewer than {VERY_DENSE} training events an item",
    )
    cosine_scale: float = Field(10.0, gt=0, allow_inf_nan=False, description="1 / temperature of cosine scores")
    recency: bool = Field(
        False, description="items are weighted by age, learned: a mean of the last ones, a logit of the older"
    )
    feed_forward: Annotated[bool | None, OrAuto] = Field(
        False,
        description="a layer on the sum of the parts, for what they say together; "
        f"auto: with {DENSE} training events an item or more",
    )
    tied: bool = Field(False, description="an item is one vector, in histories and in lists; the paper has two")
    init_std: float = Field(
        0.02, gt=0, allow_inf_nan=False, description="standard deviation of the initial embeddings and memory values"
    )
    position_scale: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="amplitude of positions in the long history, as a multiple of init_std; recency has no positions",
    )

    @model_validator(mode="after")
    def _something_is_on(self) -> Self:
        if not (self.taste or self.short_term or self.long_term or self.cooccurrence):
            raise ValueError(
                "every part is switched off; leave on at least one of taste, short_term, long_term, cooccurrence"
            )
        return self

    def for_log(self, events: int, items: int) -> "ModelConfig":
        """This network for a log of so many training events: what was left to it is decided (docs/experiments.md).

        On a sparse log, a layer that can combine only remembers, and the length of a vector says how often it was trained
        rather than how much its item is liked; on a dense one both have enough to learn from.

        Example:
            >>> config = ModelConfig(feed_forward=None, cosine=None)
            >>> dense, sparse = config.for_log(1_000_000, 4_000), config.for_log(100_000, 10_000)
            >>> (dense.feed_forward, dense.cosine), (sparse.feed_forward, sparse.cosine)
            ((True, False), (False, True))
        """
        decided = {"feed_forward": events >= DENSE * items, "cosine": events < VERY_DENSE * items}
        return self.model_copy(update={name: value for name, value in decided.items() if getattr(self, name) is None})

"""MA-GNN: the parts put together into one query vector per user.

Source: Ma et al., AAAI 2020, section "Prediction and training": score(u, j) = p_u . q_j + c . q_j + mean_L e_i^T Wr q_j.

The score is linear in q_j. So everything a user does to the ranking is one vector v_u, and training, evaluation, top-K
and explanation are products of v_u, or of its addends, with Q.

Shapes: B = batch, W = window (H long, then L short), D = embedding size, N = items.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from magnn.model.aged_history import AgedHistoryQuery
from magnn.model.config import ModelConfig
from magnn.model.cooccurrence import Cooccurrence
from magnn.model.feed_forward import FeedForward
from magnn.model.fusion import ConcatFusion, GateFusion, GruFusion, PersonalShortTerm
from magnn.model.general import Embeddings
from magnn.model.kernels import gather
from magnn.model.long_term import HistoryQuery, InterestMemory
from magnn.model.short_term import ItemGraph, ShortTerm

FUSIONS = {"gate": GateFusion, "concat": ConcatFusion, "gru": GruFusion}


class QueryParts(NamedTuple):
    """Addends of the query vector, each (B, D), zero where a part is off or has nothing to say; and the gate, if any.

    But without a long term `short_term` is tanh(W [s; p_u]), with the taste p_u in it: without a history it is not zero.
    """

    taste: Tensor
    short_term: Tensor
    long_term: Tensor
    memory: Tensor
    co_occurrence: Tensor
    gate: Tensor | None

    def query(self) -> Tensor:
        """v_u, (B, D)."""
        return self.taste + self.short_term + self.long_term + self.memory + self.co_occurrence


class MAGNN(nn.Module):
    """The network.

    In training mode item states are computed from the graph at every call. `freeze` computes them once and switches to
    evaluation mode; a frozen model needs the graph no more, which is why a saved model does not carry one.

    Args:
        config: the architecture.
        n_users, n_items: sizes of the tables. User number `n_users` is nobody, item number `n_items` is padding.
        graph: the item graph; None for a model that is only to be loaded and used.

    Example:
        >>> model = MAGNN(ModelConfig(dim=4, taste=True, short_term=False), n_users=2, n_items=3)
        >>> history = torch.full((1, 25), 3)
        >>> model(torch.tensor([0]), history).shape
        torch.Size([1, 4])
    """

    item_states_ND: Tensor

    def __init__(self, config: ModelConfig, n_users: int, n_items: int, graph: ItemGraph | None = None) -> None:
        super().__init__()
        self.config, self.n_users, self.n_items, self.graph = config, n_users, n_items, graph
        self._unit_items: tuple[tuple[int, int], Tensor] | None = None  # `items` of a frozen model, once asked for
        dim = config.dim
        self.embeddings = Embeddings(n_users, n_items, dim, config.init_std, taste=config.taste, tied=config.tied)
        if config.short_term:
            self.short_term = ShortTerm(dim, config.short_window, config.recency)
            self.register_buffer("item_states_ND", torch.zeros(n_items + 1, dim))
        if config.long_term:
            self.history_query: HistoryQuery | AgedHistoryQuery
            if config.recency:
                self.history_query = AgedHistoryQuery(dim, config.heads, config.long_window)
            else:
                positions = config.position_scale * config.init_std
                self.history_query = HistoryQuery(dim, config.heads, config.long_window, positions)
            self.memory = InterestMemory(dim, config.memory_units, config.init_std)
        if config.short_term and config.long_term:
            self.fusion = FUSIONS[config.fusion](dim)
        elif config.short_term:
            self.personal = PersonalShortTerm(dim)
        if config.cooccurrence:
            self.cooccurrence = Cooccurrence(dim, config.short_window, config.recency)
        if config.feed_forward:
            self.feed_forward = FeedForward(dim)

    def freeze(self) -> "MAGNN":
        """Evaluation mode, with the item states of the present weights computed once."""
        if self.config.short_term and self.graph is not None:
            with torch.no_grad():
                self.item_states_ND.copy_(self.short_term.states(self.graph, self.embeddings.input_D.weight))
        return self.eval()

    def train(self, mode: bool = True) -> "MAGNN":
        """As of every module; and what was made of the weights so far is made anew when it is next asked for."""
        self._unit_items = None  # a fused optimizer changes weights without counting it as a change
        return super().train(mode)

    def parts(self, users_B: Tensor, history_BW: Tensor, focus: float = 0.0) -> QueryParts:
        """What the query vector is made of.

        Args:
            users_B: int64 user numbers; `n_users` for an unknown user.
            history_BW: int64 item numbers, oldest first, aligned to the right, padded with `n_items`; W is
                `long_window + short_window`.
            focus: added to the gate; must be 0 where there is none.
        """
        return self.parts_in_query(self.raw_parts(users_B, history_BW, focus))

    def parts_in_query(self, parts: QueryParts) -> QueryParts:
        """`parts` from `raw_parts`."""
        *addends, gate = parts
        in_query_B5D = self.in_query(parts.query(), torch.stack(addends, dim=1))
        taste, short_term, long_term, memory, co_occurrence = in_query_B5D.unbind(dim=1)
        return QueryParts(taste, short_term, long_term, memory, co_occurrence, gate)

    def in_query(self, sum_BD: Tensor, addends_BXD: Tensor) -> Tensor:
        """What addends of `raw_parts`, or of these, come to in the query vector, (B, X, D).

        The feed-forward layer and cosine scores come after the sum; each shares out what it does to the sum.
        """
        if self.config.feed_forward:
            addends_BXD = addends_BXD + self.feed_forward.shared_out(sum_BD, addends_BXD)
        if self.config.cosine:
            addends_BXD = addends_BXD * self._cosine_factor(self._with_feed_forward(sum_BD)).unsqueeze(1)
        return addends_BXD

    def _with_feed_forward(self, sum_BD: Tensor) -> Tensor:
        return sum_BD + self.feed_forward(sum_BD) if self.config.feed_forward else sum_BD

    def _cosine_factor(self, query_BD: Tensor) -> Tensor:
        """What brings query vectors to the length of cosine scores, (B, 1)."""
        factor_B1: Tensor = self.config.cosine_scale / query_BD.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return factor_B1

    def raw_parts(self, users_B: Tensor, history_BW: Tensor, focus: float = 0.0) -> QueryParts:
        """`parts` before the feed-forward layer and the length of cosine scores."""
        config = self.config
        input_ND = self.embeddings.input_D.weight
        history_BH, history_BL = history_BW[:, : -config.short_window], history_BW[:, -config.short_window :]
        nothing = input_ND.new_zeros(len(users_B), config.dim)

        users_D = self.embeddings.users_D
        taste_BD = nothing if users_D is None else gather(users_D.weight, users_B, self.n_users)
        short_BD = long_BD = memory_BD = cooccurrence_BD = nothing
        gate_BD: Tensor | None = None
        if config.short_term:
            if self.training:
                assert self.graph is not None, "only a model with its item graph can be trained"
                short_BD = self.short_term.learning(self.graph, input_ND, history_BL)
            else:
                short_BD = self.short_term(self.item_states_ND, history_BL)
        if config.long_term:
            has_long_B = (history_BH != self.n_items).any(dim=1)
            long_BD = self.history_query(input_ND, history_BH, taste_BD)
            memory_BD = self.memory(long_BD) * has_long_B.unsqueeze(1)
        if config.short_term and config.long_term:
            sources = (short_BD, long_BD, memory_BD, taste_BD, has_long_B)
            short_BD, long_BD, memory_BD, gate_BD = self.fusion(*sources, focus) if focus else self.fusion(*sources)
        elif config.short_term:
            short_BD = self.personal(short_BD, taste_BD)
        if config.cooccurrence:
            cooccurrence_BD = self.cooccurrence(input_ND, history_BL)
        return QueryParts(taste_BD, short_BD, long_BD, memory_BD, cooccurrence_BD, gate_BD)

    def forward(self, users_B: Tensor, history_BW: Tensor, focus: float = 0.0) -> Tensor:
        """Query vectors v_u, (B, D), to be multiplied with `items`; with dropout in training. Arguments as of `parts`."""
        query_BD = self._with_feed_forward(self.raw_parts(users_B, history_BW, focus).query())
        if self.config.cosine:
            query_BD = query_BD * self._cosine_factor(query_BD)
        return nn.functional.dropout(query_BD, self.config.dropout, self.training)

    def items_of(self, numbers_X: Tensor) -> Tensor:
        """Rows of `items`, (X, D), for training on some of them."""
        rows_XD = gather(self.embeddings.output, numbers_X)
        return nn.functional.normalize(rows_XD, dim=1) if self.config.cosine else rows_XD

    @property
    def items(self) -> Tensor:
        """Q, (N, D): what query vectors are scored against; rows of unit length for cosine scores."""
        output_ND = self.embeddings.output
        if not self.config.cosine:
            return output_ND
        if self.training:
            return nn.functional.normalize(output_ND, dim=1)
        state = output_ND.data_ptr(), output_ND._version  # changes where weights are loaded or moved; see also `train`
        if self._unit_items is None or self._unit_items[0] != state:
            # Number by number in memory: one query is scored three to five times as fast, a block of them a tenth faster.
            self._unit_items = state, nn.functional.normalize(output_ND.detach(), dim=1).T.contiguous().T
        return self._unit_items[1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embeddings.input_D.weight.device

"""The query vector in its smallest addends: what each recent item and each memory unit puts into it.

An addend is exact wherever the network is linear in it once the gate is set, or can be shared out without a rest (the
feed-forward layer). Attention over the history and the ablation's recurrent fusions can not: what comes of them stays one
addend, and attention is only described.

Shapes: B = batch, L = short window, H = long history, D = embedding size, M = memory units, A = attention heads.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from magnn.model.fusion import ConcatFusion, GateFusion
from magnn.model.magnn import MAGNN, QueryParts


class Addends(NamedTuple):
    """What B query vectors are the sum of.

    Attributes:
        parts: as of `MAGNN.parts`.
        short_BLD: what each recent item puts into `parts.short_term`; None if that cannot be split.
        cooccurrence_BLD: what each recent item puts into `parts.co_occurrence`.
        memory_BMD: what each memory unit puts into `parts.memory`; M is 0 without long term.
        read_BM: share of each unit in the read of the memory, for looking at.
        attention_BAH: what each head reads of the long history, for looking at; A is 0 without long term.
    """

    parts: QueryParts
    short_BLD: Tensor | None
    cooccurrence_BLD: Tensor
    memory_BMD: Tensor
    read_BM: Tensor
    attention_BAH: Tensor


@torch.inference_mode()
def addends(model: MAGNN, users_B: Tensor, history_BW: Tensor, focus: float = 0.0) -> Addends:
    """The addends of a frozen model's query vectors; arguments as of `MAGNN.parts`.

    Example:
        >>> from magnn.model.config import ModelConfig
        >>> model = MAGNN(ModelConfig(dim=4, short_term=False, long_term=False), n_users=1, n_items=3).eval()
        >>> found = addends(model, torch.tensor([0]), torch.tensor([[3] * 23 + [0, 1]]))
        >>> torch.allclose(found.cooccurrence_BLD.sum(dim=1), found.parts.co_occurrence)
        True
    """
    config, padding = model.config, model.n_items
    parts = model.raw_parts(users_B, history_BW, focus)
    history_BH, recent_BL = history_BW[:, : -config.short_window], history_BW[:, -config.short_window :]
    input_ND = model.embeddings.input_D.weight
    n = len(users_B)

    cooccurrence_BLD = input_ND.new_zeros(*recent_BL.shape, config.dim)
    if config.cooccurrence:
        together = model.cooccurrence
        cooccurrence_BLD = together.relate(input_ND[recent_BL] * together.mean.shares(recent_BL, padding))
    short_BLD: Tensor | None = torch.zeros_like(cooccurrence_BLD)
    memory_BMD = input_ND.new_zeros(n, 0, config.dim)
    read_BM, attention_BAH = input_ND.new_zeros(n, 0), input_ND.new_zeros(n, 0, config.long_window)
    if config.short_term:
        short_BLD = model.item_states_ND[recent_BL] * model.short_term.mean.shares(recent_BL, padding)
    if config.long_term:
        attention_BAH = model.history_query.attention(input_ND, history_BH, parts.taste)
        query_BD = model.history_query(input_ND, history_BH, parts.taste)
        has_long_B1 = (history_BH != padding).any(dim=1, keepdim=True)
        read_BM = model.memory.weights(query_BD) * has_long_B1
        memory_BMD = read_BM.unsqueeze(2) * model.memory.value_MD
    if config.short_term and config.long_term:
        fusion, gate_BD = model.fusion, parts.gate
        if isinstance(fusion, ConcatFusion):
            assert short_BLD is not None
            short_BLD, memory_BMD = fusion.from_short(short_BLD), fusion.from_long(memory_BMD)
        else:
            assert gate_BD is not None and short_BLD is not None
            memory_BMD = (1 - gate_BD).unsqueeze(1) * memory_BMD
            short_BLD = gate_BD.unsqueeze(1) * short_BLD if isinstance(fusion, GateFusion) else None
    elif config.short_term:
        short_BLD = None  # tanh(W2 [s ; p_u])
    sum_BD = parts.query()
    cooccurrence_BLD, memory_BMD = model.in_query(sum_BD, cooccurrence_BLD), model.in_query(sum_BD, memory_BMD)
    short_BLD = None if short_BLD is None else model.in_query(sum_BD, short_BLD)
    return Addends(model.parts_in_query(parts), short_BLD, cooccurrence_BLD, memory_BMD, read_BM, attention_BAH)

"""RecBole's sequential models without work that nothing comes of, GC-SAN's graphs without a loop: the same numbers, faster.

Shapes: B = sessions, L = events of the longest there may be, H = numbers of a vector.
"""

from functools import partial
from typing import Any

import torch
from recbole.model.layers import TransformerEncoder

GROUP = 256  # sessions that are padded to one length: the fewer, the less padding, the more calls
# Each of them encodes a session of any length. Caser and HGN have weights for each place of the longest one.
MODELS = ("GRU4Rec", "SASRec", "GCSAN")


def make_faster(model: Any) -> None:
    """Let a model encode sessions in groups of like length, and in its last layer of attention their last events alone.

    The library pads all sessions to the longest there may be. Padding comes after a session's last event, whose vector is
    what the model takes, and no event sees what follows it. A model that is none of MODELS stays as it is.
    """
    if type(model).__name__ not in MODELS:
        return
    encode = model.forward

    def forward(sessions_BL: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        by_length = lengths_B.argsort()
        groups = torch.split(by_length, GROUP)
        encoded_BH = torch.cat(
            [encode(sessions_BL[rows, : int(lengths_B[rows[-1]])], lengths_B[rows]) for rows in groups]
        )
        return encoded_BH[by_length.argsort()]

    model.forward = forward
    for encoder in (part for part in model.modules() if isinstance(part, TransformerEncoder)):
        encoder.layer[-1].forward = partial(encode_last_event, encoder.layer[-1])
    if hasattr(model, "_get_slice"):
        model._get_slice = session_graphs


def encode_last_event(layer: Any, events_BLH: torch.Tensor, mask_B1LL: torch.Tensor) -> torch.Tensor:
    """A layer of attention and feed-forward, of the library: the vector of the last event, in the place of every event's.

    Args:
        layer: the library's.
        events_BLH: what it encodes.
        mask_B1LL: 0 where an event sees another, and very low elsewhere.
    """
    attention = layer.multi_head_attention
    everyone = torch.arange(len(events_BLH))
    last_B = (mask_B1LL[:, 0, -1] == 0).sum(1) - 1

    def by_head(vectors: torch.Tensor) -> Any:
        return attention.transpose_for_scores(vectors).transpose(1, 2)

    last_B1H = events_BLH[everyone, last_B].unsqueeze(1)
    query, key, value = (
        by_head(part(vectors))
        for part, vectors in ((attention.query, last_B1H), (attention.key, events_BLH), (attention.value, events_BLH))
    )
    scores = query @ key.transpose(2, 3) / attention.sqrt_attention_head_size + mask_B1LL[everyone, :, last_B, None]
    seen = attention.attn_dropout(attention.softmax(scores)) @ value
    attended = attention.out_dropout(attention.dense(seen.transpose(1, 2).flatten(2)))
    encoded_B1H: torch.Tensor = layer.feed_forward(attention.LayerNorm(attended + last_B1H))
    return encoded_B1H.expand_as(events_BLH)


def session_graphs(sessions_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """GC-SAN's graph of each session; the library makes one after the other.

    Returns:
        nodes_BL, the node of each event; (B, L, 2 L) float32, each node's incoming and outgoing edges, of sum 1 or 0; and
        (B, L), the items of the nodes, ascending.
    """
    sorted_BL, places_BL = sessions_BL.sort(1)
    is_new_BL = torch.zeros_like(sorted_BL)
    is_new_BL[:, 1:] = sorted_BL[:, 1:] != sorted_BL[:, :-1]
    nodes_BL = torch.empty_like(sessions_BL).scatter_(1, places_BL, is_new_BL.cumsum(1))
    items_BL = torch.zeros_like(sessions_BL).scatter_(1, nodes_BL, sessions_BL)
    edges_BLL = torch.zeros(*sessions_BL.shape, sessions_BL.shape[1])
    rows, columns = torch.nonzero(sessions_BL[:, 1:], as_tuple=True)
    edges_BLL[rows, nodes_BL[rows, columns], nodes_BL[rows, columns + 1]] = 1
    incoming_BLL = (edges_BLL / edges_BLL.sum(1, keepdim=True).clamp(min=1)).transpose(1, 2)
    outgoing_BLL = edges_BLL / edges_BLL.sum(2, keepdim=True).clamp(min=1)
    return nodes_BL, torch.cat([incoming_BLL, outgoing_BLL], 2), items_BL

"""Long-term interest: multi-head attention over the history, and a memory of interests shared by all users.

Source: Ma et al., AAAI 2020, section "Long-term interest modeling".

Shapes: B = batch, H = long history, D = embedding size, A = attention heads, M = memory units.
"""

import math

import torch
from torch import Tensor, nn

from magnn.model.kernels import gather, tanh

GROUP = 1024  # samples whose histories are read at once


class HistoryQuery(nn.Module):
    """z: A heads read the long history, with the user's taste deciding what is worth reading.

    X = E[H] + positions; S = softmax over items of W3 tanh(W1 X + (W2 p_u) 1^T); z = mean over heads of tanh(S X).
    """

    positions_HD: Tensor

    def __init__(self, dim: int, heads: int, long_window: int) -> None:
        super().__init__()
        self.from_items = nn.Linear(dim, dim, bias=False)
        self.from_taste = nn.Linear(dim, dim, bias=False)
        self.to_heads = nn.Linear(dim, heads, bias=False)
        for linear in (self.from_items, self.from_taste, self.to_heads):
            nn.init.xavier_uniform_(linear.weight)
        # Positions count back from the present, so that a longer window does not renumber the recent items.
        self.register_buffer("positions_HD", sinusoidal_positions(long_window, dim).flip(0), persistent=False)

    def weights(self, items_BHD: Tensor, wanted_BD: Tensor, real_BH: Tensor) -> Tensor:
        """S, (B, A, H): how much each head reads each item; rows sum to 1, or to 0 where there is no history.

        Args:
            items_BHD: X.
            wanted_BD: W2 p_u, what the user's taste looks for.
            real_BH: false on padding.
        """
        hidden_BHD = tanh(self.from_items(items_BHD) + wanted_BD.unsqueeze(1))
        logits_BAH = self.to_heads(hidden_BHD).transpose(1, 2)
        logits_BAH = logits_BAH.masked_fill(~real_BH.unsqueeze(1), -math.inf)
        # A softmax over nothing is 0 / 0.
        share_BAH: Tensor = logits_BAH.softmax(dim=-1).masked_fill(~real_BH.any(dim=1)[:, None, None], 0)
        return share_BAH

    def forward(self, input_ND: Tensor, history_BH: Tensor, taste_BD: Tensor) -> Tensor:
        """z, (B, D); zero where there is no long history.

        Args:
            input_ND: E, (N + 1, D), padding last.
            history_BH: item numbers, oldest first, aligned to the right, padded with N.
            taste_BD: p_u.
        """
        padding = len(input_ND) - 1
        # Samples of like length are read together, without the columns that are padding in all of them: a third of the
        # work otherwise. Groups are small enough to stay in the cache.
        longest_first_B = (history_BH != padding).sum(dim=1).argsort(descending=True, stable=True)
        history_BH = history_BH[longest_first_B]
        wanted_BD = self.from_taste(taste_BD)[longest_first_B]
        groups = [group[:, (group[0] == padding).sum() :] for group in torch.split(history_BH, GROUP)]
        flat_XD = gather(input_ND, torch.cat([group.flatten() for group in groups]), padding)
        items = torch.split(flat_XD, [group.numel() for group in groups])
        read = []
        for group_BH, items_XD, wanted_GD in zip(groups, items, torch.split(wanted_BD, GROUP), strict=True):
            items_BHD = (
                items_XD.view(*group_BH.shape, flat_XD.shape[1])
                + self.positions_HD[len(self.positions_HD) - group_BH.shape[1] :]
            )
            share_BAH = self.weights(items_BHD, wanted_GD, group_BH != padding)
            read.append(tanh(share_BAH @ items_BHD).mean(dim=1))
        return torch.cat(read)[longest_first_B.argsort()]


class InterestMemory(nn.Module):
    """o = V softmax(K^T z): M latent interests, shared by all users, read with the history query.

    Keys and values belong to interests, not to items: a read costs the same whatever the catalogue and the history.

    Example:
        >>> memory = InterestMemory(dim=50, units=20)
        >>> memory(torch.zeros(4, 50)).shape
        torch.Size([4, 50])
    """

    def __init__(self, dim: int, units: int) -> None:
        super().__init__()
        self.key_MD = nn.Parameter(torch.empty(units, dim))
        self.value_MD = nn.Parameter(torch.empty(units, dim))
        nn.init.xavier_uniform_(self.key_MD)
        nn.init.xavier_uniform_(self.value_MD)

    def weights(self, query_BD: Tensor) -> Tensor:
        """Share of each unit in the read, (B, M), each row summing to 1."""
        return (query_BD @ self.key_MD.T).softmax(dim=-1)

    def forward(self, query_BD: Tensor) -> Tensor:
        """o, (B, D). The long-term interest is z + o: the sum keeps a user whom no shared interest fits."""
        return self.weights(query_BD) @ self.value_MD


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Position encoding of "Attention is all you need", section 3.5: (length, dim) float32, row 0 for position 0."""
    position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000) / dim))
    encoding = torch.zeros(length, dim)
    encoding[:, 0::2] = torch.sin(position * frequency)
    encoding[:, 1::2] = torch.cos(position * frequency)[:, : dim // 2]
    return encoding

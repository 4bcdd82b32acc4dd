"""Long-term interest: multi-head attention over the history, and a memory of interests shared by all users.

Source: Ma et al., AAAI 2020, section "Long-term interest modeling".

Shapes: B = batch, H = long history, D = embedding size, A = attention heads, M = memory units.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from magnn.model.kernels import sum_rows

GROUP = 512  # samples whose histories are read at once


class HistoryQuery(nn.Module):
    """z: A heads read the long history, with the user's taste deciding what is worth reading.

    X = E[H] + positions; S = softmax over items of W3 tanh(W1 X + (W2 p_u) 1^T); z = mean over heads of tanh(S X).

    The paper gives no scale of the positions. At an amplitude of 1 they drown embeddings that start fifty times smaller: z
    is then nearly the same vector for everybody, which learns popularity first and hinders the rest
    (docs/experiments.md). So they have that of the initial embeddings.
    """

    positions_HD: Tensor

    def __init__(self, dim: int, heads: int, long_window: int, position_scale: float) -> None:
        super().__init__()
        self.from_items = nn.Linear(dim, dim, bias=False)
        self.from_taste = nn.Linear(dim, dim, bias=False)
        self.to_heads = nn.Linear(dim, heads, bias=False)
        for linear in (self.from_items, self.from_taste, self.to_heads):
            nn.init.xavier_uniform_(linear.weight)
        # Positions count back from the present, so that a longer window does not renumber the recent items.
        positions_HD = position_scale * sinusoidal_positions(long_window, dim).flip(0)
        self.register_buffer("positions_HD", positions_HD, persistent=False)

    def forward(self, input_ND: Tensor, history_BH: Tensor, taste_BD: Tensor) -> Tensor:
        """z, (B, D); zero where there is no long history.

        Args:
            input_ND: E, (N + 1, D), padding last.
            history_BH: item numbers, oldest first, aligned to the right, padded with N.
            taste_BD: p_u.
        """
        read_BD: Tensor = _Read.apply(  # type: ignore[no-untyped-call]
            input_ND,
            history_BH,
            self.positions_HD,
            self.from_taste(taste_BD),
            self.from_items.weight,
            self.to_heads.weight,
        )
        return read_BD

    def attention(self, input_ND: Tensor, history_BH: Tensor, taste_BD: Tensor) -> Tensor:
        """S, what each head reads, (B, A, H): each row sums to 1, or to 0 where there is no history. For looking at."""
        X_BHD = input_ND[history_BH] + self.positions_HD
        logits_BHA = self.to_heads((self.from_items(X_BHD) + self.from_taste(taste_BD).unsqueeze(1)).tanh())
        padding_BH1 = (history_BH == len(input_ND) - 1).unsqueeze(2)
        shares_BHA: Tensor = logits_BHA.masked_fill(padding_BH1, -math.inf).softmax(dim=1)
        return shares_BHA.masked_fill(padding_BH1, 0).transpose(1, 2)


class _Read(torch.autograd.Function):
    """`HistoryQuery` from E on, with its backward pass written out.

    Samples of like length are read together, without the columns that are padding in all of them (a third of the work
    otherwise), in groups small enough for the cache; and tanh(x) is 2 sigmoid(2x) - 1, for a seventh of its time. Its two
    is put into the smaller factor; its minus one, the same for all items, is nothing to the softmax.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input_ND: Tensor,
        history_BH: Tensor,
        positions_HD: Tensor,
        wanted_BD: Tensor,
        from_items_DD: Tensor,
        to_heads_AD: Tensor,
    ) -> Tensor:
        padding, dim = len(input_ND) - 1, input_ND.shape[1]
        order_B = (history_BH != padding).sum(dim=1).argsort(descending=True, stable=True)
        history_BH, wanted_BD = history_BH[order_B], wanted_BD[order_B]
        groups = [group[:, (group[0] == padding).sum() :] for group in torch.split(history_BH, _group_size(input_ND))]
        index_X = torch.cat([group.flatten() for group in groups])
        sizes = [group.numel() for group in groups]
        items_XD = input_ND.index_select(0, index_X)
        result_BD = torch.empty_like(wanted_BD)
        buffer_BAD = items_XD.new_empty(len(groups[0]), len(to_heads_AD), dim)
        saved = []
        for group_BH, flat_XD, wanted_GD, result_GD in zip(
            groups,
            torch.split(items_XD, sizes),
            torch.split(wanted_BD, len(groups[0])),
            torch.split(result_BD, len(groups[0])),
            strict=True,
        ):
            n, length = group_BH.shape
            items_BHD = flat_XD.view(n, length, dim).add_(positions_HD[len(positions_HD) - length :])
            hidden_BHD = (flat_XD @ (2 * from_items_DD.T)).view(n, length, dim)
            hidden_BHD.add_(wanted_GD.unsqueeze(1), alpha=2).sigmoid_()
            logits_BHA = hidden_BHD @ (2 * to_heads_AD.T)
            logits_BHA.masked_fill_((group_BH == padding).unsqueeze(2), -math.inf)
            share_BHA = logits_BHA.softmax(dim=1)
            if length and group_BH[-1, -1] == padding:  # the last are without history: a softmax over nothing is 0 / 0
                share_BHA[group_BH[:, -1] == padding] = 0
            torch.mean(_half_read(share_BHA, items_BHD, buffer_BAD), dim=1, out=result_GD).mul_(2).sub_(1)
            saved += [hidden_BHD, share_BHA]
        ctx.n_rows, ctx.padding, ctx.shapes, ctx.sizes = len(input_ND), padding, [g.shape for g in groups], sizes
        ctx.save_for_backward(order_B, index_X, items_XD, from_items_DD, to_heads_AD, *saved)
        return torch.empty_like(result_BD).index_copy_(0, order_B, result_BD)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        order_B, index_X, items_XD, from_items_DD, to_heads_AD, *saved = ctx.saved_tensors
        ordered_BD = gradients[0][order_B]
        to_items_XD, to_wanted_BD = torch.empty_like(items_XD), torch.empty_like(ordered_BD)
        to_from_items, to_to_heads = torch.zeros_like(from_items_DD), torch.zeros_like(to_heads_AD)
        buffer_BAD = items_XD.new_empty(ctx.shapes[0][0], len(to_heads_AD), items_XD.shape[1])
        to_buffer_BAD = torch.empty_like(buffer_BAD)
        first = 0
        for number, (shape, flat_XD, to_flat_XD) in enumerate(
            zip(ctx.shapes, torch.split(items_XD, ctx.sizes), torch.split(to_items_XD, ctx.sizes), strict=True)
        ):
            hidden_BHD, share_BHA = saved[2 * number : 2 * number + 2]
            rows = slice(first, first + shape[0])
            first += shape[0]
            items_BHD, to_items_BHD = (x.view(*shape, items_XD.shape[1]) for x in (flat_XD, to_flat_XD))
            read_BAD = _half_read(share_BHA, items_BHD, buffer_BAD)  # again: cheaper than to keep it for so long
            upstream_BAD = (ordered_BD[rows] * (4 / len(to_heads_AD))).unsqueeze(1).expand_as(read_BAD)
            to_read_BAD = to_buffer_BAD[: len(read_BAD)]
            torch.ops.aten.sigmoid_backward.grad_input(upstream_BAD, read_BAD, grad_input=to_read_BAD)
            to_share_BHA = torch.bmm(items_BHD, to_read_BAD.transpose(1, 2))
            torch.bmm(share_BHA, to_read_BAD, out=to_items_BHD)
            to_logits_XA = torch.ops.aten._softmax_backward_data(to_share_BHA, share_BHA, 1, share_BHA.dtype).flatten(
                0, 1
            )
            to_to_heads.addmm_(to_logits_XA.T, hidden_BHD.flatten(0, 1), alpha=2)
            to_hidden_XD = torch.ops.aten.sigmoid_backward(to_logits_XA @ (4 * to_heads_AD), hidden_BHD.flatten(0, 1))
            torch.sum(to_hidden_XD.view_as(items_BHD), dim=1, out=to_wanted_BD[rows])
            to_from_items.addmm_(to_hidden_XD.T, flat_XD)
            to_flat_XD.addmm_(to_hidden_XD, from_items_DD)
        to_input_ND = sum_rows(to_items_XD, index_X, ctx.n_rows, ctx.padding)
        to_wanted_BD = torch.empty_like(to_wanted_BD).index_copy_(0, order_B, to_wanted_BD)
        return to_input_ND, None, None, to_wanted_BD, to_from_items, to_to_heads


def _half_read(share_BHA: Tensor, items_BHD: Tensor, buffer_BAD: Tensor) -> Tensor:
    """sigmoid(2 S X), in the first rows of the buffer."""
    read_BAD = buffer_BAD[: len(share_BHA)]
    return torch.baddbmm(read_BAD, share_BHA.transpose(1, 2), items_BHD, beta=0, alpha=2, out=read_BAD).sigmoid_()


def _group_size(input_ND: Tensor) -> int:
    return GROUP if input_ND.device.type == "cpu" else 2**30  # elsewhere, calls cost more than memory


class InterestMemory(nn.Module):
    """o = V softmax(K^T z): M latent interests, shared by all users, read with the history query.

    Keys and values belong to interests, not to items: a read costs the same whatever the catalogue and the history.

    Example:
        >>> memory = InterestMemory(dim=50, units=20, std=0.02)
        >>> memory(torch.zeros(4, 50)).shape
        torch.Size([4, 50])
    """

    def __init__(self, dim: int, units: int, std: float) -> None:
        super().__init__()
        self.key_MD = nn.Parameter(torch.empty(units, dim))
        self.value_MD = nn.Parameter(torch.empty(units, dim))
        nn.init.xavier_uniform_(self.key_MD)
        nn.init.normal_(self.value_MD, std=std)  # small, as the positions, and for the same reason

    def weights(self, query_BD: Tensor) -> Tensor:
        """Share of each unit in the read, (B, M), each row summing to 1."""
        return (query_BD @ self.key_MD.T).softmax(dim=-1)

    def forward(self, query_BD: Tensor) -> Tensor:
        """o, (B, D). The long-term interest is z + o: the sum keeps a user whom no shared interest fits."""
        return self.weights(query_BD) @ self.value_MD


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Position encoding of "Attention is all you need", section 3.5: (length, dim) float32, row 0 for position 0."""
    with torch.device("cpu"):  # no weight: it is not stored, and is there where weights have no memory yet
        position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000) / dim))
        encoding = torch.zeros(length, dim)
    encoding[:, 0::2] = torch.sin(position * frequency)
    encoding[:, 1::2] = torch.cos(position * frequency)[:, : dim // 2]
    return encoding

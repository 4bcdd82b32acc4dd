"""Fusion: short- and long-term interest become one contextual interest c.

Source: Ma et al., AAAI 2020, section "Interest fusion", and the alternatives of its ablation.

Every fusion returns c as three addends, one for each of its sources (short term s, history query z, memory o; the long
term is l = z + o), because the score is linear in c and explanations are made of these addends.

Shapes: B = batch, D = embedding size.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from magnn.model.initial import identity_


class Fused(NamedTuple):
    """Addends of c, each (B, D), and the share of the short term, (B, D) in [0, 1], where the fusion has one."""

    short_BD: Tensor
    long_BD: Tensor
    memory_BD: Tensor
    gate_BD: Tensor | None


class GateFusion(nn.Module):
    """g = sigmoid(Wg1 s + Wg2 l + Wg3 p_u); c = g * s + (1 - g) * l. Without long history g is 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.from_short = nn.Linear(dim, dim, bias=False)
        self.from_long = nn.Linear(dim, dim, bias=False)
        self.from_taste = nn.Linear(dim, dim, bias=False)
        for linear in (self.from_short, self.from_long, self.from_taste):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self, s_BD: Tensor, z_BD: Tensor, o_BD: Tensor, taste_BD: Tensor, has_long_B: Tensor, focus: float = 0.0
    ) -> Fused:
        """Addends of c from s, z, o and p_u, each (B, D), and whether there is long history, (B,).

        `focus`, in [-1, 1], is added to the gate: at 1 the short term rules alone, at -1 the long term.
        """
        gate_BD = (self.from_short(s_BD) + self.from_long(z_BD + o_BD) + self.from_taste(taste_BD)).sigmoid()
        if focus:
            gate_BD = (gate_BD + focus).clamp(0, 1)
        gate_BD = gate_BD.masked_fill(~has_long_B.unsqueeze(1), 1)
        return Fused(gate_BD * s_BD, (1 - gate_BD) * z_BD, (1 - gate_BD) * o_BD, gate_BD)


class ConcatFusion(nn.Module):
    """c = W [s ; l], the ablation's concatenation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.from_short = nn.Linear(dim, dim, bias=False)
        self.from_long = nn.Linear(dim, dim, bias=False)
        for linear in (self.from_short, self.from_long):
            identity_(linear.weight)

    def forward(self, s_BD: Tensor, z_BD: Tensor, o_BD: Tensor, taste_BD: Tensor, has_long_B: Tensor) -> Fused:
        """Addends of c from s, z, o and p_u, each (B, D), and whether there is long history, (B,)."""
        return Fused(self.from_short(s_BD), self.from_long(z_BD), self.from_long(o_BD), None)


class GruFusion(nn.Module):
    """c = GRU cell with input s and state l, the ablation's recurrent fusion (without bias terms).

    The cell's output is (1 - k) * n + k * l with an update gate k: n belongs to the short term, k * l to the long.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.from_short = nn.Linear(dim, 3 * dim, bias=False)
        self.from_long = nn.Linear(dim, 3 * dim, bias=False)
        for linear in (self.from_short, self.from_long):
            nn.init.xavier_uniform_(linear.weight)
            identity_(linear.weight[-dim:])  # of what becomes the output; the rest are gates

    def forward(self, s_BD: Tensor, z_BD: Tensor, o_BD: Tensor, taste_BD: Tensor, has_long_B: Tensor) -> Fused:
        """Addends of c from s, z, o and p_u, each (B, D), and whether there is long history, (B,)."""
        reset_s, keep_s, new_s = self.from_short(s_BD).chunk(3, dim=1)
        reset_l, keep_l, new_l = self.from_long(z_BD + o_BD).chunk(3, dim=1)
        keep = (keep_s + keep_l).sigmoid()
        new = (new_s + (reset_s + reset_l).sigmoid() * new_l).tanh()
        return Fused((1 - keep) * new, keep * z_BD, keep * o_BD, 1 - keep)


class PersonalShortTerm(nn.Module):
    """p_S = tanh(W2 [s ; p_u]), what the paper's "MF + S" ablation scores with where there is no long term to fuse."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * dim, dim, bias=False)
        identity_(self.project.weight)

    def forward(self, s_BD: Tensor, taste_BD: Tensor) -> Tensor:
        """p_S, (B, D)."""
        personal_BD: Tensor = self.project(torch.cat([s_BD, taste_BD], dim=1)).tanh()
        return personal_BD

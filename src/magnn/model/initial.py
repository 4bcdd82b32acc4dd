"""Initial values of the weights that map item embeddings onto item embeddings."""

import torch
from torch import Tensor


@torch.no_grad()
def identity_(weight_DX: Tensor, scale: float = 1.0) -> Tensor:
    """Fill a weight with `scale` times [I ... I], in place: at first the layer adds up its inputs as they are.

    So the network starts as a sum of embeddings, in which an item's row learns from all that the item is used for. A random
    matrix puts every use of a row at another angle, and what one teaches the row is noise to the other: on a sparse log
    that costs a third of the accuracy (docs/experiments.md). The paper does not say how its weights start.

    Args:
        weight_DX: (D, X), X a multiple of D.
        scale: of each identity.

    Example:
        >>> identity_(torch.empty(2, 4))
        tensor([[1., 0., 1., 0.],
                [0., 1., 0., 1.]])
    """
    dim, width = weight_DX.shape
    return weight_DX.copy_(scale * torch.eye(dim).repeat(1, width // dim))

"""PyTorch's settings for a whole process: what of them we need, and how a fit leaves them to the caller as they were."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from magnn.errors import InputError


@contextmanager
def own_state(gpus: Sequence[int] = ()) -> Iterator[None]:
    """Inside, gradients can be computed, and random numbers be drawn that the caller's own go on without.

    Args:
        gpus: whose random numbers are kept too, besides the CPU's.

    Raises:
        InputError: tensors are by default not of 32 bits, or not on the CPU.

    Example:
        >>> before = torch.get_rng_state()
        >>> with torch.no_grad(), own_state():
        ...     numbers = torch.rand(9)
        ...     torch.is_grad_enabled()
        True
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    if (dtype := torch.get_default_dtype()) != torch.float32:
        raise InputError(f"PyTorch's default is {dtype}; torch.set_default_dtype(torch.float32) first")
    if (device := torch.get_default_device()).type != "cpu":
        raise InputError(
            f"PyTorch's default is {device}; torch.set_default_device('cpu') first, magnn.fit takes a device of its own"
        )
    with torch.random.fork_rng(list(gpus)), torch.inference_mode(mode=False):
        yield


def seed_device(seed: int, device: torch.device) -> None:
    """Start random numbers on the CPU, where weights are made, and on `device`; torch.manual_seed does on every device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)

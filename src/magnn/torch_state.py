"""PyTorch's state of a whole process: what of it we need, and what we leave alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from magnn.errors import InputError


def check_defaults() -> None:
    """Raises InputError unless new tensors are of 32 bits and on the CPU.

    Example:
        >>> check_defaults()
    """
    ours = torch.empty(0)
    if ours.dtype != torch.float32:
        raise InputError(f"PyTorch's default is {ours.dtype}; torch.set_default_dtype(torch.float32) first")
    if ours.device.type != "cpu":
        raise InputError(
            f"PyTorch's default is {ours.device}; torch.set_default_device('cpu') first, magnn.fit has its own device="
        )


@contextmanager
def apart_from_the_caller(device: torch.device) -> Iterator[None]:
    """Gradients are computed whatever is around, and the caller's random numbers go on as if nothing had been."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with torch.inference_mode(mode=False), torch.random.fork_rng(list(gpus)):
        yield


def seed_device(seed: int, device: torch.device) -> None:
    """Start random numbers on the CPU, where weights are made, and on `device`; torch.manual_seed does on every device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)

"""PyTorch's state of a whole process: what of it we need, and what we leave alone."""

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


def seed_device(seed: int, device: torch.device) -> None:
    """Start random numbers on the CPU, where weights are made, and on `device`; torch.manual_seed does on every device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)

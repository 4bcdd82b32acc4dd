"""Whether two systems differ, user by user.

The test is the paired sign-flip permutation test on the mean difference over users (Fisher, 1935; for ranking, Smucker et
al., CIKM 2007): if there is no difference, each user's difference is as likely to have the other sign. Unlike Wilcoxon's,
it asks about the mean that tables show, and users whom both serve alike (most of them, in sparse logs) do no harm. With
several baselines, p-values are corrected after Holm (1979; `magnn.reporting.attributes.holm`).

Shapes: U = users.
"""

import numpy as np
from numpy.typing import NDArray

DRAWS = 9_999
TEST = f"paired sign-flip permutation test on the mean over users, {DRAWS:,} draws, Holm-corrected"
BLOCK = 500  # draws in memory at once


def paired_p(a_U: NDArray[np.float64], b_U: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p-value of mean(a - b) = 0, from DRAWS random sign patterns; exact where there are fewer.

    scipy.stats.permutation_test finds the same, one draw after the other; here a block of draws is one matrix product, for
    tables of dozens of systems with tens of thousands of users.

    Example:
        >>> paired_p(np.array([1.0, 1.0, 1.0]), np.zeros(3))  # 2 of the 8 sign patterns are as extreme
        0.25
    """
    difference = a_U - b_U
    difference = difference[difference != 0].astype(np.float32)  # a zero is zero under any sign
    n = len(difference)
    observed = abs(difference.sum()) * (1 - 1e-5)  # as extreme, up to rounding
    exact = 2**n <= DRAWS
    rng = np.random.default_rng(seed)
    extreme = 0
    for first in range(0, 2**n if exact else DRAWS, BLOCK):
        size = min(BLOCK, (2**n if exact else DRAWS) - first)
        if exact:
            negative = ((np.arange(first, first + size)[:, None] >> np.arange(n)) & 1).astype(np.uint8)
        else:
            negative = np.unpackbits(rng.integers(0, 256, (size, -(-n // 8)), np.uint8), axis=1, count=n)
        totals = difference.sum() - 2 * (negative.astype(np.float32) @ difference)
        extreme += int((np.abs(totals) >= observed).sum())
    return extreme / 2**n if exact else (extreme + 1) / (DRAWS + 1)

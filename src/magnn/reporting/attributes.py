"""Attributes of items: which have which value of which column of the item table, and where values gather.

Shapes: N = items, A = values of a column, M = groups of items (here: memory units), D = any vector of an item.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

LEAST_ITEMS = 5  # that a value must have: fewer show nothing
PERMUTATIONS = 999
MOST_ITEMS = 20_000  # in the permutation test; of more, a fixed random choice
STRATA = 10


@dataclass(frozen=True)
class Attribute:
    """A column of the item table as a matrix.

    Attributes:
        values: (A,) as text, at least `LEAST_ITEMS` items each and not all that have any.
        has_NA: sparse bool, which item has which values.
    """

    column: str
    values: list[str]
    has_NA: sp.csr_array


@dataclass(frozen=True)
class Gathered:
    """A value that is over-represented in a group.

    Attributes:
        inside, size: items of the group that have it, and items of the group.
        everywhere, items: the same for all items.
        p: one-sided hypergeometric, corrected for everything that was tested with it (Holm).
    """

    column: str
    value: str
    inside: int
    size: int
    everywhere: int
    items: int
    p: float

    @property
    def lift(self) -> float:
        """How many times as frequent as in all items."""
        return (self.inside / self.size) / (self.everywhere / self.items)


@dataclass(frozen=True)
class Alike:
    """Whether items that share a value have similar vectors.

    Attributes:
        together: mean cosine, of vectors less their mean, of two items that share a value.
        by_chance: the same when items as popular exchange their vectors, mean of `PERMUTATIONS` draws.
        p: share of draws that are as high, the observed one counted in.
    """

    column: str
    together: float
    by_chance: float
    p: float


def attributes_of(table: pl.DataFrame | None, keep_N: NDArray[np.bool_] | None = None) -> list[Attribute]:
    """Every column that can be read as categories: text ("A|B" is two values), lists of text, and yes or no.

    Numbers and nested columns are left out, and so are the item and its title. Missing values are no values. A CSV file
    has text only: there a year is a category too.

    Args:
        table: in item order; None is no columns.
        keep_N: of which items; the others have no values.

    Example:
        >>> table = pl.DataFrame({"item": range(10), "genres": ["Jazz|Folk"] * 5 + ["Jazz"] * 4 + [None]})
        >>> [(found.column, found.values) for found in attributes_of(table)]
        [('genres', ['Folk'])]
    """
    found = []
    for name in [] if table is None else table.columns:
        if name in ("item", "title"):
            continue
        assert table is not None
        cells = _cells(table[name])
        attribute = None if cells is None else _attribute(name, cells, table.height, keep_N)
        if attribute is not None:
            found.append(attribute)
    return found


def _cells(column: pl.Series) -> pl.DataFrame | None:
    """Columns row and value, a row for each value of each item; None for a column that is no category."""
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        if not (dtype.inner == pl.String or isinstance(dtype.inner, pl.Categorical | pl.Enum)):
            return None
        values = column.cast(pl.List(pl.String))
    elif dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        values = column.cast(pl.String).str.split("|")
    elif dtype == pl.Boolean:
        values = column.replace_strict({True: "yes", False: "no"}, return_dtype=pl.String).str.split("|")
    else:
        return None
    rows = pl.int_range(len(values), eager=True).cast(pl.Int64)
    cells = pl.DataFrame({"row": rows, "value": values}).explode("value")
    cells = cells.with_columns(pl.col("value").str.strip_chars()).filter(pl.col("value").str.len_chars() > 0)
    return cells.unique(maintain_order=True)


def _attribute(name: str, cells: pl.DataFrame, n_items: int, keep_N: NDArray[np.bool_] | None) -> Attribute | None:
    if keep_N is not None:
        cells = cells.filter(pl.Series(keep_N[cells["row"].to_numpy()], dtype=pl.Boolean))
    having = cells["row"].n_unique()
    counts = cells.group_by("value").len().filter((pl.col("len") >= LEAST_ITEMS) & (pl.col("len") < having))
    values = counts.sort("value")["value"].to_list()
    if not values:
        return None
    number = {value: position for position, value in enumerate(values)}
    cells = cells.filter(pl.col("value").is_in(values))
    columns = np.array([number[value] for value in cells["value"]])
    has = sp.csr_array((np.ones(len(columns), bool), (cells["row"].to_numpy(), columns)), shape=(n_items, len(values)))
    return Attribute(name, values, has)


def gathered(
    attributes: list[Attribute], member_NM: NDArray[np.bool_], among_N: NDArray[np.bool_]
) -> list[list[Gathered]]:
    """For each group, the values that more of its items have than chance would give it (Holm-corrected p < .05).

    Args:
        member_NM: which items are in which group.
        among_N: the items that groups are drawn from; nothing else counts.

    Returns:
        (M) lists, the highest lift first.
    """
    from scipy.stats import hypergeom  # takes a second to load

    groups = member_NM.shape[1]
    size_M, total = (member_NM & among_N[:, None]).sum(axis=0), int(among_N.sum())
    counted = []
    for attribute in attributes:
        has_NA = attribute.has_NA.astype(np.int64)
        inside_AM = has_NA.T @ (member_NM & among_N[:, None]).astype(np.int64)
        everywhere_A = np.asarray(has_NA.T @ among_N.astype(np.int64))
        expected_AM = everywhere_A[:, None] * size_M / max(total, 1)
        p_AM = np.ones(inside_AM.shape)
        more = np.nonzero(inside_AM > expected_AM)  # for the others p is far from .05, and takes long to compute
        p_AM[more] = hypergeom.sf(inside_AM[more] - 1, total, everywhere_A[more[0]], size_M[more[1]])
        counted.append((inside_AM, everywhere_A, p_AM))
    adjusted = holm(np.concatenate([p_AM.ravel() for _, _, p_AM in counted] or [np.zeros(0)]))
    found: list[list[Gathered]] = [[] for _ in range(groups)]
    first = 0
    for attribute, (inside_AM, everywhere_A, p_AM) in zip(attributes, counted, strict=True):
        adjusted_AM = adjusted[first : first + p_AM.size].reshape(p_AM.shape)
        first += p_AM.size
        for a, m in np.argwhere(adjusted_AM < 0.05).tolist():
            counts = int(inside_AM[a, m]), int(size_M[m]), int(everywhere_A[a]), total
            found[m].append(Gathered(attribute.column, attribute.values[a], *counts, float(adjusted_AM[a, m])))
    return [sorted(of_group, key=lambda g: -g.lift) for of_group in found]


def holm(p_X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values: the i-th smallest of n times n - i + 1, never falling.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_X, kind="stable")
    adjusted_X = np.empty(len(p_X))
    adjusted_X[order] = np.maximum.accumulate(np.minimum(1, p_X[order] * np.arange(len(p_X), 0, -1)))
    return adjusted_X


def alike(attribute: Attribute, vectors_ND: NDArray[np.float64], counts_N: NDArray[np.int64], seed: int = 0) -> Alike:
    """A permutation test of whether items that share a value have more similar vectors than items that do not.

    Popular items are trained longer, and popularity goes with genre. So vectors are exchanged only among items as popular
    (tenths by training events): what popularity alone would give is part of chance.

    Args:
        attribute: items without a value, and those of no training event, have no part in it.
        vectors_ND: any vectors of the items.
        counts_N: training events of each item.
    """
    rows = np.flatnonzero((np.diff(attribute.has_NA.indptr) > 0) & (counts_N > 0))
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_ITEMS:
        rows = np.sort(rng.choice(rows, MOST_ITEMS, replace=False))
    has_AN = sp.csr_array(attribute.has_NA[rows].T.astype(np.float64))
    vectors = vectors_ND[rows] - vectors_ND[rows].mean(axis=0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    size_A = np.asarray(has_AN.sum(axis=1))
    pairs = max(float((size_A * (size_A - 1)).sum()), 1.0)
    itself = float(size_A @ np.ones(len(size_A)))  # each cosine with itself is 1

    def together(unit_ND: NDArray[np.float64]) -> float:
        return (float(np.square(has_AN @ unit_ND).sum()) - itself) / pairs

    observed = together(vectors)
    # Equals at random: items of one series often have numbers in a row.
    place = np.argsort(np.lexsort((rng.random(len(rows)), counts_N[rows])))
    stratum = place * STRATA // max(len(rows), 1)
    grouped = np.argsort(stratum, kind="stable")
    draws = np.empty(PERMUTATIONS)
    for draw in range(PERMUTATIONS):
        exchanged = np.empty_like(vectors)
        exchanged[grouped] = vectors[np.lexsort((rng.random(len(rows)), stratum))]
        draws[draw] = together(exchanged)
    p = (1 + int((draws >= observed - 1e-12).sum())) / (1 + PERMUTATIONS)
    return Alike(attribute.column, observed, float(draws.mean()), p)

"""What the memory holds: which items read which unit, and what these items have in common.

As in the paper's figure 4, each item is taken for a history of its own and the memory is read with it.

Shapes: N = items, H = long history, D = embedding size, M = memory units, R = items shown.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from magnn.artifact import Fitted
from magnn.model.magnn import MAGNN
from magnn.reporting.attributes import Alike, Attribute, Gathered, alike, attributes_of, gathered

READERS = 6  # items named for a unit
TOP = 0.05  # of the items, those that read a unit most: where attributes are looked for
LEAST_TOP = 10
SHOWN_VALUES, SHOWN_EACH = 5, 4  # rows of the heat map
CHUNK = 4096  # items at once


@dataclass(frozen=True)
class Unit:
    """One memory unit.

    Attributes:
        readers: item numbers and the share of their attention, most first.
        first: items that read this unit before all others.
        gathered: attributes over-represented among the items that read it most.
    """

    readers: list[tuple[int, float]]
    first: int
    gathered: list[Gathered]


@dataclass(frozen=True)
class HeatMap:
    """Items against units.

    Attributes:
        items: (R) item numbers.
        groups: (R) the attribute value that the item was chosen for; "" without attributes.
        share_RM: attention of each item; each row sums to 1.
        average_M: the same, mean over all trained items: some units are read more by everything.
    """

    items: list[int]
    groups: list[str]
    share_RM: NDArray[np.float64]
    average_M: NDArray[np.float64]


@dataclass(frozen=True)
class Memory:
    """What was found.

    Attributes:
        units: in their order.
        top: how many items count as reading a unit most.
        spread: over how many units an item spreads its attention, mean over items: exp of the entropy, 1 to M.
        alike: for each attribute, whether items that share a value read alike.
        heat_map: popular items, not chosen by how they came out.
    """

    units: list[Unit]
    top: int
    spread: float
    alike: list[Alike]
    heat_map: HeatMap


@torch.inference_mode()
def read_shares(model: MAGNN) -> NDArray[np.float64]:
    """Share of each unit when an item alone is the long history, (N, M), each row summing to 1.

    With one item, every head reads it whole whatever the user's taste, so this is the item's own.
    """
    input_ND = model.embeddings.input_D.weight
    blocks = []
    for items_B in torch.split(torch.arange(model.n_items), CHUNK):
        history_BH = torch.full((len(items_B), model.config.long_window), model.n_items)
        history_BH[:, -1] = items_B
        query_BD = model.history_query(input_ND, history_BH, input_ND.new_zeros(len(items_B), model.config.dim))
        blocks.append(model.memory.weights(query_BD).double().numpy())
    return np.concatenate(blocks)


def memory_of(fitted: Fitted, counts_N: NDArray[np.int64]) -> Memory | None:
    """Look into the memory; None for a model without one.

    Args:
        counts_N: training events of each item. What has none learned nothing and is left out.
    """
    if not fitted.model.config.long_term:
        return None
    trained_N = counts_N > 0
    attributes = attributes_of(fitted.split.events.item_table, trained_N)
    share_NM = read_shares(fitted.model)
    numbers = np.flatnonzero(trained_N)
    trained = share_NM[numbers]
    top = min(max(LEAST_TOP, round(TOP * len(numbers))), -(-len(numbers) // 2))
    most = numbers[np.argsort(-trained, axis=0, kind="stable")[:top]]
    member_NM = np.zeros(share_NM.shape, bool)
    np.put_along_axis(member_NM, most, True, axis=0)
    found = gathered(attributes, member_NM, trained_N)
    first_M = np.bincount(trained.argmax(axis=1), minlength=share_NM.shape[1]).tolist()
    units = [
        Unit([(i, float(share_NM[i, m])) for i in most[:READERS, m].tolist()], first_M[m], found[m])
        for m in range(share_NM.shape[1])
    ]
    entropy = -(trained * np.log(np.maximum(trained, 1e-300))).sum(axis=1)
    chosen, groups = choose_items(attributes, counts_N)
    return Memory(
        units=units,
        top=top,
        spread=float(np.exp(entropy).mean()),
        alike=[alike(attribute, share_NM, counts_N) for attribute in attributes],
        heat_map=HeatMap(chosen, groups, share_NM[chosen], trained.mean(axis=0)),
    )


def choose_items(attributes: list[Attribute], counts_N: NDArray[np.int64]) -> tuple[list[int], list[str]]:
    """Items for the heat map, and the value each is there for: the most popular ones.

    With attributes: of the one that most items have, its most frequent values, and of each the most popular items that have
    it alone. What the memory does with them plays no part in the choice.
    """
    popular = np.argsort(-counts_N, kind="stable")[: np.count_nonzero(counts_N)]
    rows: list[tuple[int, str]] = []
    if attributes:
        attribute = max(attributes, key=lambda a: np.count_nonzero(np.diff(a.has_NA.indptr)))
        alone = np.diff(attribute.has_NA.indptr) == 1
        value_N = np.full(len(counts_N), -1)
        value_N[alone] = attribute.has_NA[alone].indices
        frequent = np.argsort(-np.bincount(value_N[alone], minlength=len(attribute.values)), kind="stable")
        for value in frequent[:SHOWN_VALUES].tolist():
            rows += [(i, attribute.values[value]) for i in popular[value_N[popular] == value][:SHOWN_EACH].tolist()]
    if not rows:
        rows = [(i, "") for i in popular[: SHOWN_VALUES * SHOWN_EACH].tolist()]
    return [item for item, _ in rows], [value for _, value in rows]

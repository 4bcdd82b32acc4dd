"""Untrained networks for what costs the same whatever the weights are."""

import torch

from magnn.data.interactions import Histories, Interactions
from magnn.data.split import split
from magnn.model.config import ModelConfig
from magnn.model.graph_part import count_neighbours
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.recommender import Recommender
from magnn.settings import Settings


def untrained(histories: Histories, config: ModelConfig | None = None, *, graph: bool = True) -> MAGNN:
    """A frozen network with random weights of a trained one's size, so that scores do not tie."""
    config = (config or ModelConfig(init_std=0.3)).for_log(len(histories.items), histories.n_items)
    torch.manual_seed(0)
    counts = ItemGraph.of(histories, config) if graph else None
    return MAGNN(config, histories.n_users, histories.n_items, counts).freeze()


def recommender_of(events: Interactions, settings: Settings | None = None) -> Recommender:
    """An untrained recommender on a log, with everything in the training part; its item states are zero.

    The graph part, where the settings have one, is counted; its weights are those that learning starts from.
    """
    settings = settings or Settings()
    shape = settings.model.model_copy(update={"init_std": 0.3})
    model = untrained(events.histories, shape, graph=False)
    part = count_neighbours(events.histories, settings.graph) if settings.graph.neighbours else None
    return Recommender(model, split(events, "none"), settings, 0, refit=False, graph_part=part)

"""The network against the oracle, and the properties that public re-implementations break."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.graph import item_graph
from magnn.model.config import ModelConfig
from magnn.model.magnn import MAGNN, QueryParts
from magnn.model.short_term import ItemGraph, ShortTerm
from tests.model.oracle import graph_rows, query
from tests.worlds import histories_of

SHAPE = {
    "short_window": 3,
    "long_window": 4,
    "heads": 3,
    "memory_units": 5,
    "graph_steps": 2,
    "init_std": 0.5,
    "cosine_scale": 7.0,
    "position_scale": 1.7,
}
SWITCHES = [
    {
        "taste": taste,
        "short_term": short,
        "long_term": long,
        "fusion": fusion,
        "cooccurrence": cooccurrence,
        "cosine": cosine,
        "recency": recency,
        "tied": tied,
        "feed_forward": tied,
    }
    for taste, short, long, cooccurrence, cosine in itertools.product([True, False], repeat=5)
    for recency, tied in ([(False, False), (True, True)] if cosine else [(False, False), (True, False), (False, True)])
    for fusion in (["gate", "concat", "gru"] if short and long else ["gate"])
    if taste or short or long or cooccurrence
]


def build(config: ModelConfig, sequences: list[list[int]], n_items: int, seed: int = 0) -> MAGNN:
    """A model in double precision, with a graph of `sequences`, one for each user."""
    torch.manual_seed(seed)
    graph = ItemGraph.of(histories_of(sequences, n_items), config)
    return MAGNN(config, len(sequences), n_items, graph).double()


def padded(history: list[int], config: ModelConfig, n_items: int) -> list[int]:
    width = config.short_window + config.long_window
    kept = history[-width:]
    return [n_items] * (width - len(kept)) + kept


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    n_items = draw(st.integers(2, 8))
    sequence = st.lists(st.integers(0, n_items - 1), max_size=10)
    return draw(st.lists(sequence, min_size=1, max_size=4)), n_items


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(str(value) for value in s.values()))
@settings(deadline=None, max_examples=4)
@given(world=worlds(), dim=st.integers(1, 6), seed=st.integers(0, 99), frozen=st.booleans())
def test_query_is_that_of_the_equations(
    switches: dict[str, bool], world: tuple[list[list[int]], int], dim: int, seed: int, frozen: bool
) -> None:
    sequences, n_items = world
    config = ModelConfig.model_validate({**SHAPE, "dim": dim, **switches})
    model = build(config, sequences, n_items, seed)
    if frozen:
        model.freeze()
    A = graph_rows(sequences, n_items, config.graph_steps)
    users = [*range(len(sequences)), len(sequences)]  # the last: somebody unknown, with the first history
    histories = [*sequences, sequences[0]]
    got = model(torch.tensor(users), torch.tensor([padded(h, config, n_items) for h in histories]))
    known = [user if user < len(sequences) else None for user in users]
    expected = [query(model.state_dict(), config, A, u, h) for u, h in zip(known, histories, strict=True)]
    # Positions are stored in single precision, whatever the model computes in.
    torch.testing.assert_close(got.detach(), torch.tensor(np.array(expected)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(str(value) for value in s.values()))
def test_every_parameter_learns(switches: dict[str, bool]) -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, **switches})
    sequences = [[0, 1, 2, 3, 4, 5, 0, 2], [5, 4, 3, 2, 1, 0, 3, 1]]
    model = build(config, sequences, 6)
    histories = torch.tensor([padded(s, config, 6) for s in [*sequences, []]])  # the last: of somebody new
    queries = model(torch.tensor([0, 1, 2]), histories)
    # A loss that is no constant of the query's length, which cosine scores fix.
    (queries * torch.randn_like(queries) @ model.items.T).square().sum().backward()
    unused = set()
    if not (config.short_term or config.long_term or config.cooccurrence):
        unused = set() if config.tied else {"embeddings.input_D.weight"}
    if not config.taste:
        # What listens to the taste hears zeros.
        unused = {"fusion.from_taste.weight"} | (set() if config.recency else {"history_query.from_taste.weight"})
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
        assert reached != (name in unused), f"{name} gets {'a' if reached else 'no'} gradient"


def test_the_paper_switches_are_all_there() -> None:
    names = set(MAGNN(ModelConfig(), 2, 3).state_dict())
    mf = set(MAGNN(ModelConfig(short_term=False, long_term=False, cooccurrence=False), 2, 3).state_dict())
    assert mf == {"embeddings.users_D.weight", "embeddings.input_D.weight", "embeddings.output_ND"}
    assert {
        "short_term.project.weight",
        "memory.key_MD",
        "fusion.from_long.weight",
        "cooccurrence.relate.weight",
    } <= names


def test_batch_equals_single() -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 5})
    sequences = [[0, 1, 2, 3, 4, 0, 1], [3, 2], [4], []]
    model = build(config, sequences, 5).freeze()
    histories = torch.tensor([padded(s, config, 5) for s in sequences])
    together = model(torch.arange(4), histories)
    for user in range(4):
        torch.testing.assert_close(model(torch.tensor([user]), histories[[user]])[0], together[user])


def test_padding_says_nothing() -> None:
    """A wider window around the same history changes nothing."""
    sequences = [[0, 1, 2, 3, 4]]
    narrow = build(ModelConfig.model_validate({**SHAPE, "dim": 4, "long_window": 2}), sequences, 5)
    wide = build(ModelConfig.model_validate({**SHAPE, "dim": 4, "long_window": 9}), sequences, 5)
    wide.load_state_dict(narrow.state_dict())
    user = torch.tensor([0])
    torch.testing.assert_close(
        narrow(user, torch.tensor([padded(sequences[0], narrow.config, 5)])),
        wide(user, torch.tensor([padded(sequences[0], wide.config, 5)])),
    )


@pytest.mark.parametrize("fusion", ["gate", "concat", "gru"])
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("feed_forward", [False, True])
def test_parts_add_up_to_the_query(fusion: str, cosine: bool, feed_forward: bool) -> None:
    switches = {"fusion": fusion, "cosine": cosine, "feed_forward": feed_forward}
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, **switches})
    sequences = [[0, 1, 2, 3, 4, 0, 1], [3, 2]]
    model = build(config, sequences, 5).freeze()
    inputs = torch.arange(2), torch.tensor([padded(s, config, 5) for s in sequences])
    parts = model.parts(*inputs)
    assert isinstance(parts, QueryParts)
    torch.testing.assert_close(sum(parts[:5]), model(*inputs))
    if fusion == "gate":
        assert parts.gate is not None
        assert (parts.gate[1] == 1).all(), "without long history the gate is open"
        assert (parts.long_term[1] == 0).all() and (parts.memory[1] == 0).all()


def test_frozen_model_needs_no_graph() -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4})
    sequences = [[0, 1, 2, 3, 4, 0, 1]]
    model = build(config, sequences, 5).freeze()
    copy = MAGNN(config, 1, 5).double()
    copy.load_state_dict(model.state_dict())
    inputs = torch.tensor([0]), torch.tensor([padded(sequences[0], config, 5)])
    assert torch.equal(copy.eval()(*inputs), model(*inputs))


def test_gradient_of_the_states_is_the_numerical_one() -> None:
    torch.manual_seed(0)
    graph = ItemGraph(item_graph(histories_of([[0, 1, 2, 0, 3], [3, 1]], 5), steps=3))
    embedding = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    short_term = ShortTerm(3, window=3).double()

    def states(input_ND: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return short_term.states(graph, input_ND)

    assert torch.autograd.gradcheck(states, (embedding, short_term.project.weight))


@pytest.mark.parametrize("recency", [False, True])
def test_states_of_the_items_in_the_windows_are_enough(recency: bool) -> None:
    """Of a catalogue much larger than the windows: the same short term and the same gradients as from all states."""
    n_items, dim = 40, 3
    rng = np.random.default_rng(0)
    graph = ItemGraph(item_graph(histories_of(rng.integers(n_items, size=(9, 12)).tolist(), n_items), steps=3))
    recent_BL = torch.tensor([[40, 40, 40], [40, 7, 3], [3, 9, 3], [39, 0, 7]])
    wanted = torch.randn(len(recent_BL), dim).double()
    found = []
    for some in (True, False):
        torch.manual_seed(1)
        short_term = ShortTerm(dim, window=3, recency=recency).double()
        table = torch.randn(n_items + 1, dim, dtype=torch.float64).index_fill(0, torch.tensor([n_items]), 0)
        table.requires_grad_()
        if some:
            short_BD = short_term.learning(graph, table, recent_BL)
        else:
            short_BD = short_term(short_term.states(graph, table), recent_BL)
        (short_BD * wanted).sum().backward()  # type: ignore[no-untyped-call]
        found.append([short_BD.detach(), table.grad, *(parameter.grad for parameter in short_term.parameters())])
    for one, other in zip(*found, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("tied", [False, True])
def test_items_of_a_frozen_model_follow_its_weights(tied: bool) -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, "cosine": True, "tied": tied})
    model = build(config, [[0, 1, 2, 3, 4]], 5).freeze()
    first = model.items
    assert model.items is first
    torch.testing.assert_close(first.norm(dim=1), torch.ones(5).double())
    with torch.no_grad():
        model.embeddings.output[2] = torch.tensor([0.0, 3.0, 0.0, 4.0])
    torch.testing.assert_close(model.items[2], torch.tensor([0.0, 0.6, 0.0, 0.8]).double())
    model.load_state_dict(build(config, [[0, 1, 2, 3, 4]], 5, seed=7).freeze().state_dict())
    assert not torch.equal(model.items, first)


@pytest.mark.parametrize("tied", [False, True])
def test_items_follow_an_optimizer_that_counts_no_changes(tied: bool) -> None:
    """Fused Adam leaves the version of a tensor as it is, so that only `train` tells of it."""
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, "cosine": True, "tied": tied})
    model = build(config, [[0, 1, 2, 3, 4]], 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        model.train()
        model.items[0, 0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        wanted = torch.nn.functional.normalize(model.embeddings.output.detach(), dim=1)
        torch.testing.assert_close(model.freeze().items, wanted, rtol=0, atol=0)


def test_dropout_only_in_training() -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, "dropout": 0.5})
    model = build(config, [[0, 1, 2, 3, 4]], 5)
    inputs = torch.tensor([0]), torch.tensor([padded([0, 1, 2, 3, 4], config, 5)])
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))
    model.freeze()
    assert torch.equal(model(*inputs), model(*inputs))


def test_switching_everything_off_is_refused() -> None:
    with pytest.raises(ValueError, match="every part is switched off"):
        ModelConfig(taste=False, short_term=False, long_term=False, cooccurrence=False)


@pytest.mark.parametrize("cosine", [False, True])
def test_some_items_are_rows_of_all(cosine: bool) -> None:
    model = MAGNN(ModelConfig(dim=4, short_term=False, cosine=cosine), n_users=1, n_items=7)
    torch.testing.assert_close(model.items_of(torch.tensor([5, 0, 5])), model.items[[5, 0, 5]])

"""Addends against the parts that they must add up to, for every configuration; attention against what it reads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.model.addends import addends
from magnn.model.config import ModelConfig
from tests.model.test_magnn import SHAPE, build, padded

SEQUENCES = [[0, 1, 2, 3, 1], [4, 2], [3]]
switches = st.fixed_dictionaries(
    {
        name: st.booleans()
        for name in ("taste", "short_term", "long_term", "cooccurrence", "cosine", "recency", "tied", "feed_forward")
    }
    | {"fusion": st.sampled_from(["gate", "concat", "gru"])}
).filter(lambda s: s["taste"] or s["short_term"] or s["long_term"] or s["cooccurrence"])


@settings(deadline=None)
@given(
    switches,
    st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=3),
    st.floats(-1, 1),
    st.integers(0, 99),
)
def test_they_add_up_to_the_parts(
    switches: dict[str, object], histories: list[list[int]], focus: float, seed: int
) -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4, **switches})
    model = build(config, SEQUENCES, 5, seed).freeze()
    gated = config.fusion == "gate" and config.short_term and config.long_term
    history_BW = torch.tensor([padded(history, config, 5) for history in histories])
    users_B = torch.arange(len(histories)) % 4  # 3 is nobody
    focus = focus if gated else 0.0
    with torch.no_grad():
        parts = model.parts(users_B, history_BW, focus)
    found = addends(model, users_B, history_BW, focus)
    for name, mine, expected in zip(parts._fields[:5], found.parts[:5], parts[:5], strict=True):
        torch.testing.assert_close(mine, expected, msg=name)
    torch.testing.assert_close(found.cooccurrence_BLD.sum(dim=1), parts.co_occurrence)
    torch.testing.assert_close(found.memory_BMD.sum(dim=1), parts.memory)
    splittable = not config.short_term or (config.long_term and config.fusion != "gru")
    assert (found.short_BLD is not None) == splittable
    if found.short_BLD is not None:
        torch.testing.assert_close(found.short_BLD.sum(dim=1), parts.short_term)


@pytest.mark.parametrize("recency", [False, True])
def test_attention_is_what_the_history_query_reads_with(recency: bool) -> None:
    shape = {**SHAPE, "dim": 4, "short_term": False, "cooccurrence": False, "recency": recency}
    config = ModelConfig.model_validate(shape)
    model = build(config, SEQUENCES, 5).freeze()
    history_BW = torch.tensor([padded(history, config, 5) for history in ([0, 1, 2, 3, 4, 0, 1], [2, 1, 3, 0], [1])])
    users_B = torch.tensor([0, 3, 1])
    found = addends(model, users_B, history_BW)
    history_BH = history_BW[:, : config.long_window]
    X_BHD = model.embeddings.input_D(history_BH)
    if not recency:
        X_BHD = X_BHD + model.history_query.positions_HD
    with torch.no_grad():
        read_BD = (found.attention_BAH @ X_BHD).tanh().mean(dim=1)
    torch.testing.assert_close(read_BD, found.parts.long_term)
    has_history = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(found.attention_BAH.sum(dim=2), has_history.expand(-1, config.heads))
    torch.testing.assert_close(found.read_BM.sum(dim=1), has_history.squeeze(1))


@pytest.mark.parametrize("focus", [0.3, -0.2, 0.9])
def test_focus_is_added_to_the_gate(focus: float) -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4})
    model = build(config, SEQUENCES, 5).freeze()
    histories = [[0, 1, 2, 3, 4], [2, 1]]
    history_BW = torch.tensor([padded(history, config, 5) for history in histories])
    before, after = (model.parts(torch.tensor([0, 1]), history_BW, each).gate for each in (0.0, focus))
    assert before is not None and after is not None
    torch.testing.assert_close(after[0], (before[0] + focus).clamp(0, 1))
    assert (before[1] == 1).all() and (after[1] == 1).all(), "without a longer history there is nothing to weigh"


@pytest.mark.parametrize(("focus", "only"), [(1.0, "short_term"), (-1.0, "long_term")])
def test_focus_at_its_ends_leaves_one_interest(focus: float, only: str) -> None:
    config = ModelConfig.model_validate({**SHAPE, "dim": 4})
    model = build(config, SEQUENCES, 5).freeze()
    history_BW = torch.tensor([padded([0, 1, 2, 3, 4], config, 5)])
    one = model.fusion(*(torch.zeros(1, 4).double(),) * 4, torch.ones(1, dtype=torch.bool), focus)
    assert one.gate_BD is not None
    assert one.gate_BD.unique().item() == (focus + 1) / 2
    with torch.no_grad():
        parts = model.parts(torch.tensor([0]), history_BW, focus)
        silent = parts.long_term + parts.memory if only == "short_term" else parts.short_term
        assert silent.abs().max() == 0
        states = model.short_term(model.item_states_ND, history_BW[:, -config.short_window :])
        long = model.history_query(model.embeddings.input_D.weight, history_BW[:, : -config.short_window], parts.taste)
        expected = states if only == "short_term" else long
        torch.testing.assert_close(getattr(parts, only), expected)

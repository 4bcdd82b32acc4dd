"""What counts as linked: an item that somebody else had in training, together with an item of the history."""

from benchmarks.reach import linked
from tests.worlds import log_of


def test_a_test_event_is_linked_through_what_others_trained_on() -> None:
    histories = [
        ["a", "x", "y", "c"],  # the next one had c with a
        ["a", "c", "p", "q"],  # nobody else had q
        ["q", "z", "c", "p"],  # p was held out, for validation, of the only one who had it
    ]
    assert linked(log_of(histories, "leave-one-out")).tolist() == [True, False, False]

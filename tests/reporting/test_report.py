"""The page says what evaluate and explain say, for every kind of model and log, and nothing in it is code."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import magnn
from magnn.evaluation import MODEL
from magnn.reporting.findings import EXAMPLES, Findings, gather
from magnn.reporting.page import ALTERNATIVES, render
from magnn.reporting.plots import figures
from magnn.reporting.segments import Segment
from tests.conftest import SMALL_MODEL
from tests.worlds import log_of


class Outline(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(recommender: magnn.Recommender, folder: Path, **options: Any) -> Outline:
    magnn.report(recommender, folder / "report.html", **options)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    outline = Outline(page)
    assert not {"script", "iframe", "img", "link", "object", "form"} & set(outline.tags)
    for name, value in outline.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,")), value
    assert "nan" not in outline.text.lower().split()
    return outline


@pytest.fixture(scope="module")
def found(best_recommender: magnn.Recommender) -> Findings:
    return gather(best_recommender)


def test_the_page_has_the_numbers_of_evaluate(recommender: magnn.Recommender, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    page = page_of(recommender, tmp_path, k=5, progress=lambda *step: steps.append(step))
    report = magnn.evaluate(recommender, k=5)
    for system in report.systems.values():
        assert all(f"{value:.4f}" in page.text for value in system.metrics.values())
        assert all(f"{low:.4f} to {high:.4f}" in page.text for low, high in system.ci95.values())
    assert [done for _, done, _ in steps] == list(range(steps[0][2]))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert len(page.ids) == len(set(page.ids))
    for section in ("data", "training", "quality", "whom", "why", "memory", "users"):
        assert section in page.ids
    assert page.tags.count("article") == EXAMPLES
    assert page.tags.count("svg") == len(ALTERNATIVES)


def test_examples_know_nothing_of_the_test_events_and_are_checked_against_them(found: Findings) -> None:
    rec = found.recommender
    events, before, after = rec.split.events, rec.split.train_and_valid, rec.split.test
    lengths = [example.n_history for example in found.examples]
    assert lengths == sorted(lengths)
    assert len(lengths) == EXAMPLES
    for example in found.examples:
        user = events.user_number(example.user)
        history = [events.item_ids[int(i)] for i in before.of(user)]
        expected = rec.recommend(example.user, k=5, history=history)
        assert [why.item for why, _ in example.recommended] == [item.item for item in expected]
        assert example.latest[0] == events.title(int(before.of(user)[-1]))
        took = {events.item_ids[int(i)] for i in after.of(user)}
        assert example.took == len(took)
        for why, hit in example.recommended:
            assert hit == (why.item in took)
            same = rec.explain(example.user, why.item, history=history)
            assert (why.parts, why.rank) == (same.parts, same.rank)


def test_segments_have_everybody(found: Findings) -> None:
    assert found.report is not None
    for segments in (found.activity, found.length):
        assert sum(segment.n for segment in segments) == found.report.n_users
        mean = sum(s.n * s.recall[MODEL][0] for s in segments) / found.report.n_users
        assert mean == pytest.approx(found.report.metrics["recall@10"])
    assert found.lead.keys() == {"item-knn", "popularity"}
    knn = found.report.systems["item-knn"].metrics["ndcg@10"]
    assert found.lead["item-knn"][0] == pytest.approx(found.report.metrics["ndcg@10"] - knn)


def test_groups_that_a_baseline_serves_better_are_named(found: Findings) -> None:
    bad = {MODEL: (0.1, 0.05, 0.15), "item-knn": (0.2, 0.15, 0.25), "popularity": (0.3, 0.2, 0.4)}
    behind, even = (-0.1, -0.15, -0.05), (-0.01, -0.05, 0.03)
    group = Segment("1 to 9", 40, bad, {"item-knn": behind, "popularity": behind})
    fine = Segment("10 to 99", 40, bad, {"item-knn": even, "popularity": even})
    page = Outline(render(replace(found, activity=[group, fine], length=[fine], popularity=[group])))
    assert "users with 1 to 9 events: recall@10 0.1000; item-knn 0.2000, popularity 0.3000" in page.text
    # Popularity finds popular items by construction, which says nothing.
    assert "held-out items: 1 to 9 training events: recall@10 0.1000; item-knn 0.2000\n" in page.text
    assert "10 to 99 events: recall" not in page.text
    page = Outline(render(replace(found, activity=[fine], length=[fine], popularity=[fine])))
    assert "For no group below is a baseline better" in page.text


def test_the_verdict_follows_from_the_interval_of_the_difference(found: Findings) -> None:
    lead = {"item-knn": (-0.1, -0.2, -0.05), "popularity": (0.1, 0.05, 0.2)}
    for changed, said in (
        (lead, {"item-knn": "worse. Use item-knn", "popularity": "better."}),
        (dict.fromkeys(lead, (0.01, -0.05, 0.07)), dict.fromkeys(lead, "no difference")),
    ):
        sentences = re.findall(
            r"Against (\S+), the model's ndcg@10 .*?:\n(.*?)\n", Outline(render(replace(found, lead=changed))).text
        )
        assert {name: verdict.startswith(said[name]) for name, verdict in sentences} == dict.fromkeys(said, True)


def test_the_page_names_the_best_epoch(found: Findings) -> None:
    first = found.recommender.logs[0]
    epochs = [
        replace(first, epoch=n, metrics=first.metrics | {"ndcg@10": v}) for n, v in ((1, 0.1), (2, 0.3), (3, 0.2))
    ]
    page = Outline(render(replace(found, recommender=replace(found.recommender, logs=epochs)))).text
    assert "Epoch 2 was chosen, with validation ndcg@10 0.3000." in page


def test_segments_are_named_by_what_they_are_of(found: Findings) -> None:
    """Activity counts all events of a user, the length of a history those before the test."""
    split = found.recommender.split
    judged = split.test.lengths > 0
    for segments, lengths in (
        (found.activity, split.events.histories.lengths[judged]),
        (found.length, split.train_and_valid.lengths[judged]),
    ):
        bounds = [int(bound) for segment in segments for bound in re.findall(r"\d+", segment.label)]
        assert (min(bounds), max(bounds)) == (lengths.min(), lengths.max())


WITHOUT: dict[str, tuple[dict[str, object], set[str]]] = {
    "memory": ({"long_term": False}, {"memory", "gate"}),
    "short term": ({"short_term": False}, {"gate"}),
    "gate": ({"fusion": "concat"}, {"gate"}),
    "network": ({"short_term": False, "long_term": False, "cooccurrence": False}, {"memory", "gate"}),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_of_models_without(recommender: magnn.Recommender, tmp_path: Path, name: str) -> None:
    model, missing = WITHOUT[name]
    rec = magnn.fit(recommender.split, preset="paper", config={"model": SMALL_MODEL | model}, epochs=1)
    page = page_of(rec, tmp_path, k=3)
    assert page.tags.count("svg") == len(ALTERNATIVES) - len(missing)
    assert ("memory" in page.ids) == ("memory" not in missing)


LOGS: dict[str, Callable[[], magnn.Split]] = {
    "nothing is held out": lambda: log_of(["abc", "bcd"], "none"),
    "one event each": lambda: log_of(["a", "b", "a"], "paper"),
    "two users": lambda: log_of(["abcde", "cdefg"], "leave-one-out"),
    "everybody has everything": lambda: log_of(["abcd", "dcba"], "none"),
}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("preset", ["paper", "best"])
def test_of_the_smallest_logs_without_titles(tmp_path: Path, name: str, preset: str) -> None:
    rec = magnn.fit(LOGS[name](), preset=preset, config={"model": SMALL_MODEL}, epochs=1)
    page = page_of(rec, tmp_path, k=2, plots=tmp_path / "plots")
    assert ("nothing can be said about how good it is" in page.text) == (name != "two users")
    assert ("fit it with --split paper" in page.text) == (LOGS[name]().protocol == "none")
    assert "Nothing is known of the items but their ids" in page.text
    assert "no column of categories" in page.text


def test_of_a_model_that_was_not_refitted(recommender: magnn.Recommender, tmp_path: Path) -> None:
    rec = magnn.fit(recommender.split, preset="paper", config={"model": SMALL_MODEL}, epochs=1, refit=False)
    assert "fitted on train only" in page_of(rec, tmp_path).text


def test_hostile_titles_are_text(hostile_page: Path) -> None:
    page = Outline(hostile_page.read_text(encoding="utf-8"))
    assert not {"script", "iframe", "img", "i", "b"} & set(page.tags)
    assert "<script>window.attacked" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "x" * 100 not in page.text
    assert hostile_page.stat().st_size < 1_000_000


def test_every_picture_is_a_file_of_both_kinds(hostile_page: Path) -> None:
    files = sorted(path.name for path in (hostile_page.parent / "plots").iterdir())
    assert files == sorted(f"{name}.{kind}" for name in ALTERNATIVES for kind in ("svg", "png"))
    for path in (hostile_page.parent / "plots").glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in ("script", "foreignObject")]
    for path in (hostile_page.parent / "plots").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_axes_are_labelled(found: Findings) -> None:
    for name, draw in figures(found).items():
        figure: Any = draw()
        for axis in figure.axes:
            shares = any(axis.get_shared_y_axes().joined(axis, other) for other in figure.axes if other is not axis)
            words = [label for label in axis.get_yticklabels() if re.search("[a-z]", label.get_text())]
            assert axis.get_xlabel() or axis.get_label() == "<colorbar>", name
            assert axis.get_ylabel() or words or shares, name


def test_a_picture_shows_each_system_its_own_numbers(found: Findings) -> None:
    report, draw = found.report, figures(found)
    assert report is not None
    panels = draw["metrics"]().axes
    systems = [label.get_text() for label in panels[0].get_yticklabels()]
    assert sorted(systems) == sorted(report.systems)
    for panel in panels:
        name = panel.get_xlabel()
        of_systems = [(report.systems[system].ci95[name], report.systems[system].metrics[name]) for system in systems]
        np.testing.assert_allclose(points_of(panel), [(low, value, high) for (low, high), value in of_systems])
    (axis,) = draw["recall-by-activity"]().axes
    expected = [(low, value, high) for group in found.activity for value, low, high in group.recall.values()]
    np.testing.assert_allclose(points_of(axis), expected, atol=1e-9)
    assert axis.get_legend_handles_labels()[1] == list(found.activity[0].recall)


def points_of(axis: Any) -> list[tuple[float, float, float]]:
    """Low end, value and high end of every point with an interval, in the order in which they were drawn."""
    found = []
    for container in axis.containers:
        (value,) = container.lines[0].get_xdata()
        ((low, _), (high, _)) = container.lines[2][0].get_segments()[0]
        found.append((low, value, high))
    return found

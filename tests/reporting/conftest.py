"""A log whose titles and ids are an attack, and its report."""

from pathlib import Path

import polars as pl
import pytest

import magnn
from magnn.data.synthetic import generate_log
from tests.conftest import SMALL_MODEL

HOSTILE = [
    "<script>window.attacked = 1; document.title = 'attacked'</script>",
    "<img src=x onerror='window.attacked = 1'>",
    "</title></style></svg><iframe src='https://attacker.example/'></iframe>",
    '" onmouseover="window.attacked = 1" x="',
    "'; alert(1); //",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!-- ]]> --> &lt;b&gt; &amp;",
    "\u202eright to left override",
    "שלום עולם",
    "ألف ليلة وليلة",
    "\N{FACE WITH TEARS OF JOY}\N{ZERO WIDTH JOINER}\N{PILE OF POO} 東京物語",
    "x" * 10_000,
    "wide words " * 1_000,
    "$\\frac{1}{2}$ and $5",
    "line\nbreak\ttab\x00\x07\x1b[31m",
    "",
]


@pytest.fixture(scope="session")
def hostile_recommender() -> magnn.Recommender:
    """Every title and genre is hostile, and so are the ids of users and items."""
    events, items = generate_log(n_users=60, n_series=2, events_per_user=25)
    titles = [f"{HOSTILE[i % len(HOSTILE)]}" for i in range(items.height)]
    items = items.with_columns(
        title=pl.Series(titles),
        item_id=pl.format("<i>{}</i>", "item_id"),
        genre=pl.format("<b>{}</b>|{}", "genre", pl.lit(HOSTILE[1])),
    )
    events = events.with_columns(
        item_id=pl.format("<i>{}</i>", "item_id"), user_id=pl.format("</h3><script>{}", "user_id")
    )
    log = magnn.read_events(events, items=items)
    return magnn.fit(magnn.split(log, "paper"), preset="best", config={"model": SMALL_MODEL}, epochs=2)


@pytest.fixture(scope="session")
def hostile_page(hostile_recommender: magnn.Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report, with pictures beside it in plots/."""
    folder = tmp_path_factory.mktemp("hostile")
    magnn.report(hostile_recommender, folder / "report.html", plots=folder / "plots")
    return folder / "report.html"

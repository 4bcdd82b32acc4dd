"""One page that shows a recommender: its data, its training, how good it is and for whom, and what is inside."""

from pathlib import Path

from magnn.recommender import Recommender
from magnn.reporting.findings import ReportProgress, gather
from magnn.reporting.page import check_page, render
from magnn.reporting.plots import write_plots
from magnn.storage import atomic_file, check_file, check_place


def check_report(path: Path, plots: Path | None = None) -> None:
    """That a report, and its pictures, can be written.

    Raises:
        InputError: `path` is no name for a file, or a library is missing.
        StorageError: a place cannot be written.
    """
    check_page()
    check_file(path, "report.html")
    if plots is not None:
        check_place(plots / "training.svg")


def report(
    recommender: Recommender,
    path: Path | str,
    *,
    k: int = 10,
    plots: Path | str | None = None,
    progress: ReportProgress | None = None,
) -> None:
    """Write a report as one HTML file that needs no network and no script.

    What a model or log does not have (test events, titles, a memory) is left out, and the page says so.

    Args:
        path: the file to write; what stood there before stays until the new one is done.
        k: list length.
        plots: a directory that gets every picture as SVG and PNG too.
        progress: called before each step with its name, the steps done and the steps in all.

    Raises:
        InputError: k outside [1, n_items], a path that is a directory, or Jinja2 or matplotlib is missing
            (`pip install 'magnn[report]'`).
        StorageError: the place cannot be written.

    Example (after `rec = magnn.load("model")`):
        magnn.report(rec, "report.html")
    """
    pictures = None if plots is None else Path(plots)
    check_report(Path(path), pictures)
    found = gather(recommender, k, progress)
    page = render(found)
    with atomic_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if pictures is not None:
        write_plots(found, pictures)

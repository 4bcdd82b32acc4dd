"""docs/report.png, parts of a report side by side: `python -m benchmarks.report_picture REPORT.html`; needs chromium."""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.measure import ROOT
from magnn.storage import atomic_file

PICTURE = ROOT / "docs" / "report.png"
COLUMN, HEIGHT = 560, 1155  # pixels, drawn at one and a half times their size
# On the left the head and for whom it is good, on the right the example users.
SIDE_BY_SIDE = """() => {
    document.querySelectorAll("#users > :not(article)").forEach(element => element.remove());
    const columns = document.createElement("div");
    columns.style = "display: grid; grid-template-columns: 1fr 1fr";
    for (const ids of [["header", "#whom"], ["#users"]]) {
        const column = document.createElement("div");
        column.style = "padding: 0 1rem; min-width: 0; border-left: 1px solid #ccc";
        column.append(...ids.map(id => document.querySelector(id)));
        columns.append(column);
    }
    columns.firstChild.style.borderLeft = "none";
    document.body.replaceChildren(columns);
    document.body.style = "max-width: none; margin: 0; padding: 0";
}"""


def draw(report: Path) -> None:
    """Open a report in a browser, rearrange it, and photograph what comes first."""
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        sys.exit("no chromium is installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path)
        page = browser.new_page(
            viewport={"width": 2 * COLUMN, "height": HEIGHT}, device_scale_factor=1.5, color_scheme="light"
        )
        page.goto(report.resolve().as_uri())
        page.evaluate(SIDE_BY_SIDE)
        screenshot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    with atomic_file(PICTURE) as temporary:  # few colours: a third of the size
        screenshot.quantize(256).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    draw(Path(sys.argv[1]))

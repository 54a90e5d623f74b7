"""Makes the README's pictures of the Dagster UI: ``python avalanche_assets_tests/ui/make_pictures.py [URL]``.

Needs Chromium and the UI of a materialised season at URL (``make demo``, then ``make ui``; default
http://localhost:3000). Writes ``docs/pictures/lineage.png`` and ``docs/pictures/sigma0_in_ui.png``.
"""

import json
import sys
import time
import urllib.request
from pathlib import Path

from headless_browser import Page, chromium, open_browser

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LINEAGE = "/assets/season_report?view=lineage&lineageScope=upstream&lineageDepth=15"
PARTITION = "/assets/sigma0?view=partitions&partition=2018-01-03"
SETTLED = 3.0
"""Seconds until the graph has zoomed to the window and dialogs stand still."""


def show_lineage(page: Page, ui: str) -> None:
    """Opens the whole chain above the season report, top to bottom, nodes as small as their names."""
    page.remember(dagster_nav_collapsed=True, asset_graph_direction="vertical", asset_node_facets=[])
    page.open(ui + LINEAGE)
    page.wait("document.body.innerText.includes('s1_products')")


def show_partition_picture(page: Page, ui: str, partition: str = PARTITION) -> None:
    """Opens a partition of sigma0 and the picture in its metadata."""
    page.remember(dagster_nav_collapsed=True)
    page.open(ui + partition)
    page.wait("[...document.querySelectorAll('a')].some(a => a.innerText === '[Show Markdown]')")
    page.evaluate("[...document.querySelectorAll('a')].find(a => a.innerText === '[Show Markdown]').click()")
    page.wait("[...document.querySelectorAll('img')].some(i => i.src.startsWith('data:') && i.naturalWidth)")


def dismiss_welcome(ui: str) -> None:
    """Spares the pictures the dialog that greets a new instance."""
    body = json.dumps({"query": "mutation { setNuxSeen }"}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=60).close()


def main(ui: str) -> None:
    """Makes both pictures from the UI at `ui`."""
    executable = chromium()
    if executable is None:
        sys.exit("Chromium is not installed; it draws the pictures")
    dismiss_welcome(ui)
    PICTURES.mkdir(exist_ok=True)
    for name, show, size in (
        ("lineage.png", show_lineage, (2000, 1150)),
        ("sigma0_in_ui.png", show_partition_picture, (1300, 960)),
    ):
        with open_browser(executable, *size) as page:
            show(page, ui)
            time.sleep(SETTLED)
            (PICTURES / name).write_bytes(page.screenshot())
        print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://localhost:3000")

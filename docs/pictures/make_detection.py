"""Makes `detection.png`, `bulletin.png` and `bulletin_phone.png` from a finished `make demo`, with Chromium.

.venv/bin/python docs/pictures/make_detection.py
"""

import shutil
from pathlib import Path

import pandas as pd
from playwright.sync_api import sync_playwright

from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.reporting.learning_figures import patch_gallery
from avalanche_assets.reporting.pages import write_bytes
from avalanche_assets.reporting.style import png, smaller
from avalanche_assets.settings import load_settings
from avalanche_assets.tables import DETECTIONS, read_geotable

HERE = Path(__file__).parent
PAGES = {"bulletin.png": ("bulletin.html", 1280, 1180), "bulletin_phone.png": ("bulletin.fr.html", 390, 844)}
PAGE_DATE = "2018-01-03"
"""After a storm with rain up to 2,300 m: many deposits, and much that wet snow hides."""
SHOWN = 3


def main() -> None:
    """Draws the season's clearest new detections and takes pictures of one date's bulletin."""
    settings = load_settings(HERE.parents[1] / ".demo" / "avalanche.toml")
    layout = settings.layout
    catalogue = read_catalogue(layout.acquisition_catalogue, settings.season.max_gap_days)
    tables = [read_geotable(layout.detections(day), DETECTIONS) for day in catalogue.dates("winter")]
    found = pd.concat([table[table["new_or_persisting"] == "new"] for table in tables])
    best = found.sort_values("score", ascending=False).head(SHOWN).sort_values("acquisition_date")
    samples = load_samples(layout, catalogue, sorted(set(best["acquisition_date"]))).samples
    pairs = list(zip(samples.corridor_ids, samples.dates, strict=True))
    rows = [pairs.index((row.corridor_id, row.acquisition_date)) for row in best.itertuples()]
    captions = [
        f"{row.acquisition_date}, quality {row.quality}\n{row.area_m2:,.0f} m², dVV {row.dvv_mean_db:+.1f} dB"
        for row in best.itertuples()
    ]
    note = "New detections in simulated Sentinel-1 data, orbit 139 descending"
    write_bytes(HERE / "detection.png", png(patch_gallery(samples, rows, captions, 64 * 20.0, note), 250))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for picture, (name, width, height) in PAGES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto((layout.bulletin(PAGE_DATE) / name).as_uri())
            write_bytes(HERE / picture, smaller(page.screenshot(), 300))


if __name__ == "__main__":
    main()

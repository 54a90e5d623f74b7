"""Makes `detection.png` and `map.png` of the README from a finished `make demo`.

.venv/bin/python docs/pictures/make_detection.py
"""

from pathlib import Path

import pandas as pd

from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.reporting.learning_figures import patch_gallery
from avalanche_assets.reporting.pages import write_bytes
from avalanche_assets.reporting.style import png, smaller
from avalanche_assets.settings import load_settings
from avalanche_assets.tables import DETECTIONS, read_geotable

HERE = Path(__file__).parent
MAP_DATE = "2018-01-21"
"""Between two storms: fresh deposits on cold snow."""
SHOWN = 3


def main() -> None:
    """Draws the season's clearest new detections and copies one date's map."""
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
    write_bytes(HERE / "map.png", smaller((layout.bulletin(MAP_DATE) / "map.png").read_bytes(), 400))


if __name__ == "__main__":
    main()

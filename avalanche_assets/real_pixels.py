"""Three real repeat passes through VV*/VH*, patches on given points and a score.

The passes are terrain-corrected backscatter over snow in Idaho (12 days apart, no elevation model, no
avalanche inventory), so this shows real speckle and a real scene-wide jump, not an accuracy.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import geopandas as gpd
import numpy as np
import tomli_w
from matplotlib.figure import Figure

from avalanche_assets.backscatter.ready_made import grid_of, read_ready_made
from avalanche_assets.backscatter.star import scene_change_db
from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue, read_catalogue
from avalanche_assets.errors import SettingsError
from avalanche_assets.files import write_text
from avalanche_assets.rasters import read_bands, read_grid
from avalanche_assets.reporting.figures import STAR_LIMIT_DB
from avalanche_assets.reporting.pages import write_bytes
from avalanche_assets.reporting.style import (
    DIVERGING,
    NO_VALUE,
    colourbar,
    extent,
    footer,
    map_axes,
    new_figure,
    png,
    title,
)
from avalanche_assets.settings import Settings, load_settings
from avalanche_assets.tables import ANOMALY_SCORES, PATCH_SIZE, read_table

CRS = "EPSG:32611"
"""UTM zone of the passes."""


def prepare_real_pixels(rasters: Path, out: Path) -> Path:
    """Writes points and settings for the passes in `rasters`; returns the settings file.

    The points are a regular lattice of overlapping patches, each wholly in the scene.

    Raises:
        SettingsError: The folder holds no GeoTIFF.
    """
    paths = sorted(rasters.glob("*.tif"))
    if not paths:
        raise SettingsError(f"{rasters}: no GeoTIFF; this task needs the folder with real data")
    grid = grid_of(paths[0], CRS, 20.0)
    known = np.isfinite(read_ready_made(paths[0], grid, "linear", "rad")["vv"])
    centres = (range(PATCH_SIZE // 2, size, PATCH_SIZE // 2) for size in grid.shape)
    places = [grid.pixel_centre(row, col) for row, col in product(*centres)]
    places = [place for place in places if known[grid.window_around(*place).slices].mean() > 0.99]
    names = [f"point{number:03d}" for number in range(1, len(places) + 1)]
    points = gpd.GeoDataFrame(
        {"corridor_id": names}, geometry=gpd.points_from_xy(*zip(*places, strict=True)), crs=CRS
    )
    out.mkdir(parents=True, exist_ok=True)
    points.to_file(out / "points.gpkg")
    settings = {
        "data_root": "data",
        "track": {"relative_orbit": 20, "direction": "ASCENDING"},
        "source": {
            "kind": "raster_folder",
            "folder": str(rasters.resolve()),
            "raster_incidence_unit": "rad",
        },
        # No snow-free acquisition exists: the median of the passes stands in; it cancels in the change.
        "season": {"reference": "season_median"},
        "grid": {"crs": CRS},
        "inventory": {"corridors": "points.gpkg"},
    }
    write_text(out / "avalanche.toml", tomli_w.dumps(settings))
    return out / "avalanche.toml"


def summarise_real_pixels(settings_file: Path) -> Iterator[str]:
    """Draws the changes between the passes and yields what they show, line by line."""
    settings = load_settings(settings_file)
    catalogue = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    yield ""
    yield "Scene-wide change between passes (REAL pixels, median over all pixels)"
    for day in catalogue.dates("winter"):
        previous = catalogue.previous(day)
        if previous is None:
            continue
        now, before = (read_bands(settings.layout.vv_vh_star(key)) for key in (day, str(previous.date)))
        vv, vh = (scene_change_db(now[name], before[name]) for name in ("vv_star", "vh_star"))
        flag = "  FLAGGED: whole scene moved" if abs(vv) > settings.backscatter.drift_warning_db else ""
        yield f"{previous.date} to {day}   VV {vv:+.1f} dB   VH {vh:+.1f} dB{flag}"
        scores = read_table(settings.layout.anomaly_scores(day), ANOMALY_SCORES).to_pandas()["score"]
        yield f"    change_threshold score of {scores.count()} points: median {scores.median():.2f} dB"
    picture = settings_file.parent / "scene_changes.png"
    write_bytes(picture, png(_figure(settings, catalogue), max_kb=1000, dpi=130))
    yield f"picture: {picture}"


def _figure(settings: Settings, catalogue: AcquisitionCatalogue) -> Figure:
    days = catalogue.dates("winter")
    grid = read_grid(settings.layout.vv_vh_star(days[0]))
    stars = [read_bands(settings.layout.vv_vh_star(day))["vv_star"] for day in days]
    figure, axes = new_figure(5.2 * (len(days) - 1), 5.2, 1, len(days) - 1)
    limit = STAR_LIMIT_DB
    for index, panel in enumerate(axes, start=1):
        change = stars[index] - stars[index - 1]
        panel.set_facecolor(NO_VALUE)
        image = panel.imshow(
            np.ma.masked_invalid(change), cmap=DIVERGING, vmin=-limit, vmax=limit, extent=extent(grid)
        )
        middle = scene_change_db(stars[index], stars[index - 1])
        flagged = abs(middle) > settings.backscatter.drift_warning_db
        title(
            panel,
            f"dVV {days[index - 1]} to {days[index]}",
            f"median {middle:+.1f} dB" + (": whole scene moved, flagged" if flagged else ""),
        )
        map_axes(panel, grid)
    colourbar(figure, image, axes, "VV change (dB)", "both")
    footer(figure, "Real Sentinel-1 backscatter over snow, Idaho, orbit 20 ascending, 2019 (Copernicus)")
    return figure

"""A whole simulated season in a folder, as a real service would deliver it, with settings to run on it.

``OUT/dem.tif``, ``OUT/products/*.zip``, ``OUT/orbits/*.EOF`` and ``OUT/inventory`` are inputs of the
pipeline, ``OUT/avalanche.toml`` its settings; ``OUT/truth`` is for tests and evaluation only.
``OUT/simulation.json`` tells what was simulated and is completed last.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tomli_w
from pyproj import Transformer
from rasterio.warp import transform_bounds

from avalanche_assets.errors import SettingsError, TerrainError
from avalanche_assets.files import sha256, write_text
from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.rasters import write_cog
from avalanche_assets.settings import Settings
from avalanche_assets.simulation.acquisition import Scene, pad_landscape, padding_cells, simulate_acquisition
from avalanche_assets.simulation.avalanches import Deposit, simulate_avalanches
from avalanche_assets.simulation.backscatter_model import build_ground
from avalanche_assets.simulation.calendar import MISSING_DATES, PredictedPass
from avalanche_assets.simulation.corridors import SimulatedCorridor, clear_forest, simulate_corridors
from avalanche_assets.simulation.facets import build_facets
from avalanche_assets.simulation.inventory_files import write_inventory, write_truth
from avalanche_assets.simulation.landscape import Landscape, landscape_from_dem, synthetic_landscape
from avalanche_assets.simulation.orbit_file_writer import write_orbit_files
from avalanche_assets.simulation.radiometry import is_old_format
from avalanche_assets.simulation.sizes import SIZES, Size, SizeName
from avalanche_assets.simulation.template import TemplateTrack, read_template
from avalanche_assets.simulation.track import SyntheticTrack, Track
from avalanche_assets.simulation.weather import Weather, Winter, simulate_winter

SIMULATION_VERSION = 3
"""Raised when the same parameters give other data."""
CRS = "EPSG:32632"
LONGITUDES = (3.0, 15.0)
"""Degrees east within twice the half-width of the UTM zone: lengths are true to 0.3 %."""
RESOLUTION_M = 20.0
CENTRE = (335_000.0, 5_007_500.0)
"""Where the synthetic terrain lies: about 45.2 N, 6.9 E, upper Maurienne."""
WORKERS = 2
OWN_NAMES = ("products", "orbits", "inventory", "truth", "dem.tif", "avalanche.toml", "simulation.json")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Nature:
    """What happens in the season, whether a satellite looks or not."""

    landscape: Landscape
    corridors: Sequence[SimulatedCorridor]
    deposits: Sequence[Deposit]
    winter: Winter


def simulate_season(
    out: Path,
    size: SizeName,
    seed: int = 139,
    dem: Path | None = None,
    template: Path | None = None,
    progress: Progress = print,
) -> Path:
    """Simulates a season into `out` and returns the path of its settings file.

    Complete output of the same parameters is kept; an interrupted run goes on where it stopped.

    Args:
        out: Folder; made if absent.
        size: A key of `SIZES`.
        seed: Decides everything random.
        dem: Elevation model to use instead of synthetic terrain; its heights count as ellipsoidal.
        template: Real IW GRD product whose orbit, timing, calibration and noise are used.
        progress: Takes one line of text a step.

    Raises:
        SettingsError: `out` holds something else, or results of another simulation.
        TerrainError: `dem` cannot be used.
        SafeError: `template` cannot be used or does not cover the elevation model.
    """
    chosen = SIZES[size]
    parameters = _parameters(chosen, seed, dem, template)
    settings_path = out / "avalanche.toml"
    if _is_complete(out, parameters):
        progress(f"simulated season in {out} is complete, kept")
        return settings_path
    _make_room(out, parameters)
    begin = time.perf_counter()
    landscape = _landscape(chosen, seed, dem)
    progress(f"terrain: {landscape.grid.width * RESOLUTION_M / 1000:.1f} km wide, {_elapsed(begin)}")
    track = _track(landscape, chosen, template)
    passes = sorted([*chosen.reference(), *chosen.winter()], key=lambda item: item.date)
    nature = _nature(landscape, chosen, track, passes, seed)
    _write_inputs(out, nature, seed)
    progress(
        f"{len(nature.corridors)} corridors, {len(nature.deposits)} avalanches, "
        f"{sum(deposit.recorded for deposit in nature.deposits)} of them in the inventory, {_elapsed(begin)}"
    )
    scene = _scene(nature, chosen, track, seed)
    products = _simulate_products(out / "products", scene, passes, nature.winter, progress)
    orbits = write_orbit_files(out / "orbits", track, passes, seed)
    write_text(settings_path, _settings_text(chosen, track, seed))
    _write_report(out, parameters, track, passes, products, orbits)
    progress(f"simulated season in {out}: {len(products)} acquisitions, {_elapsed(begin)}")
    return settings_path


def _elapsed(begin: float) -> str:
    return f"{time.perf_counter() - begin:.0f} s"


def _parameters(size: Size, seed: int, dem: Path | None, template: Path | None) -> dict[str, Any]:
    for path in (dem, template):
        if path is not None and not path.exists():
            raise SettingsError(f"{path}: no such file; give an existing --dem or --template")
    return {
        "version": SIMULATION_VERSION,
        "size": size.name,
        "seed": seed,
        "dem": None if dem is None else {"name": dem.name, "sha256": sha256(dem)},
        "template": None if template is None else template.name,
    }


def _read_report(out: Path) -> dict[str, Any]:
    path = out / "simulation.json"
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return report


def _is_complete(out: Path, parameters: dict[str, Any]) -> bool:
    report = _read_report(out)
    return (
        report.get("parameters") == parameters
        and bool(report.get("complete"))
        and (out / "avalanche.toml").exists()
        and all(
            (out / "products" / name).exists()
            for acquisition in report["acquisitions"]
            for name in acquisition["products"]
        )
        and all(
            (out / "orbits" / acquisition["orbit_file"]).exists()
            for acquisition in report["acquisitions"]
            if acquisition["orbit_file"]
        )
    )


def _make_room(out: Path, parameters: dict[str, Any]) -> None:
    """Clears what another simulation left, or marks the folder so that an interrupted run can go on."""
    report = _read_report(out)
    present = [name for name in OWN_NAMES if (out / name).exists()]
    if present and not report:
        raise SettingsError(f"{out}: holds {present} that no simulation wrote; choose another folder")
    if report and report["parameters"] != parameters:
        if (out / "data").exists():
            raise SettingsError(
                f"{out}: holds results of another simulation ({report['parameters']}); "
                "choose another folder or delete this one"
            )
        for name in present:
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("products", "orbits", "inventory", "truth"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for leftover in (out / "products").glob(".*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    write_text(out / "simulation.json", json.dumps({"parameters": parameters, "complete": False}))


def _landscape(size: Size, seed: int, dem: Path | None) -> Landscape:
    if dem is not None:
        return landscape_from_dem(dem, _grid_inside(dem, size), seed)
    half = size.side_m / 2
    tile = TILE_PX * RESOLUTION_M
    west, south = (round((centre - half) / tile) * tile for centre in CENTRE)
    bounds = (west, south, west + size.side_m, south + size.side_m)
    return synthetic_landscape(Grid.covering(bounds, CRS, RESOLUTION_M), seed)


def _grid_inside(dem: Path, size: Size) -> Grid:
    """The grid of whole tiles in the middle of an elevation model, at most as large as the size."""
    with rasterio.open(dem) as dataset:
        if dataset.crs is None:
            raise TerrainError(f"{dem}: no coordinate system; set one, e.g. with rio edit-info --crs")
        west, _, east, _ = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        if not LONGITUDES[0] <= (west + east) / 2 <= LONGITUDES[1]:
            raise TerrainError(
                f"{dem}: longitude {(west + east) / 2:.1f}, but {CRS} distorts lengths outside {LONGITUDES}; "
                "give an elevation model of the Alps"
            )
        left, bottom, right, top = dataset.bounds
        to_grid = Transformer.from_crs(dataset.crs, CRS, always_xy=True)
    x, y = to_grid.transform([left, right, left, right], [bottom, bottom, top, top])
    tile = TILE_PX * RESOLUTION_M
    limits = []
    for low, high in ((max(x[0], x[2]), min(x[1], x[3])), (max(y[0], y[1]), min(y[2], y[3]))):
        first, last = int(np.ceil(low / tile)), int(np.floor(high / tile))
        surplus = last - first - size.tiles
        if surplus > 0:
            first += surplus // 2
            last = first + size.tiles
        if last - first < 4:
            raise TerrainError(f"{dem}: smaller than 4 tiles of {tile / 1000} km; take a larger model")
        limits.append((first * tile, last * tile))
    (west, east), (south, north) = limits
    return Grid.covering((west, south, east, north), CRS, RESOLUTION_M)


def _track(landscape: Landscape, size: Size, template: Path | None) -> Track:
    west, south, east, north = landscape.grid.bounds
    to_geodetic = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lon, lat = to_geodetic.transform((west + east) / 2, (south + north) / 2)
    height = float(landscape.elevation.mean())
    if template is not None:
        return read_template(template, lon, lat, height)
    return SyntheticTrack.over(lon, lat, height, size.full_swath)


def _nature(
    landscape: Landscape, size: Size, track: Track, passes: Sequence[PredictedPass], seed: int
) -> _Nature:
    winter = simulate_winter([_utc(track.overpass(item.date)) for item in passes], seed, size.warmer_m)
    share = landscape.grid.height * landscape.grid.width / (size.tiles * TILE_PX) ** 2
    corridors = simulate_corridors(landscape, max(2, round(size.corridors * share)), seed)
    whole = size.first_winter_day.month == 12
    deposits = simulate_avalanches(
        landscape,
        corridors,
        winter,
        seed,
        rate=size.avalanches_per_corridor,
        span=None if whole else (size.first_winter_day, size.last_winter_day),
        brightening_db=size.brightening_db,
    )
    return _Nature(clear_forest(landscape, corridors), corridors, deposits, winter)


def _write_inputs(out: Path, nature: _Nature, seed: int) -> None:
    grid = nature.landscape.grid
    tags = {"VERTICAL_DATUM": "WGS84 ellipsoid", "SIMULATED": "yes"}
    write_cog(out / "dem.tif", {"elevation": nature.landscape.elevation}, grid, {"elevation": "m"}, tags)
    write_inventory(out / "inventory", grid, nature.corridors, nature.deposits, seed)
    write_truth(out / "truth", grid, nature.deposits, nature.winter)


def _scene(nature: _Nature, size: Size, track: Track, seed: int) -> Scene:
    padding = padding_cells(nature.landscape, fill_swath=not size.full_swath)
    padded = pad_landscape(nature.landscape, padding)
    orbit = track.nominal.orbit(np.datetime64("2018-01-01", "ns"))
    facets = build_facets(padded.grid, padded.elevation, orbit)
    ground = build_ground(padded, facets.local_incidence, nature.deposits, seed)
    return Scene(ground, padding, facets, track, seed, fill_swath=not size.full_swath)


def _simulate_products(
    folder: Path, scene: Scene, passes: Sequence[PredictedPass], winter: Winter, progress: Progress
) -> list[list[Path]]:
    """The products of every pass; those that exist already are kept."""

    def one(date_pass: PredictedPass, weather: Weather) -> list[Path]:
        pattern = f"{date_pass.platform}_IW_GRDH_1SDV_{date_pass.date:%Y%m%d}T*.SAFE.zip"
        paths = sorted(folder.glob(pattern))
        return paths if len(paths) == 2 else simulate_acquisition(folder, scene, date_pass, weather)

    products = []
    # Threads share the ground; the heavy parts release the interpreter lock.
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        for date_pass, paths in zip(passes, pool.map(one, passes, winter.acquisitions), strict=True):
            products.append(paths)
            size_mb = sum(path.stat().st_size for path in paths) / 1e6
            progress(
                f"{date_pass.date} {date_pass.platform}: {len(paths)} products, {size_mb:.0f} MB "
                f"({len(products)} of {len(passes)} acquisitions)"
            )
    return products


def _settings_text(size: Size, track: Track, seed: int) -> str:
    settings = {
        "data_root": "data",
        "simulated": True,
        "track": {"relative_orbit": track.relative_orbit, "direction": track.direction},
        "source": {"kind": "safe_folder", "folder": "products", "orbits": "orbits"},
        "terrain": {"dem": "dem.tif", "vertical_datum": "ellipsoidal"},
        "grid": {"crs": CRS, "resolution_m": int(RESOLUTION_M)},
        "inventory": {
            "corridors": "inventory/corridors.gpkg",
            "massifs": "inventory/massifs.gpkg",
            "events": "inventory/epa_events.csv",
        },
        "learning": {"season": "2017-18", "seed": seed, **size.learning},
    }
    Settings.model_validate(settings)
    return tomli_w.dumps(settings)


def _write_report(
    out: Path,
    parameters: dict[str, Any],
    track: Track,
    passes: Sequence[PredictedPass],
    products: Sequence[Sequence[Path]],
    orbits: Sequence[Path | None],
) -> None:
    report = {
        "parameters": parameters,
        "complete": True,
        "relative_orbit": track.relative_orbit,
        "direction": track.direction,
        "tables": _table_sources(track),
        "missing_dates": [str(day) for day in MISSING_DATES],
        "acquisitions": [
            {
                "date": str(item.date),
                "platform": item.platform,
                "role": "reference" if item.date.month in (8, 9) else "winter",
                "noise_format": "IPF 2.84" if is_old_format(item.date) else "IPF 2.90",
                "products": [path.name for path in paths],
                "orbit_file": orbit.name if orbit else None,
            }
            for item, paths, orbit in zip(passes, products, orbits, strict=True)
        ],
    }
    write_text(out / "simulation.json", json.dumps(report, indent=1) + "\n")


def _table_sources(track: Track) -> dict[str, str]:
    """Where orbit, calibration and noise come from."""
    if not isinstance(track, TemplateTrack):
        return {"orbit": "synthetic", "calibration": "synthetic", "noise": "synthetic"}
    return {
        "orbit": track.name,
        "calibration": "synthetic (the template has none)" if track.calibration is None else track.name,
        "noise": "synthetic (the template has none)" if track.noise is None else track.name,
    }


def _utc(instant: np.datetime64) -> datetime:
    moment: datetime = instant.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)

"""A small constructed world for the detection and reporting tests: fractal terrain, corridors, two passes."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
from scipy import ndimage
from shapely.geometry import LineString

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.table import DecisionRule, build_detections, detected_corridors
from avalanche_assets.grid import Grid
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import InventorySettings, Settings, SourceSettings, TerrainSettings
from avalanche_assets.tables import EVALUATION, OPERATING_POINTS, PUBLISHED_SCORES

RULE = DecisionRule("change_threshold", "0123abcd", "budget", 3.0)
FIRST, SECOND = date(2017, 12, 28), date(2018, 1, 3)
MASSIFS = {11: "Haute-Maurienne", 10: "Vanoise", 9: "Maurienne"}


def acquisition(day: date) -> Acquisition:
    overpass = datetime(day.year, day.month, day.day, 5, 43, 17, tzinfo=UTC)
    return Acquisition(day, overpass, "S1A", 19977, "winter", "2017-18", "complete", ("a.zip", "b.zip"))


def example_settings(root: Path, *, simulated: bool = True) -> Settings:
    return Settings(
        data_root=root,
        simulated=simulated,
        source=SourceSettings(folder=root),
        terrain=TerrainSettings(dem=root / "dem.tif", vertical_datum="ellipsoidal"),
        inventory=InventorySettings(corridors=root / "corridors.gpkg", events=root / "events.csv"),
    )


@dataclass(frozen=True)
class World:
    """Terrain, corridors and their static patches; `rng` makes the backscatter of a pass."""

    grid: Grid
    elevation: np.ndarray
    slope: np.ndarray
    aspect: np.ndarray
    corridors: gpd.GeoDataFrame
    terrain: dict[str, np.ndarray]


def fractal_elevation(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Ridged spectral noise between 1,300 and 3,300 m."""
    rng = np.random.default_rng(seed)
    rows, cols = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), indexing="ij")
    frequency = np.hypot(rows, cols)
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.normal(size=shape)) * np.maximum(frequency, 1.2 / max(shape)) ** -2.3
    noise = np.real(np.fft.ifft2(spectrum))
    ridged = -np.abs(noise / noise.std())
    ridged = ndimage.gaussian_filter(ridged, 1.2)
    scaled = (ridged - ridged.min()) / np.ptp(ridged)
    return (1300 + 2000 * scaled).astype(np.float32)


def build_world(count: int = 12, shape: tuple[int, int] = (320, 320), seed: int = 5) -> World:
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32632", 20.0, 311_040.0, 5_038_080.0, *shape)
    elevation = fractal_elevation(shape, seed)
    down_rows, down_cols = np.gradient(-ndimage.gaussian_filter(elevation, 3), 20.0)
    slope = np.degrees(np.arctan(np.hypot(down_rows, down_cols))).astype(np.float32)
    aspect = (np.degrees(np.arctan2(down_cols, -down_rows)) % 360).astype(np.float32)
    records = []
    while len(records) < count:
        row, col = (rng.integers(70, size - 70) for size in shape)
        if slope[row, col] < 30:
            continue
        path = [(float(row), float(col))]
        for _ in range(55):
            r, c = (round(value) for value in path[-1])
            length = np.hypot(down_rows[r, c], down_cols[r, c])
            step = (path[-1][0] + down_rows[r, c] / length, path[-1][1] + down_cols[r, c] / length)
            if not (40 < step[0] < shape[0] - 40 and 40 < step[1] < shape[1] - 40):
                break
            path.append(step)
        line = LineString([grid.pixel_centre(r, c) for r, c in path])
        if line.length < 400 or any(line.distance(other["geometry"]) < 250 for other in records):
            continue
        number = len(records) + 1
        massif_id = (11, 11, 10, 9)[int(4 * col / shape[1])]
        end_row, end_col = (round(value) for value in path[-1])
        records.append(
            {
                "corridor_id": f"73040{number:03d}",
                "name": f"Couloir {number}",
                "massif_id": massif_id,
                "massif": MASSIFS[massif_id],
                "observed": True,
                "observation": "watched",
                "observed_until": None,
                "deposit_x": line.coords[-1][0],
                "deposit_y": line.coords[-1][1],
                "deposit_elevation_m": elevation[end_row, end_col],
                "top_elevation_m": elevation[row, col],
                "area_m2": line.buffer(90).area,
                "geometry": line.buffer(90),
            }
        )
    corridors = gpd.GeoDataFrame(records, geometry="geometry", crs=grid.crs)
    return World(
        grid, elevation, slope, aspect, corridors, _terrain(corridors, grid, elevation, slope, aspect)
    )


def _terrain(corridors, grid, elevation, slope, aspect) -> dict[str, np.ndarray]:
    from rasterio.features import rasterize

    cuts: dict[str, list[np.ndarray]] = {"elevation": [], "slope": [], "aspect": [], "inside": []}
    for row in corridors.itertuples():
        window = grid.window_around(row.deposit_x, row.deposit_y)
        for name, values in (("elevation", elevation), ("slope", slope), ("aspect", aspect)):
            padded = np.pad(values, 64, mode="edge")
            rows, cols = window.row + 64, window.col + 64
            cuts[name].append(padded[rows : rows + 64, cols : cols + 64])
        transform = grid.subgrid(window).transform
        inside = rasterize([row.geometry], out_shape=(64, 64), transform=transform).astype(np.float32)
        cuts["inside"].append(inside)
    return {name: np.stack(values) for name, values in cuts.items()}


def pass_samples(world: World, day: date, deposits: dict[int, float], seed: int = 1) -> PatchSamples:
    """Samples of one pass: dB noise, plus an elongated deposit of `deposits[i]` dB in corridor i."""
    rng = np.random.default_rng(seed)
    count = len(world.corridors)
    before, after = (
        {name: rng.normal(0, 0.9, (count, 64, 64)) for name in ("vv_star", "vh_star")} for _ in range(2)
    )
    rows, cols = np.mgrid[:64, :64]
    for index, rise in deposits.items():
        tilt = np.radians(world.terrain["aspect"][index, 32, 32])
        along = -(rows - 32) * np.cos(tilt) + (cols - 32) * np.sin(tilt)
        across = (rows - 32) * np.sin(tilt) + (cols - 32) * np.cos(tilt)
        blob = rise * np.exp(-0.5 * ((along / 5) ** 4 + (across / 2.5) ** 4))
        after["vv_star"][index] += blob
        after["vh_star"][index] += 0.9 * blob
    stacked = {
        name: np.concatenate([before[name], after[name]]).astype(np.float16)
        for name in ("vv_star", "vh_star")
    }
    return PatchSamples(
        list(world.corridors["corridor_id"]),
        [day] * count,
        stacked,
        world.terrain,
        current=np.arange(count, 2 * count),
        previous=np.arange(count),
        corridor=np.arange(count),
    )


def score_table(world: World, day: date, scores: dict[int, float], hidden: dict[int, str]) -> pa.Table:
    """Scores of one pass: quiet ones spread around 1.5, the given ones instead, the hidden ones null."""
    quiet = np.random.default_rng(3).normal(1.5, 0.3, len(world.corridors))
    previous = None if day == FIRST else FIRST
    rows = [
        {
            "corridor_id": corridor.corridor_id,
            "acquisition_date": day,
            "previous_date": previous,
            "gap_days": None if previous is None else (day - previous).days,
            "detector": RULE.detector,
            "detector_version": "0123",
            "model": RULE.detector_version,
            "raw_score": None if index in hidden else 10 + scores.get(index, float(quiet[index])),
            "score": None if index in hidden else scores.get(index, float(quiet[index])),
            "peak_x": None if index in hidden else corridor.deposit_x,
            "peak_y": None if index in hidden else corridor.deposit_y,
            "observable": index not in hidden,
            "reason": hidden.get(index),
        }
        for index, corridor in enumerate(world.corridors.itertuples())
    ]
    return pa.Table.from_pylist(rows, PUBLISHED_SCORES)


def patch_table(world: World, *, visible: float = 0.95, wet: float = 0.05) -> pa.Table:
    count = len(world.corridors)
    return pa.table(
        {
            "corridor_id": list(world.corridors["corridor_id"]),
            "visible_fraction": pa.array([visible] * count, pa.float32()),
            "wet_snow_fraction": pa.array([wet] * count, pa.float32()),
            "previous_wet_snow_fraction": pa.array([0.0] * count, pa.float32()),
        }
    )


def detections_of(
    world: World,
    day: date,
    deposits: dict[int, float],
    hidden: dict[int, str] | None = None,
    earlier: pa.Table | None = None,
    seed: int = 1,
    patches: pa.Table | None = None,
) -> gpd.GeoDataFrame:
    """The detections table of one pass in which exactly the corridors of `deposits` are detected."""
    samples = pass_samples(world, day, deposits, seed)
    scores = score_table(world, day, deposits, hidden or {})
    chosen = np.flatnonzero(np.isin(samples.corridor_ids, detected_corridors(scores, RULE)))
    subset = samples.subset(chosen)
    maps = ndimage.uniform_filter(subset.channel("dvv"), (0, 3, 3))
    current = acquisition(day)
    previous = replace(acquisition(FIRST), date=day - timedelta(6), overpass=current.overpass - timedelta(6))
    return build_detections(
        world.corridors,
        scores,
        patch_table(world) if patches is None else patches,
        subset,
        maps,
        RULE,
        current,
        previous,
        PUBLISHED_SCORES.empty_table() if earlier is None else earlier,
        world.grid,
    )


def example_evaluation() -> pa.Table:
    """What the test dates of a winter said of two detectors and of a variant, at every operating point."""
    rows = [
        {
            "detector": detector,
            "label_window": "new",
            "operating_point": point,
            "area": area,
            "threshold": 2.0,
            "balanced_accuracy": 0.613,
            "balanced_accuracy_low": 0.552,
            "balanced_accuracy_high": 0.671,
            "recall": 0.62,
            "recall_low": 0.4,
            "recall_high": 0.81,
            "specificity": 0.95,
            "specificity_low": 0.92,
            "specificity_high": 0.97,
            "precision": 0.2,
            "positives": 16,
            "negatives": 1184,
        }
        for detector in ("dual_contrast", "local_contrast", "vae_kl")
        for point in OPERATING_POINTS
        for area in ("All massifs", "Haute-Maurienne")
    ]
    return pa.Table.from_pylist(rows, EVALUATION)

"""Avalanche corridors of a simulated landscape, and the massifs they lie in.

A corridor starts where snow slabs release (30 to 50 degrees, high up), follows the steepest descent and ends
where an avalanche runs out: when the line of sight to its release falls below the runout angle, or on
flat ground. Corridors are spread over the whole landscape, their deposit zones kept apart.

Source: Lied, K. & Bakkehøi, S. (1980), J. Glaciology 26(94) (runout angle alpha of 20 to 30 degrees); sizes
follow 26 ha, 1.4 km long, in the median of the mapped corridors of Belledonne.
"""

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
from numba import njit
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import LineString, Polygon

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.simulation.corridor_shapes import corridor_outline, make_neighbours_touch
from avalanche_assets.simulation.flow import Cells, drain
from avalanche_assets.simulation.landscape import LandCover, Landscape
from avalanche_assets.simulation.massifs import massif_of

Floats = NDArray[np.float32]

EDGE_M = 1000.0
"""Corridors end at least this far inside the landscape, so that a 1.28 km patch fits around their end."""

DEPOSIT_SPACING_M = 400.0
"""Ends of two corridors lie at least this far apart."""


@dataclass(frozen=True)
class AvalanchePath:
    """A line of steepest descent from release to runout.

    Attributes:
        line: Talweg in metres on the grid's coordinate system, from top to bottom.
        heights: Elevation at every vertex, metres.
    """

    line: LineString
    heights: Floats

    @property
    def drop_m(self) -> float:
        """Height lost from release to runout."""
        return float(self.heights[0] - self.heights[-1])


@dataclass(frozen=True)
class SimulatedCorridor:
    """One site of the simulated inventory.

    Attributes:
        corridor_id: INSEE code and site number, 8 characters.
        name: Name of the site, clearly synthetic.
        insee: Five-digit commune code that no real commune has.
        commune: Name of the commune.
        site_number: Number of the site in its commune, from 1.
        massif_id: Official number of the massif.
        massif: Name of the massif.
        observed: Whether observers watch the site.
        outline: Polygon on the grid's coordinate system.
        path: Its talweg.
    """

    corridor_id: str
    name: str
    insee: str
    commune: str
    site_number: int
    massif_id: int
    massif: str
    observed: bool
    outline: Polygon
    path: AvalanchePath


def avalanche_paths(landscape: Landscape, count: int, seed: int) -> list[AvalanchePath]:
    """At most `count` paths spread over the landscape, their ends `DEPOSIT_SPACING_M` apart.

    Every tile of 3 km gives its best path first, then every tile its second, and so on; the best
    is the one with the largest drop, varied by chance.
    """
    grid = landscape.grid
    rng = np.random.default_rng([seed, 1])
    _, receivers, _ = drain(landscape.elevation)
    starts = _release_cells(landscape)
    angles = rng.uniform(20.0, 27.0, starts.size)
    ends, drops = _run_out(
        landscape.elevation.ravel(), receivers, starts, angles, grid.resolution, grid.width
    )
    rows, cols = ends // grid.width, ends % grid.width
    edge = EDGE_M / grid.resolution
    inside = (rows >= edge) & (cols >= edge) & (rows < grid.height - edge) & (cols < grid.width - edge)
    usable = np.flatnonzero(inside & (drops > 250.0))
    score = np.minimum(drops[usable], 1300.0) * rng.lognormal(0.0, 0.25, usable.size)
    tile = (rows[usable] * grid.resolution // 3000.0) * 10000 + cols[usable] * grid.resolution // 3000.0
    order = np.lexsort((-score, tile))
    order = order[np.lexsort((rng.random(order.size), _rank_in_group(tile[order])))]
    ranked = usable[order]
    chosen = _keep_apart(
        starts[ranked], ends[ranked], receivers, grid.shape, DEPOSIT_SPACING_M / grid.resolution, count
    )
    return [_path(landscape, receivers, starts[ranked[k]], ends[ranked[k]]) for k in chosen]


def simulate_corridors(landscape: Landscape, count: int, seed: int) -> list[SimulatedCorridor]:
    """Exactly `count` corridors with ids and names, in order of id; two of them touch.

    Args:
        landscape: Terrain they run down.
        count: How many; 3 % of them, at least one, are not observed.
        seed: Same seed and landscape, same corridors.

    Raises:
        TerrainError: The landscape has too few avalanche paths.
    """
    paths = avalanche_paths(landscape, count, seed)
    if len(paths) < count:
        raise TerrainError(
            f"landscape {landscape.grid.bounds}: only {len(paths)} avalanche paths found, {count} corridors "
            "asked for; ask for fewer or take a larger area"
        )
    rng = np.random.default_rng([seed, 2])
    _, receivers, _ = drain(landscape.elevation)
    outlines = make_neighbours_touch(
        [corridor_outline(path.line, receivers, landscape.grid, rng) for path in paths]
    )
    unobserved = set(rng.choice(count, max(1, round(0.03 * count)), replace=False).tolist())
    corridors = [
        _site(landscape.grid, path, outline, number not in unobserved)
        for number, (path, outline) in enumerate(zip(paths, outlines, strict=True))
    ]
    return _number_sites(corridors)


def corridor_frame(corridors: list[SimulatedCorridor], grid: Grid) -> gpd.GeoDataFrame:
    """Corridors as a table: corridor_id, name, insee, site_number, massif_id, massif, observed, geometry."""
    names = ("corridor_id", "name", "insee", "site_number", "massif_id", "massif", "observed")
    columns = {name: [getattr(corridor, name) for corridor in corridors] for name in names}
    return gpd.GeoDataFrame(columns, geometry=[corridor.outline for corridor in corridors], crs=grid.crs)


def clear_forest(landscape: Landscape, corridors: list[SimulatedCorridor]) -> Landscape:
    """The landscape with meadow instead of forest inside corridors: avalanches keep them open."""
    inside = rasterize(
        [corridor.outline for corridor in corridors],
        landscape.grid.shape,
        transform=landscape.grid.transform,
        dtype="uint8",
    )
    cleared = (inside > 0) & (landscape.land_cover == LandCover.FOREST)
    cover = np.where(cleared, np.uint8(LandCover.MEADOW), landscape.land_cover)
    return replace(landscape, land_cover=cover)


def _release_cells(landscape: Landscape) -> Cells:
    """Flat index of the highest release cell of every block of 160 m that has one."""
    slope, _ = landscape.slope_aspect
    elevation = landscape.elevation
    lowest = min(1500.0, float(np.percentile(elevation, 60.0)))
    releases = np.where((slope > 30.0) & (slope < 50.0) & (elevation > lowest), elevation, np.float32(-1.0))
    size = max(1, round(160.0 / landscape.grid.resolution))
    rows, cols = releases.shape[0] // size, releases.shape[1] // size
    blocks = releases[: rows * size, : cols * size].reshape(rows, size, cols, size).swapaxes(1, 2)
    best = blocks.reshape(rows, cols, size * size).argmax(axis=2)
    row = np.arange(rows)[:, None] * size + best // size
    col = np.arange(cols)[None, :] * size + best % size
    found = releases[row, col] > 0.0
    cells: Cells = (row * releases.shape[1] + col)[found].astype(np.int32)
    return cells


@njit(cache=True)
def _run_out(
    heights: Floats, receivers: Cells, starts: Cells, angles: NDArray[np.float64], cell: float, cols: int
) -> tuple[Cells, Floats]:
    """Cell where the avalanche of every start stops, and the height it lost."""
    ends = np.empty(starts.size, np.int32)
    drops = np.empty(starts.size, np.float32)
    for k in range(starts.size):
        at = starts[k]
        tangent = np.tan(np.radians(angles[k]))
        length = flat = 0.0
        while receivers[at] != at:
            after = receivers[at]
            step = cell if (at // cols == after // cols or at % cols == after % cols) else 1.41421356 * cell
            fall = heights[at] - heights[after]
            flat = flat + step if fall < 0.2 * step else 0.0
            length += step
            if heights[starts[k]] - heights[after] < tangent * length and length > 300.0:
                break
            if flat > 120.0 or length > 4000.0:
                break
            at = after
        ends[k] = at
        drops[k] = heights[starts[k]] - heights[at]
    return ends, drops


def _rank_in_group(groups: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1, 2, … within every run of equal values."""
    first = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if groups.size else np.zeros(0, int)
    lengths = np.diff(np.r_[first, groups.size])
    return np.arange(groups.size) - np.repeat(first, lengths)


@njit(cache=True)
def _keep_apart(
    starts: Cells, ends: Cells, receivers: Cells, shape: tuple[int, int], spacing: float, count: int
) -> list[int]:
    """The first `count` paths whose end is far from earlier ends and whose way is mostly their own."""
    rows, cols = shape
    used = np.zeros(rows * cols, np.bool_)
    chosen = [0 for _ in range(0)]
    reach = 4
    for k in range(starts.size):
        if len(chosen) == count:
            break
        near = False
        for m in chosen:
            dr, dc = ends[m] // cols - ends[k] // cols, ends[m] % cols - ends[k] % cols
            if dr * dr + dc * dc < spacing * spacing:
                near = True
                break
        if near:
            continue
        cells = shared = 0
        at = starts[k]
        while True:
            cells += 1
            shared += used[at]
            if at == ends[k]:
                break
            at = receivers[at]
        if shared > 0.1 * cells:
            continue
        chosen.append(k)
        at = starts[k]
        while True:
            for r in range(max(at // cols - reach, 0), min(at // cols + reach + 1, rows)):
                for c in range(max(at % cols - reach, 0), min(at % cols + reach + 1, cols)):
                    used[r * cols + c] = True
            if at == ends[k]:
                break
            at = receivers[at]
    return chosen


def _path(landscape: Landscape, receivers: Cells, start: int, end: int) -> AvalanchePath:
    """The way from start to end, smoothed over the steps of the cells."""
    cells = [int(start)]
    while cells[-1] != end:
        cells.append(int(receivers[cells[-1]]))
    rows, cols = np.divmod(np.array(cells), landscape.grid.width)
    x, y = landscape.grid.pixel_centre(rows, cols)  # type: ignore[arg-type]
    points = np.column_stack([x, y])
    for _ in range(4):
        points[1:-1] = 0.25 * points[:-2] + 0.5 * points[1:-1] + 0.25 * points[2:]
    return AvalanchePath(LineString(points), landscape.elevation[rows, cols])


def _site(grid: Grid, path: AvalanchePath, outline: Polygon, observed: bool) -> SimulatedCorridor:
    """A corridor with its commune and massif, not numbered yet."""
    west, south, east, north = grid.bounds
    block = max(4000.0, float(np.sqrt((east - west) * (north - south) / 70.0)))
    x, y = path.line.coords[-1]
    across = int(-(-(east - west) // block))
    commune = int((north - y) // block) * across + int((x - west) // block) + 1
    department = "05" if y < south + 0.3 * (north - south) else "73"
    massif_id, massif = massif_of(x, y, grid)
    return SimulatedCorridor(
        "",
        "",
        f"{department}{900 + commune % 100}",
        f"Commune simulée {commune:02d}",
        0,
        massif_id,
        massif,
        observed,
        outline,
        path,
    )


def _number_sites(corridors: list[SimulatedCorridor]) -> list[SimulatedCorridor]:
    """Site numbers from 1 in every commune, north to south, and names that follow the id."""
    ordered = sorted(corridors, key=lambda item: (item.insee, -item.path.line.coords[-1][1]))
    numbered: list[SimulatedCorridor] = []
    for corridor in ordered:
        previous = numbered[-1] if numbered else None
        site = previous.site_number + 1 if previous and previous.insee == corridor.insee else 1
        numbered.append(
            replace(
                corridor,
                corridor_id=f"{corridor.insee}{site:03d}",
                name=f"Couloir simulé {len(numbered) + 1}",
                site_number=site,
            )
        )
    return numbered

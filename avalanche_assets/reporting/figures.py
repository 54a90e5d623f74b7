"""Small maps for the Dagster UI: hillshade, slope, corridors, sigma0, VV*, VH* and local incidence.

Each says what it shows with unit, scale bar and north. Pixels without a value are light grey, so that
"not computed" never looks like a low value. `style.png` turns a figure into bytes.
"""

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from avalanche_assets.grid import Grid
from avalanche_assets.raster_summary import BandSummary
from avalanche_assets.reporting.style import (
    BLUE,
    DIVERGING,
    NO_VALUE,
    SEQUENTIAL,
    VERMILION,
    Floats,
    colourbar,
    extent,
    footer,
    hillshade,
    map_axes,
    new_figure,
    reduced,
    title,
)

MAP_WIDTH_IN = 6.4
STAR_LIMIT_DB = 8.0
"""VV* and VH* maps show -8 to +8 dB: wet snow reaches -7, fresh deposits +7."""


def hillshade_map(elevation: Floats, grid: Grid, note: str = "") -> Figure:
    """The elevation model as coloured hillshade, elevation in metres."""
    heights, small = reduced(elevation, grid)
    figure, axes = _map_figure(small)
    image = _show(axes, heights, small, SEQUENTIAL, (float(np.nanmin(heights)), float(np.nanmax(heights))))
    axes.imshow(
        hillshade(heights, small.resolution), cmap="gray", extent=extent(small), alpha=0.55, vmin=0, vmax=1
    )
    low, high = np.nanmin(elevation), np.nanmax(elevation)
    title(axes, "Elevation model", f"{low:,.0f} to {high:,.0f} m, {grid.resolution:g} m pixels, {grid.crs}")
    colourbar(figure, image, axes, "elevation (m)", "neither")
    return _finish(figure, axes, small, note)


def slope_map(slope_deg: Floats, grid: Grid, note: str = "") -> Figure:
    """Slope in degrees, 0 to 60."""
    values, small = reduced(slope_deg, grid)
    figure, axes = _map_figure(small)
    image = _show(axes, values, small, SEQUENTIAL, (0, 60))
    steep = 100 * float(np.mean(slope_deg[np.isfinite(slope_deg)] >= 30))
    title(axes, "Slope", f"{steep:.0f} % of the area is 30° or steeper, where slab avalanches release")
    colourbar(figure, image, axes, "slope (degrees)", "max")
    return _finish(figure, axes, small, note)


def sigma0_map(sigma0: BandSummary, polarisation: str, note: str = "") -> Figure:
    """Backscatter of one polarisation; `sigma0` is of linear power, drawn in dB.

    Power is averaged before the logarithm, as multi-looking does; values that are not positive have none.
    """
    power, small = sigma0.means, sigma0.grid
    decibel = np.full(power.shape, np.nan)
    np.log10(power, out=decibel, where=power > 0)
    decibel *= 10
    figure, axes = _map_figure(small)
    limits = (-20, 0) if polarisation == "VV" else (-27, -7)
    image = _show(axes, decibel, small, "gray", limits)
    title(axes, f"Backscatter {polarisation}", _coverage(sigma0))
    colourbar(figure, image, axes, f"sigma0 {polarisation} (dB)", "both")
    return _finish(figure, axes, small, note)


def star_map(star_db: BandSummary, polarisation: str, note: str = "") -> Figure:
    """VV* or VH*: backscatter over the snow-free reference in dB, red brighter and blue darker."""
    small = star_db.grid
    figure, axes = _map_figure(small)
    image = _show(axes, star_db.means, small, DIVERGING, (-STAR_LIMIT_DB, STAR_LIMIT_DB))
    middle = f"median {star_db.median:+.1f} dB, " if star_db.filled else ""
    title(axes, f"{polarisation}*: change against snow-free ground", middle + _coverage(star_db))
    colourbar(figure, image, axes, f"{polarisation}* (dB)", "both")
    return _finish(figure, axes, small, note)


def corridors_map(elevation: Floats, grid: Grid, corridors: gpd.GeoDataFrame, note: str = "") -> Figure:
    """Corridors and their deposit points on the hillshade.

    Args:
        elevation: Elevation model on `grid`, metres.
        grid: The analysis grid.
        corridors: `tables.CORRIDORS` with polygons on the grid's coordinate system.
        note: Footer.
    """
    heights, small = reduced(elevation, grid)
    figure, axes = _map_figure(small)
    _show(axes, 0.35 + 0.65 * hillshade(heights, small.resolution), small, "gray", (0, 1))
    corridors.plot(ax=axes, facecolor=f"{BLUE}40", edgecolor=BLUE, linewidth=0.6)
    axes.scatter(corridors["deposit_x"], corridors["deposit_y"], s=5, color=VERMILION, linewidths=0)
    massifs = corridors["massif_id"].nunique()
    title(axes, "Corridors", f"{len(corridors):,} corridors in {massifs} massifs; dots: deposit points")
    return _finish(figure, axes, small, note)


def incidence_map(incidence_deg: Floats, visible: Floats, grid: Grid, note: str = "") -> Figure:
    """Local incidence in degrees where visible; layover and shadow stay light grey.

    Args:
        incidence_deg: Angle between look direction and surface normal.
        visible: True or 1 where neither layover nor shadow nor outside the swath.
        grid: Where the pixels lie.
        note: Footer.
    """
    seen = np.asarray(visible, bool)
    values, small = reduced(np.where(seen, incidence_deg, np.nan), grid)
    figure, axes = _map_figure(small)
    image = _show(axes, values, small, SEQUENTIAL, (0, 90))
    title(axes, "Local incidence", f"{100 * seen.mean():.0f} % of the area visible; grey: layover, shadow")
    colourbar(figure, image, axes, "local incidence (degrees)", "neither")
    return _finish(figure, axes, small, note)


def _map_figure(grid: Grid) -> tuple[Figure, Axes]:
    height = np.clip(MAP_WIDTH_IN * 0.85 * grid.height / grid.width + 0.9, 3.0, 8.0)
    figure, (axes,) = new_figure(MAP_WIDTH_IN, float(height))
    return figure, axes


def _show(axes: Axes, values: Floats, grid: Grid, colours: str, limits: tuple[float, float]) -> AxesImage:
    axes.set_facecolor(NO_VALUE)
    return axes.imshow(
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=extent(grid),
        interpolation="antialiased",
    )


def _coverage(band: BandSummary) -> str:
    return f"{100 * band.filled:.0f} % of the grid has a value; grey: none computed"


def _finish(figure: Figure, axes: Axes, grid: Grid, note: str) -> Figure:
    map_axes(axes, grid)
    footer(figure, note)
    return figure

"""The bulletin's map: hillshade, massifs, corridors, detections by quality, areas that could not be seen.

Colour, shape and size of a detection's symbol all carry its quality, and a full symbol is a new detection,
one with a hole a persisting one, so that the map reads in grey and with any colour vision. All have dark
edges, which no relief swallows.
"""

from typing import Any

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from avalanche_assets.detection.geopackage import (
    DETECTED_STATUS,
    NOT_OBSERVABLE_STATUS,
    QUIET_STATUS,
    corridor_status,
)
from avalanche_assets.detection.palette import NOT_OBSERVABLE, QUALITY, QUIET
from avalanche_assets.grid import Grid
from avalanche_assets.reporting.language import Language
from avalanche_assets.reporting.style import (
    ENGLISH,
    INK,
    MUTED,
    PAPER,
    Floats,
    extent,
    hillshade,
    map_axes,
    reduced,
    title,
)

MARKERS = {"A": ("o", 60), "B": ("s", 42), "C": ("D", 28)}
"""Marker and area in points squared of every quality class."""

HOLE = 0.2
"""Radius of the hole of a persisting detection's symbol; the symbol's is 0.5."""
MAP_PX = 1400
MAP_WIDTH_IN, MAP_HEIGHT_IN = 8.8, 11.0
SIDE_IN, TOP_IN, BOTTOM_IN = 0.15, 0.6, 1.2


def bulletin_map(
    detections: gpd.GeoDataFrame,
    elevation: Floats,
    grid: Grid,
    heading: str,
    subtitle: str,
    note: str,
    massifs: gpd.GeoDataFrame | None = None,
    language: Language = ENGLISH,
) -> Figure:
    """Draws one date's detections.

    Args:
        detections: `tables.DETECTIONS` with `geometry` and `corridor_geometry`.
        elevation: Elevation model on `grid`, metres.
        grid: The analysis grid.
        heading: Title, e.g. the date.
        subtitle: Line below the title, e.g. the counts.
        note: Footer with orbit and date window.
        massifs: Polygons with a column `massif`, drawn as outlines with their names.
        language: Of the legend.
    """
    heights, small = reduced(elevation, grid, MAP_PX)
    figure, axes = _canvas(grid)
    shade = hillshade(heights, small.resolution)
    axes.imshow(
        0.35 + 0.65 * shade, cmap="gray", vmin=0, vmax=1, extent=extent(small), interpolation="antialiased"
    )
    _corridors(axes, detections)
    if massifs is not None:
        _massifs(axes, massifs, grid)
    _detections(axes, detections)
    map_axes(axes, grid)
    title(axes, heading, subtitle)
    _legend(figure, detections, language)
    figure.text(SIDE_IN / figure.get_figwidth(), 0.1 / figure.get_figheight(), note, fontsize=8, color=MUTED)
    return figure


def _canvas(grid: Grid) -> tuple[Figure, Axes]:
    """A figure whose map fills the width, with room for the title above and the legend below."""
    ratio = grid.height / grid.width
    width = min(MAP_WIDTH_IN, MAP_HEIGHT_IN / ratio)
    total_width, total_height = width + 2 * SIDE_IN, width * ratio + TOP_IN + BOTTOM_IN
    figure = Figure(figsize=(total_width, total_height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            SIDE_IN / total_width,
            BOTTOM_IN / total_height,
            width / total_width,
            width * ratio / total_height,
        )
    )
    return figure, axes


def _corridors(axes: Axes, detections: gpd.GeoDataFrame) -> None:
    status = corridor_status(detections)
    polygons = gpd.GeoSeries(detections["corridor_geometry"], crs=detections.crs)
    hidden = polygons[status == NOT_OBSERVABLE_STATUS]
    if len(hidden):
        hidden.plot(ax=axes, facecolor="#ffffff80", edgecolor=NOT_OBSERVABLE, hatch="/////", linewidth=0.6)
    for name, colour, width in ((QUIET_STATUS, QUIET, 0.7), (DETECTED_STATUS, INK, 1.0)):
        chosen = polygons[status == name]
        if len(chosen):
            chosen.plot(ax=axes, facecolor="none", edgecolor=colour, linewidth=width)


def _massifs(axes: Axes, massifs: gpd.GeoDataFrame, grid: Grid) -> None:
    west, south, east, north = grid.bounds
    shown = massifs.to_crs(grid.crs).clip((west, south, east, north))
    # One line where two massifs touch: drawn twice, the dashes of one fill the gaps of the other.
    lines = gpd.GeoSeries([shown.boundary.union_all()], crs=grid.crs)
    lines.plot(ax=axes, color=INK, linewidth=0.9, linestyle=(0, (6, 3)))
    for row in shown.itertuples():
        place = row.geometry.representative_point()
        axes.text(
            place.x, place.y, row.massif.upper(), ha="center", fontsize=8, color=INK, alpha=0.85,
            bbox={"facecolor": PAPER, "alpha": 0.5, "lw": 0, "pad": 1.5},
        )  # fmt: skip


def _detections(axes: Axes, detections: gpd.GeoDataFrame) -> None:
    found = detections[detections["is_detection"].to_numpy(bool)]
    places = gpd.GeoSeries.from_xy(found["longitude"], found["latitude"], crs="EPSG:4326").to_crs(found.crs)
    for quality in ("C", "B", "A"):
        chosen = found[found["quality"] == quality]
        if chosen.empty:
            continue
        outlined = chosen[~chosen.geometry.is_empty]
        if len(outlined):  # what was added by hand may have no outline
            outlined.plot(ax=axes, facecolor=QUALITY[quality], edgecolor=INK, lw=0.5, alpha=0.9, zorder=5)
        marker, area = MARKERS[quality]
        for state in ("persisting", "new"):
            points = places[chosen.index[chosen["new_or_persisting"] == state]]
            style: dict[str, Any] = {
                "facecolors": QUALITY[quality],
                "edgecolors": INK,
                "linewidths": 0.9,
                "zorder": 6,
            }
            shape, size = (marker, area) if state == "new" else _with_hole(marker, area)
            axes.scatter(points.x, points.y, s=size, marker=shape, **style)


def _with_hole(marker: str, area: float) -> tuple[Path, float]:
    """The marker's outline with a round hole, and the area that makes it as large as the full one."""
    style = MarkerStyle(marker)
    full = style.get_path().transformed(style.get_transform())
    # The other way round, so that what is inside both is not filled.
    hole = Path.unit_circle().transformed(Affine2D().scale(-HOLE, HOLE))
    reach = float(np.abs(full.vertices).max())
    # Markers of one's own are drawn half a unit wide each way, whatever their outline.
    return Path.make_compound_path(full, hole), area * (2 * reach) ** 2


def _legend(figure: Figure, detections: gpd.GeoDataFrame, language: Language) -> None:
    found = detections[detections["is_detection"].to_numpy(bool)]
    handles: list[Any] = []
    labels = []
    for quality, (marker, area) in MARKERS.items():
        common: dict[str, Any] = {"marker": marker, "ls": "", "ms": area**0.5}
        new = Line2D([], [], mfc=QUALITY[quality], mec=INK, mew=0.9, **common)
        shape, size = _with_hole(marker, area)
        seen = {"marker": shape, "ls": "", "ms": size**0.5}
        handles.append((new, Line2D([], [], mfc=QUALITY[quality], mec=INK, mew=0.9, **seen)))
        count = int((found["quality"] == quality).sum())
        labels.append(
            language.say("Quality {quality}, new | persisting ({count})", quality=quality, count=count)
        )
    status = corridor_status(detections)
    for name, text, patch in (
        (DETECTED_STATUS, language.say("Corridor with a detection"), Patch(fc="none", ec=INK, lw=1.0)),
        (QUIET_STATUS, language.say("Corridor seen, nothing detected"), Patch(fc="none", ec=QUIET, lw=1.0)),
        (
            NOT_OBSERVABLE_STATUS,
            language.say("Corridor not observable"),
            Patch(fc=PAPER, ec=NOT_OBSERVABLE, hatch="/////", lw=0.6),
        ),
    ):
        handles.append(patch)
        labels.append(f"{text} ({language.number((status == name).sum())})")
    figure.legend(
        handles=handles,
        labels=labels,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)},
        handlelength=3.2,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.28 / figure.get_figheight()),
        fontsize=8.5,
        labelcolor=INK,
        frameon=False,
        labelspacing=0.7,
        columnspacing=3,
    )

"""How every picture looks: sizes, colours, hillshade, scale bar, north arrow, footer, PNG.

Figures are built from `matplotlib.figure.Figure` directly, never through pyplot: no global state, so that
several assets can draw at the same time, and no window system.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Polygon as PolygonPatch
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.grid import Grid
from avalanche_assets.reporting.language import Language, marked

Floats = NDArray[np.floating]

INK, MUTED, PAPER, NO_VALUE = "#1b2733", "#5b6770", "#ffffff", "#dfe3e6"
BLUE, ORANGE, VERMILION = "#0072b2", "#e69f00", "#d55e00"
"""Okabe & Ito's colours for lines and bars."""

SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"
"""Both colour maps stay readable with every common colour deficiency."""

SIMULATED_MARK = marked("SIMULATED DATA")
ENGLISH = Language("en")


def new_figure(width_in: float, height_in: float, rows: int = 1, cols: int = 1) -> tuple[Figure, list[Axes]]:
    """A white figure with `rows` x `cols` axes (row by row) that keeps its texts inside."""
    figure = Figure(figsize=(width_in, height_in), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, cols, squeeze=False)
    return figure, list(axes.flat)


def title(axes: Axes, text: str, subtitle: str = "") -> None:
    """Title at the upper left and a smaller line below it."""
    axes.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK, pad=20 if subtitle else 6)
    if subtitle:
        axes.annotate(
            subtitle,
            (0, 1),
            xytext=(0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )


def footer(figure: Figure, text: str) -> None:
    """A small line along the lower edge: orbit, dates, and the mark of simulated data."""
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=MUTED)


def footer_text(
    relative_orbit: int,
    direction: str,
    current: Acquisition | None = None,
    previous: Acquisition | None = None,
    *,
    simulated: bool = False,
    language: Language = ENGLISH,
) -> str:
    """The line for `footer`: orbit, date window in UTC, and whether the data are simulated."""
    directions = {"DESCENDING": language.say("descending"), "ASCENDING": language.say("ascending")}
    parts = [
        language.say(
            "Sentinel-1 orbit {orbit}, {direction}", orbit=relative_orbit, direction=directions[direction]
        )
    ]
    if current and previous:
        days = language.say_n("{n} day", "{n} days", (current.date - previous.date).days)
        window = language.instant(previous.overpass), language.instant(current.overpass)
        parts.append(language.say("{start} to {end} ({days})", start=window[0], end=window[1], days=days))
    elif current:
        parts.append(language.instant(current.overpass))
    if simulated:
        parts.append(language.say(SIMULATED_MARK))
    return "  ·  ".join(parts)


def hillshade(elevation: Floats, resolution: float) -> Floats:
    """Shade 0 (dark) to 1 of a north-up elevation model lit from the north-west at 45 degrees."""
    filled = np.where(np.isfinite(elevation), elevation, np.nanmin(elevation))
    light = LightSource(azdeg=315, altdeg=45)
    shade: Floats = light.hillshade(filled, vert_exag=1.0, dx=resolution, dy=resolution)
    return shade


def reduced(values: Floats, grid: Grid, max_px: int = 900) -> tuple[Floats, Grid]:
    """Block means (NaN ignored) so that the longer side has at most `max_px` pixels, and their grid.

    Rows and columns that do not fill a last block are dropped.
    """
    step = math.ceil(max(values.shape) / max_px)
    if step == 1:
        return values, grid
    rows, cols = values.shape[0] // step, values.shape[1] // step
    blocks = values[: rows * step, : cols * step].reshape(rows, step, cols, step)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    means = np.divide(total, count, out=np.full((rows, cols), np.nan), where=count > 0)
    return means, Grid(grid.crs, grid.resolution * step, grid.west, grid.north, rows, cols)


def map_axes(axes: Axes, grid: Grid) -> None:
    """Turns axes into a map of `grid`: equal scale, no ticks, scale bar and north arrow."""
    west, south, east, north = grid.bounds
    axes.set(
        xlim=(west, east), ylim=(south, north), aspect="equal", xticks=[], yticks=[], xlabel="", ylabel=""
    )
    for spine in axes.spines.values():
        spine.set(color=MUTED, linewidth=0.6)
    scale_bar(axes)
    north_arrow(axes)


def extent(grid: Grid) -> tuple[float, float, float, float]:
    """West, east, south, north: the order `imshow` wants."""
    west, south, east, north = grid.bounds
    return west, east, south, north


def _inches(axes: Axes) -> tuple[float, float]:
    """Axes fractions of one inch across and up, as far as known before the layout is made."""
    box = axes.get_window_extent()
    dpi: float = axes.figure.dpi
    return dpi / box.width, dpi / box.height


def scale_bar(axes: Axes) -> None:
    """A scale bar of a round length, about a fifth of the map's width, at the lower left."""
    west, east = axes.get_xlim()
    length = round_length((east - west) / 5)
    share = length / (east - west)
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    across, up = _inches(axes)
    box: dict[str, Any] = {"transform": axes.transAxes, "zorder": 20}
    left, bottom = 0.18 * across, 0.15 * up
    backdrop = (0.09 * across, 0.08 * up), share + 0.18 * across, 0.31 * up
    axes.add_patch(Rectangle(*backdrop, facecolor=PAPER, alpha=0.85, lw=0, **box))
    for start, colour in ((0.0, INK), (0.5, PAPER)):
        half = (left + start * share, bottom), share / 2, 0.05 * up
        axes.add_patch(Rectangle(*half, facecolor=colour, edgecolor=INK, lw=0.6, **box))
    above = (left + share / 2, bottom + 0.07 * up)
    axes.text(*above, label, ha="center", va="bottom", fontsize=7.5, color=INK, **box)


def round_length(length: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `length`."""
    power: float = 10.0 ** math.floor(math.log10(length))
    # 0.5, because the logarithm just below a power of ten may round up to it.
    return max(step * power for step in (0.5, 1, 2, 5) if step * power <= length)


def north_arrow(axes: Axes) -> None:
    """A north arrow at the upper right; grid north is up on every map of the project."""
    across, up = _inches(axes)
    box: dict[str, Any] = {"transform": axes.transAxes, "zorder": 20}
    middle, foot = 1 - 0.24 * across, 1 - 0.5 * up
    backdrop = (1 - 0.39 * across, 1 - 0.57 * up), 0.3 * across, 0.49 * up
    axes.add_patch(Rectangle(*backdrop, facecolor=PAPER, alpha=0.85, lw=0, **box))
    points = [(0.0, 0.25), (-0.08, 0.0), (0.0, 0.06), (0.08, 0.0)]
    tip = [(middle + x * across, foot + y * up) for x, y in points]
    axes.add_patch(PolygonPatch(tip, closed=True, facecolor=INK, lw=0, **box))
    above = (middle, foot + 0.26 * up)
    axes.text(*above, "N", ha="center", va="bottom", fontsize=8, fontweight="bold", color=INK, **box)


def colourbar(figure: Figure, image: AxesImage, axes: Axes | Sequence[Axes], label: str, extend: str) -> None:
    """A slim colour bar labelled with quantity and unit; `extend` as in matplotlib."""
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, pad=0.02, extend=extend)
    bar.set_label(label, fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=7.5, colors=INK, width=0.5)
    bar.outline.set_linewidth(0.5)


def chart_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Axes of a chart: named, light horizontal grid, no box."""
    axes.set_xlabel(xlabel, fontsize=8.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=8.5, color=INK)
    axes.tick_params(labelsize=8, colors=INK, width=0.6)
    axes.grid(axis="y", color=NO_VALUE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=MUTED, linewidth=0.6)


def png(figure: Figure, max_kb: int = 100, dpi: int = 110) -> bytes:
    """The figure as PNG of at most `max_kb` kilobytes.

    Colours are reduced to a palette of 256 when the picture is too large, and then its size, so that a
    thumbnail never bloats the event log that stores it.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return smaller(buffer.getvalue(), max_kb)


def smaller(picture: bytes, max_kb: int) -> bytes:
    """A PNG in at most `max_kb` kilobytes, resampled from `picture` without drawing it again."""
    limit = max_kb * 1024
    if len(picture) <= limit:
        return picture
    drawn = image = Image.open(io.BytesIO(picture)).convert("RGB")
    while (encoded := _with_palette(image)).tell() > limit:
        share = 0.95 * math.sqrt(limit / encoded.tell()) * image.width / drawn.width
        size = round(drawn.width * share), round(drawn.height * share)
        image = drawn.resize(size, Image.Resampling.LANCZOS)
    return encoded.getvalue()


def _with_palette(picture: Image.Image) -> io.BytesIO:
    buffer = io.BytesIO()
    # Maximum coverage keeps rare colours, such as the ends of the colour bar; median cut merges them.
    colours = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    colours.save(buffer, format="png", optimize=True)
    return buffer

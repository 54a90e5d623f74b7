"""Pictures of learning: patch gallery, reconstructions, training curve, score histogram, label counts."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.reporting.style import (
    BLUE,
    DIVERGING,
    INK,
    MUTED,
    NO_VALUE,
    ORANGE,
    SEQUENTIAL,
    VERMILION,
    Floats,
    chart_axes,
    colourbar,
    footer,
    new_figure,
    title,
)

PATCH_LIMIT_DB = 8.0
SHEET_COLUMNS = 6
GALLERY = (
    ("vv_star_old", "VV* before (dB)", DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB)),
    ("vv_star", "VV* now (dB)", DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB)),
    ("dvv", "change dVV (dB)", DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB)),
    ("slope", "slope (degrees)", SEQUENTIAL, (0.0, 60.0)),
)
LABEL_COLOURS = {"positive": VERMILION, "ambiguous": ORANGE, "negative": BLUE, "unobserved": NO_VALUE}
LEGEND = {"fontsize": 8, "frameon": False}


def patch_gallery(
    samples: PatchSamples,
    rows: Sequence[int],
    captions: Sequence[str],
    patch_m: float,
    note: str = "",
    residuals_db: Floats | None = None,
) -> Figure:
    """VV* before and now, their change, and slope of chosen samples, one sample a row.

    Args:
        samples: Where the patches come from; channels vv_star and slope are needed.
        rows: Which samples.
        captions: Text beside each row, e.g. the corridor and its label.
        patch_m: Side of a patch in metres.
        note: Footer.
        residuals_db: What a detector did not expect in each of the rows, (len(rows), 64, 64); a last column.
    """
    chosen = np.asarray(rows)
    columns: list[tuple[Floats, str, str, tuple[float, float]]] = [
        (samples.channel(channel, chosen), label, colours, limits)
        for channel, label, colours, limits in GALLERY
    ]
    if residuals_db is not None:
        columns.append((residuals_db, "residual (dB)", DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB)))
    figure, axes = new_figure(1.9 * len(columns), 1.75 * len(rows) + 0.9, len(rows), len(columns))
    for column, (patches, label, colours, limits) in enumerate(columns):
        below = axes[column :: len(columns)]
        for axis, patch in zip(below, patches, strict=True):
            image = _patch(axis, patch, colours, limits)
        below[0].set_title(label, fontsize=8.5, color=INK)
        figure.colorbar(
            image, ax=below, orientation="horizontal", shrink=0.8, aspect=18, pad=0.01
        ).ax.tick_params(labelsize=7)
    for axis, caption in zip(axes[:: len(columns)], captions, strict=True):
        axis.set_ylabel(caption, fontsize=7.5, color=INK)
    note_scale = f"each patch {patch_m / 1000:g} km wide, north up; cross: deposit point"
    footer(figure, f"{note_scale}\n{note}" if note else note_scale)
    return figure


def patch_sheet(patches_db: Floats, captions: Sequence[str], quantity: str, note: str = "") -> Figure:
    """A contact sheet of one channel's patches, six a row.

    Args:
        patches_db: Patches (n, 64, 64) in dB, at least one; NaN where no value.
        captions: Text above each patch, e.g. the corridor.
        quantity: Name of the channel, e.g. ``VV*``.
        note: Footer.
    """
    columns = min(SHEET_COLUMNS, len(patches_db))
    rows = -(-len(patches_db) // columns)
    figure, axes = new_figure(1.35 * columns + 1.0, 1.5 * rows + 0.4, rows, columns)
    for axis, patch, caption in zip(axes, patches_db, captions, strict=False):
        image = _patch(axis, patch, DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB))
        axis.set_title(caption, fontsize=7, color=INK, pad=2)
    for axis in axes[len(patches_db) :]:
        axis.set_axis_off()
    colourbar(figure, image, axes, f"{quantity} (dB)", "both")
    footer(figure, note)
    return figure


def reconstruction_figure(
    inputs_db: Floats, reconstructions_db: Floats, captions: Sequence[str], quantity: str, note: str = ""
) -> Figure:
    """Input, reconstruction and residual of n patches, one a row.

    Args:
        inputs_db: One channel of the inputs, (n, 64, 64), dB.
        reconstructions_db: What the autoencoder makes of them, same shape and unit.
        captions: Text beside each row.
        quantity: Name of the channel, e.g. ``VV*``.
        note: Footer.
    """
    residuals = inputs_db - reconstructions_db
    columns = (
        (f"input {quantity} (dB)", inputs_db),
        ("reconstruction (dB)", reconstructions_db),
        ("residual (dB)", residuals),
    )
    figure, axes = new_figure(7.0, 1.8 * len(inputs_db) + 0.6, len(inputs_db), 3)
    for column, (label, patches) in enumerate(columns):
        for axis, patch in zip(axes[column::3], patches, strict=True):
            image = _patch(axis, patch, DIVERGING, (-PATCH_LIMIT_DB, PATCH_LIMIT_DB))
        axes[column].set_title(label, fontsize=8.5, color=INK)
    for axis, caption, residual in zip(axes[::3], captions, residuals, strict=True):
        error = float(np.sqrt(np.nanmean(residual**2)))
        axis.set_ylabel(f"{caption}\nRMS {error:.1f} dB", fontsize=7.5, color=INK)
    colourbar(figure, image, axes, "dB", "both")
    footer(figure, note)
    return figure


def training_curve(
    train_loss: Sequence[float],
    validation_loss: Sequence[float],
    best_epoch: int,
    loss_name: str,
    note: str = "",
) -> Figure:
    """Loss per epoch on training and validation dates, the kept epoch (1-based) marked."""
    figure, (axes,) = new_figure(6.0, 3.4)
    epochs = np.arange(1, len(train_loss) + 1)
    axes.plot(epochs, train_loss, color=BLUE, marker="o", ms=3.5, label="training dates")
    axes.plot(epochs, validation_loss, color=VERMILION, marker="s", ms=3.5, label="validation dates")
    axes.axvline(best_epoch, color=MUTED, lw=1, ls=":", label=f"kept: epoch {best_epoch}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    chart_axes(axes, "epoch", loss_name)
    axes.legend(**LEGEND)
    title(axes, "Training", f"best validation loss {min(validation_loss):.4g}")
    footer(figure, note)
    return figure


def score_histogram(
    negatives: NDArray[np.float64],
    positives: NDArray[np.float64],
    thresholds: Mapping[str, float],
    detector: str,
    note: str = "",
) -> Figure:
    """Scores of negative and positive samples with the thresholds, counts on a logarithmic axis."""
    figure, (axes,) = new_figure(6.4, 3.6)
    everything = np.concatenate([negatives, positives])
    everything = everything[np.isfinite(everything)]
    edges = list(np.histogram_bin_edges(everything, bins=50))
    axes.hist(negatives, edges, color=BLUE, alpha=0.45, label=f"negative ({len(negatives):,})")
    axes.hist(
        positives, edges, color=VERMILION, histtype="step", lw=1.8, label=f"positive ({len(positives):,})"
    )
    axes.set_yscale("log")
    styles = ("-", "--", "-.", ":")
    for (name, value), line in zip(thresholds.items(), styles, strict=False):
        axes.axvline(value, color=INK, lw=1.1, ls=line, label=f"{name}: {value:.3g}")
    chart_axes(axes, f"score of {detector}", "samples (log scale)")
    axes.legend(**LEGEND)
    title(axes, f"Scores of {detector}", "vertical lines: thresholds by operating point")
    footer(figure, note)
    return figure


def label_counts(
    dates: Sequence[date], counts: Mapping[str, Sequence[int]], window: str, note: str = ""
) -> Figure:
    """Labels per acquisition date as stacked bars.

    Args:
        dates: Acquisition dates in order.
        counts: Corridors of every state of `tables.LABEL_STATES` on every date.
        window: Label window, ``new`` or ``recent``.
        note: Footer.
    """
    figure, (axes,) = new_figure(max(6.0, 0.32 * len(dates)), 3.6)
    base = np.zeros(len(dates))
    for state, colour in LABEL_COLOURS.items():
        values = np.asarray(counts[state], float)
        axes.bar(
            range(len(dates)), values, 0.75, bottom=base, color=colour, label=state, edgecolor=MUTED, lw=0.3
        )
        base += values
    for index, positive in enumerate(counts["positive"]):
        axes.annotate(
            str(positive), (index, base[index]), xytext=(0, 2), textcoords="offset points",
            ha="center", fontsize=7.5, color=VERMILION, fontweight="bold",
        )  # fmt: skip
    date_ticks(axes, dates)
    chart_axes(axes, "acquisition date", "corridors")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.3), **LEGEND)
    title(axes, f"Labels per date, window “{window}”", "red numbers: positive corridors")
    footer(figure, note)
    return figure


def date_ticks(axes: Axes, dates: Sequence[date]) -> None:
    """Day and month below bars at 0, 1, 2, ..."""
    axes.set_xticks(range(len(dates)), [f"{day:%d %b}" for day in dates], rotation=60, ha="right")


def _patch(axes: Axes, patch: Floats, colours: str, limits: tuple[float, float]) -> AxesImage:
    axes.set(xticks=[], yticks=[], facecolor=NO_VALUE)
    for spine in axes.spines.values():
        spine.set(color=MUTED, linewidth=0.5)
    centre = (patch.shape[1] / 2, patch.shape[0] / 2)
    axes.plot(*centre, marker="+", ms=6, mew=0.7, color=INK)
    return axes.imshow(
        np.ma.masked_invalid(patch), cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )

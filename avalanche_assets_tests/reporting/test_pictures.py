"""Pictures: what they promise about size, geometry and missing values."""

import io

import numpy as np
import pytest
from detection_world import (
    FIRST,
    SECOND,
    acquisition,
    build_world,
    detections_of,
    pass_samples,
    score_table,
)
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from avalanche_assets.grid import Grid
from avalanche_assets.raster_summary import BandSummary
from avalanche_assets.reporting.figures import (
    corridors_map,
    hillshade_map,
    incidence_map,
    sigma0_map,
    slope_map,
    star_map,
)
from avalanche_assets.reporting.learning_figures import (
    label_counts,
    patch_gallery,
    patch_sheet,
    reconstruction_figure,
    score_histogram,
    training_curve,
)
from avalanche_assets.reporting.maps import bulletin_map
from avalanche_assets.reporting.style import footer_text, hillshade, png, reduced, round_length


@pytest.fixture(scope="module")
def world():
    return build_world()


def texts(figure: Figure) -> str:
    found = [item.get_text() for item in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(found)


def maps(world):
    noise = np.random.default_rng(0).normal(0, 2, world.grid.shape).astype(np.float32)
    visible = world.slope < 50
    return {
        "m)": hillshade_map(world.elevation, world.grid, "note"),
        "(degrees)": slope_map(world.slope, world.grid, "note"),
        "sigma0 VV (dB)": sigma0_map(BandSummary.of(10 ** (noise / 10), world.grid), "VV", "note"),
        "VH* (dB)": star_map(BandSummary.of(noise, world.grid), "VH", "note"),
        "local incidence (degrees)": incidence_map(world.slope, visible, world.grid, "note"),
    }


def test_every_map_says_unit_scale_north_and_note(world):
    for unit, figure in maps(world).items():
        shown = texts(figure)
        assert unit in shown
        assert "1 km" in shown
        assert "\nN" in shown
        assert "note" in shown


def test_noisy_map_stays_below_the_limit():
    grid = Grid("EPSG:32632", 20.0, 0.0, 0.0, 1024, 1024)
    noise = np.random.default_rng(0).normal(0, 4, grid.shape).astype(np.float32)
    picture = png(star_map(BandSummary.of(noise, grid), "VV"), max_kb=60)
    assert len(picture) <= 60 * 1024
    assert Image.open(io.BytesIO(picture)).width > 200


def test_map_without_any_value_is_drawn(world):
    nothing = BandSummary.of(np.full(world.grid.shape, np.nan, np.float32), world.grid)
    for figure in (star_map(nothing, "VV"), sigma0_map(nothing, "VV")):
        assert "0 % of the grid has a value" in texts(figure)
        png(figure)


def test_equal_inputs_give_equal_pictures(world):
    first, again = (png(hillshade_map(world.elevation, world.grid)) for _ in range(2))
    assert first == again


def test_slopes_facing_the_light_in_the_north_west_are_brighter():
    east, south = np.meshgrid(np.arange(50.0), np.arange(50.0))
    # The left plane falls to the north-west, the right one to the south-east.
    both = hillshade(np.hstack([10 * (east + south), 10 * (98 - east - south)]), 20.0)
    assert both[25, 25] > both[25, 75]


@given(st.floats(1e-3, 1e7))
def test_scale_bar_length_is_round_and_fits(length):
    found = round_length(length)
    assert found <= length * (1 + 1e-9)
    assert found > length / 2.5 * (1 - 1e-9)
    assert float(f"{found:.1e}"[0]) in (1, 2, 5)


def test_reduction_averages_blocks_and_ignores_missing_values():
    values = np.arange(16.0).reshape(4, 4)
    values[0, 0] = np.nan
    values[2:, 2:] = np.nan
    small, grid = reduced(values, Grid("EPSG:32632", 20.0, 100.0, 200.0, 4, 4), max_px=2)
    np.testing.assert_allclose(small, [[(1 + 4 + 5) / 3, 4.5], [10.5, np.nan]])
    assert (grid.resolution, grid.west, grid.north, grid.shape) == (40.0, 100.0, 200.0, (2, 2))


def test_footer_names_orbit_window_gap_and_simulation():
    text = footer_text(139, "DESCENDING", acquisition(SECOND), acquisition(FIRST), simulated=True)
    for part in ("orbit 139, descending", "28 December 2017, 05:43", "3 January 2018", "6 days", "SIMULATED"):
        assert part in text
    assert "SIMULATED" not in footer_text(139, "DESCENDING", acquisition(SECOND))


def test_bulletin_map_legend_counts_quality_and_status(world):
    detections = detections_of(world, FIRST, {0: 6.0, 5: 7.0}, {2: "layover or shadow"})
    figure = bulletin_map(detections, world.elevation, world.grid, "heading", "subtitle", "note")
    shown = texts(figure)
    for part in (
        "heading",
        "subtitle",
        "note",
        "Quality A, new | persisting (2)",
        "nothing detected (9)",
        "not observable (1)",
    ):
        assert part in shown


def luminance(colour) -> float:
    """Source: WCAG 2.1, relative luminance."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, other) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_symbol_stands_out_from_any_relief(world):
    """Of its two colours, edge and filling, one has the contrast of 3 that WCAG 2.1 wants of graphics."""
    earlier = score_table(world, FIRST, {0: 3.1, 1: 3.1, 5: 9.0}, {})
    found = detections_of(world, SECOND, {0: 3.1, 1: 3.1, 4: 3.1, 5: 9.0}, earlier=earlier)
    found.loc[found["is_detection"], "quality"] = ["C", "B", "C", "C"]
    assert (found["new_or_persisting"] == "persisting").sum() == 3
    figure = bulletin_map(found, world.elevation, world.grid, "heading", "subtitle", "note")
    symbols = [part for part in figure.axes[0].collections if isinstance(part, PathCollection)]
    drawn = [part for part in symbols if len(part.get_offsets())]
    assert len(drawn) == 3  # persisting C, new C, persisting B
    image = figure.axes[0].images[0]
    relief = image.to_rgba(np.nanquantile(np.ma.filled(image.get_array(), np.nan), np.linspace(0, 1, 21)))[
        :, :3
    ]
    for part in drawn:
        (edge,), (filling,) = part.get_edgecolors()[:, :3], part.get_facecolors()[:, :3]
        assert min(max(contrast(edge, grey), contrast(filling, grey)) for grey in relief) >= 3


def test_corridors_map_counts_corridors(world):
    assert "12 corridors" in texts(corridors_map(world.elevation, world.grid, world.corridors))


def test_learning_pictures_stay_below_the_limit_and_name_their_units(world):
    samples = pass_samples(world, FIRST, {0: 6.0})
    stars = samples.channel("vv_star", np.arange(7))
    rng = np.random.default_rng(0)
    figures = {
        "change dVV (dB)": patch_gallery(samples, [0, 1], ["one", "two"], 1280),
        "VV* (dB)": patch_sheet(stars, list("abcdefg"), "VV*"),
        "residual (dB)": reconstruction_figure(stars[:2], stars[:2] * 0.5, ["one", "two"], "VV*"),
        "kept: epoch 2": training_curve([3.0, 2.0, 1.5], [3.1, 2.2, 2.4], 2, "loss"),
        "budget: 2.5": score_histogram(rng.normal(size=99), rng.normal(3, 1, 9), {"budget": 2.5}, "vae"),
        "corridors": label_counts(
            [FIRST, SECOND],
            {"positive": [1, 2], "ambiguous": [0, 1], "negative": [9, 7], "unobserved": [0, 0]},
            "new",
        ),
    }
    for text, figure in figures.items():
        assert text in texts(figure)
        assert len(png(figure)) <= 100 * 1024

"""Share, median and block means of a band, gathered in windows, against numpy on the whole band."""

import numpy as np
import pytest

from avalanche_assets import raster_summary
from avalanche_assets.grid import Grid
from avalanche_assets.raster_summary import BandSummary, RunningSummary
from avalanche_assets.reporting.style import reduced

GRID = Grid("EPSG:32632", 20.0, 300_000.0, 5_000_000.0, 320, 448)


def band(kind: str) -> np.ndarray:
    random = np.random.default_rng(5)
    speckle = random.gamma(4.4, 0.02, GRID.shape)
    values = {"power": speckle, "decibel": random.normal(-0.5, 3, GRID.shape), "dark": speckle - 0.09}[kind]
    values[random.random(GRID.shape) < 0.4] = np.nan
    values[:70, :200] = np.nan
    values[-1, -3:] = np.inf, -np.inf, np.nan
    return values.astype(np.float32)


@pytest.mark.parametrize("kind", ["power", "decibel", "dark"])
@pytest.mark.parametrize("window_px", [64, 100, 1000])
def test_windows_give_what_the_whole_band_gives(monkeypatch, kind, window_px):
    monkeypatch.setattr(raster_summary, "THUMBNAIL_PX", 90)
    values, running = band(kind), RunningSummary(GRID)
    for window in GRID.tiles(window_px):
        if np.isfinite(values[window.slices]).any():
            running.add(window, values[window.slices])
    found, known = running.summary(), values[np.isfinite(values)]
    assert found.filled == known.size / values.size
    # Bins are 1/256 of a value wide; neighbouring values lie closer.
    assert found.median == pytest.approx(np.median(known), rel=1 / 256, abs=1e-5)
    expected, grid = reduced(np.where(np.isfinite(values), values, np.nan), GRID, 90)
    np.testing.assert_allclose(found.means, expected, rtol=1e-6, atol=1e-9)
    assert found.grid == grid


@pytest.mark.parametrize("value", [0.1, -0.1, 0.0])
def test_median_of_equal_values_is_that_value(value):
    found = BandSummary.of(np.full(GRID.shape, value, np.float32), GRID).median
    assert found == pytest.approx(value, rel=1 / 512, abs=1e-38)


def test_band_without_any_value_has_no_median():
    nothing = BandSummary.of(np.full(GRID.shape, np.nan, np.float32), GRID)
    assert nothing.filled == 0.0
    assert np.isnan(nothing.median)
    assert np.isnan(nothing.means).all()

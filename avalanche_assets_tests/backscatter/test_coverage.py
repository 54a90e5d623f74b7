import geopandas as gpd
import numpy as np
import pytest
from pyproj import Transformer
from shapely.geometry import Point

from avalanche_assets.backscatter.coverage import (
    corridor_coverage,
    corridors_beyond_image,
    patch_holes,
)
from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.visibility import Visibility

GRID = Grid("EPSG:32632", 20.0, 300_000.0, 5_000_000.0, 256, 320)


def corridors(places: dict[str, tuple[int, int]]) -> gpd.GeoDataFrame:
    """Corridors with the deposit point in the given row and column."""
    x, y = zip(*(GRID.pixel_centre(*place) for place in places.values()), strict=True)
    return corridors_at(list(places), x, y, 1500.0)


def corridors_at(names, x, y, height):
    return gpd.GeoDataFrame(
        {"corridor_id": names, "deposit_x": x, "deposit_y": y, "deposit_elevation_m": np.float32(height)},
        geometry=[Point(*at).buffer(100) for at in zip(x, y, strict=True)],
        crs=GRID.crs,
    )


def test_shares_are_those_counted_pixel_by_pixel():
    rng = np.random.default_rng(1)
    flags = rng.integers(0, 32, GRID.shape).astype(np.uint8)
    heights = np.where(rng.random(GRID.shape) < 0.1, np.nan, 1500.0).astype(np.float32)
    flags[np.isnan(heights)] = Visibility.OUTSIDE
    places = {f"c{i}": (int(r), int(c)) for i, (r, c) in enumerate(rng.integers(32, 224, (20, 2)))}
    coverage = corridor_coverage(corridors(places), GRID, flags, heights)
    for index, (row, col) in enumerate(places.values()):
        window = np.s_[row - 32 : row + 32, col - 32 : col + 32]
        no_height = np.isnan(heights[window])
        seen = (flags[window] & (Visibility.OUTSIDE | Visibility.BORDER | Visibility.SHADOW)) == 0
        assert coverage.covered[index] == (seen & ~no_height).sum() / 4096
        assert coverage.without_height[index] == no_height.sum() / 4096


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_corridors_are_fully_partly_or_not_covered(dtype):
    flags = np.zeros(GRID.shape, dtype)
    # Layover, shadow and noise-limited pixels have been imaged.
    flags[:, :40] = Visibility.LAYOVER | Visibility.NOISE_LIMITED
    flags[:, 100] = Visibility.BORDER
    flags[:, 160:] = Visibility.OUTSIDE
    places = {
        "whole": (60, 35),
        "edge": (60, 100),
        "gone": (100, 200),
        "touched": (60, 191),
        "last": (60, 192),
    }
    coverage = corridor_coverage(corridors(places), GRID, flags)
    assert coverage.covered == pytest.approx([1, 63 / 64, 0, 1 / 64, 0])
    assert coverage.fully.tolist() == [True, False, False, False, False]
    assert coverage.partly.tolist() == [False, True, False, True, False]
    assert coverage.not_covered.tolist() == [False, False, True, False, True]
    assert coverage.summary() == {
        "corridors fully covered": 1,
        "corridors partly covered": 2,
        "corridors not covered": 2,
        "partly covered": "edge, touched",
        "not covered": "gone, last",
    }


def test_values_that_a_raster_lacks_are_not_covered():
    flags = np.full(GRID.shape, np.nan, np.float32)
    assert corridor_coverage(corridors({"a": (60, 60)}), GRID, flags).not_covered.all()


def test_window_beyond_the_grid_is_covered_as_far_as_the_grid_goes():
    coverage = corridor_coverage(corridors({"corner": (0, 319)}), GRID, np.zeros(GRID.shape, np.uint8))
    assert coverage.covered == pytest.approx([32 * 33 / 4096])


def test_corridor_on_a_hole_is_named_with_the_remedy_and_counts_as_covered_elsewhere():
    flags, heights = np.zeros(GRID.shape, np.uint8), np.full(GRID.shape, 1500.0, np.float32)
    heights[60:64, 60:64] = np.nan
    flags[60:64, 60:64] = Visibility.OUTSIDE
    heights[150:250, 150:250] = np.nan
    flags[150:250, 150:250] = Visibility.OUTSIDE
    frame = corridors({"good": (60, 200), "pierced": (60, 60), "void": (200, 200)})
    coverage = corridor_coverage(frame, GRID, flags, heights)
    assert coverage.fully.tolist() == [True, True, False]
    assert coverage.not_covered.tolist() == [False, False, True]
    assert patch_holes(frame, GRID, heights, "dem.tif") == f"dem.tif: {coverage.summary()['elevation model']}"
    message = str(coverage.summary()["elevation model"])
    assert message.startswith("holes in the patches of 2 corridors, up to 100% of a patch: pierced, void; ")
    assert "fill the voids of terrain.dem" in message
    assert patch_holes(frame.iloc[:1], GRID, heights, "dem.tif") == ""


def test_no_corridors_are_no_coverage():
    frame = corridors({"a": (60, 60)}).iloc[:0]
    coverage = corridor_coverage(frame, GRID, np.zeros(GRID.shape, np.uint8))
    assert coverage.covered.size == 0
    assert coverage.summary()["corridors fully covered"] == 0


def test_long_lists_are_counted_and_cut_short():
    frame = corridors({f"c{i}": (60, 60) for i in range(13)})
    flags = np.full(GRID.shape, int(Visibility.OUTSIDE), np.uint8)
    said = str(corridor_coverage(frame, GRID, flags).summary()["not covered"])
    assert said.endswith("c9 and 3 more")


# The ends of the image


class Image:
    """Two slices of 25 s over a pass of the simulation: what the question needs of a stack."""

    def __init__(self, direction: str) -> None:
        from types import SimpleNamespace

        from avalanche_assets.simulation.track import SyntheticTrack

        self.orbit = SyntheticTrack.over(6.9, 45.2, 1500.0, full_swath=False).nominal.orbit(
            np.datetime64("2018-01-03T05:43:30", "ns")
        )
        centre = self.ground_time(6.9, 45.2)
        self.shape, interval = (30_000, 25_000), 50 / 30_000
        first = self.orbit.epoch + np.timedelta64(round((centre - 25.0) * 1e9), "ns")
        second = first + np.timedelta64(25, "s")
        self.begin, self.interval = self.orbit.seconds(first), interval
        self.products = tuple(
            SimpleNamespace(
                direction=direction,
                annotation=SimpleNamespace(
                    image=SimpleNamespace(first_line=start, lines=15_000, line_interval_s=interval)
                ),
            )
            for start in (first, second)
        )

    def ground_time(self, lon, lat):
        from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler

        return float(zero_doppler(self.orbit, geodetic_to_ecef([lon], [lat], [1500.0]))[0][0])

    def line_sample(self, time, slant_range, orbit):
        return (time - self.begin) / self.interval, (slant_range - 800e3) / 7.0


@pytest.mark.parametrize(("direction", "ends"), [("DESCENDING", "ns"), ("ASCENDING", "sn")])
def test_missing_slices_are_named_by_end(direction, ends):
    image = Image(direction)
    # The track flies 6.6 km/s over ground: 40 s are 265 km, 2.4 degrees of latitude.
    lon = np.array([6.9, 6.9, 6.2, 6.9, 10.9])
    lat = np.array([45.2, 47.5, 42.4, 47.1, 45.2])
    x, y = Transformer.from_crs("EPSG:4326", GRID.crs, always_xy=True).transform(lon, lat)
    frame = corridors_at(["in", "far", "late", "early", "side"], x, y, 1500.0)
    beyond = corridors_beyond_image(frame, GRID, image, image.orbit)
    assert beyond.before.tolist() == ["far", "early"]
    assert beyond.after.tolist() == ["late"]
    assert beyond.beside.tolist() == ["side"]
    earliest = image.ground_time(6.9, 47.5)
    assert beyond.seconds_before == pytest.approx(image.begin - earliest, abs=1e-6)
    assert 0 < beyond.seconds_before < 25
    end = image.begin + 29_999 * image.interval
    assert beyond.seconds_after == pytest.approx(image.ground_time(6.2, 42.4) - end, abs=1e-6)
    said = beyond.summary()
    words = {"n": "north", "s": "south"}
    assert (
        f"at the {words[ends[0]]} end, for 2 corridors: far, early"
        in said["missing before the first product"]
    )
    assert f"at the {words[ends[1]]} end, for 1 corridor: late" in said["missing after the last product"]
    assert said["beside the swath"].startswith("1 corridor: side")


def test_nothing_is_said_when_all_corridors_are_on_the_image():
    image = Image("DESCENDING")
    x, y = Transformer.from_crs("EPSG:4326", GRID.crs, always_xy=True).transform([6.9], [45.2])
    beyond = corridors_beyond_image(corridors_at(["in"], x, y, np.nan), GRID, image, image.orbit)
    assert beyond.summary() == {}
    assert (beyond.seconds_before, beyond.seconds_after) == (0.0, 0.0)

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from scipy import ndimage
from simulation_world import DRY, GRID, flat_world, two_slices, uniform_surface, view, world

from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.simulation.avalanches import Deposit
from avalanche_assets.simulation.backscatter_model import LEVELS_DB, build_ground, surface_at
from avalanche_assets.simulation.landscape import LandCover, Landscape
from avalanche_assets.simulation.radiometry import BURST_CYCLE_S, synthetic_radiometry
from avalanche_assets.simulation.rendering import render
from avalanche_assets.simulation.scene import BOOST_STEP_DB, Surface, received_power
from avalanche_assets.simulation.speckle import HALO, speckled


@pytest.fixture(scope="module")
def flat():
    return flat_world()


@pytest.fixture(scope="module")
def ridge():
    """A straight ridge along the orbit, 500 m high, its sides 32 and 58 degrees steep."""
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    # The radar looks from 14 degrees south of east.
    across = 20.0 * ((cols - 96) * np.cos(np.radians(14)) + (rows - 96) * np.sin(np.radians(14)))
    east = 500.0 - across * np.tan(np.radians(58.0))
    west = 500.0 + across * np.tan(np.radians(58.0))
    return world((1500.0 + np.clip(np.minimum(east, west), 0.0, None)).astype(np.float32))


def inner(covered):
    return ndimage.binary_erosion(covered, iterations=4)


def test_level_ground_returns_exactly_its_sigma0(flat):
    power, covered = received_power(
        flat.facets,
        flat.placement,
        uniform_surface(GRID.shape, 0.08, 0.016),
        flat.geometry,
        0,
        flat.geometry.lines,
    )
    used = inner(covered)
    assert used.sum() > 100_000
    for index, sigma0 in enumerate((0.08, 0.016)):
        values = power[index][used] / sigma0
        assert values.mean() == pytest.approx(1.0, abs=2e-4)
        # Half-pixel parts under a bilinear kernel ripple by less than 2 %, far below speckle (48 %).
        assert np.abs(values - 1.0).max() < 0.02


def test_blocks_of_lines_join_without_a_seam(flat):
    surface = uniform_surface(GRID.shape, 0.08, 0.016)
    lines = flat.geometry.lines
    whole, _ = received_power(flat.facets, flat.placement, surface, flat.geometry, 0, lines)
    parts = [
        received_power(flat.facets, flat.placement, surface, flat.geometry, first, last)[0]
        for first, last in ((0, 150), (150, 151), (151, lines))
    ]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=2e-3, atol=1e-6)


def test_bright_point_lands_where_range_doppler_puts_it(flat):
    surface = uniform_surface(GRID.shape, 0.05, 0.05)
    boost = surface.boost.copy()
    boost[:, 2 * 101, 2 * 70 + 1] = 255  # the north-eastern quarter of cell (101, 70)
    power, _ = received_power(
        flat.facets, flat.placement, Surface(surface.sigma0, boost), flat.geometry, 0, flat.geometry.lines
    )
    quiet, _ = received_power(flat.facets, flat.placement, surface, flat.geometry, 0, flat.geometry.lines)
    extra = (power - quiet)[0]
    found = ndimage.center_of_mass(extra)
    x, y = GRID.pixel_centre(101 - 0.25, 70 + 0.25)
    lon, lat = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(x, y)
    time, slant = zero_doppler(flat.geometry.orbit, geodetic_to_ecef(lon, lat, 1500.0)[None])
    line = (time[0] - flat.geometry.first_time) / flat.geometry.line_interval
    records = flat.geometry.records
    ground = np.array(
        [
            np.polynomial.polynomial.polyval(slant[0] - start, row)
            for start, row in zip(records.slant_start, records.to_ground, strict=True)
        ]
    )
    sample = np.interp(time[0], records.times, ground) / 10.0
    assert found[0] == pytest.approx(line, abs=0.05)
    assert found[1] == pytest.approx(sample, abs=0.05)


def test_shadow_receives_nothing_and_layover_adds_up(ridge):
    surface = uniform_surface(GRID.shape, 0.1, 0.02)
    power, covered = received_power(
        ridge.facets, ridge.placement, surface, ridge.geometry, 0, ridge.geometry.lines
    )
    rows = slice(ridge.geometry.lines // 2 - 40, ridge.geometry.lines // 2 + 40)
    middle = power[0][rows]
    shadow = (middle == 0.0) & inner(covered)[rows]
    # From the near foot (300 m before the crest) to where the crest's ray at 39 degrees meets the ground
    # behind (400 m): 70 samples, less what the bilinear kernel takes at both ends.
    assert 60 <= shadow.sum(axis=1).min() <= shadow.sum(axis=1).max() <= 75
    # The near side is in layover: itself, the foreground and the crest share pixels.
    assert np.percentile(middle.max(axis=1), 10) > 0.3
    lit = ridge.facets.lit
    assert 0.02 < 1.0 - lit.mean() < 0.2


def test_received_power_is_the_cross_section_of_all_lit_facets(ridge):
    sigma0 = 0.1
    power, _ = received_power(
        ridge.facets,
        ridge.placement,
        uniform_surface(GRID.shape, sigma0, 0.02),
        ridge.geometry,
        0,
        ridge.geometry.lines,
    )
    knots = [np.linspace(0.0, size - 1.0, 5) for size in power.shape[1:]]
    area = ridge.geometry.pixel_area(*knots).mean()
    expected = sigma0 * float(ridge.facets.area[ridge.facets.lit].sum(dtype=np.float64))
    # The mean pixel area stands for all: it varies by 0.2 % over the scene.
    assert power[0].sum(dtype=np.float64) * area == pytest.approx(expected, rel=3e-3)


def test_local_incidence_follows_the_slope(ridge, flat):
    assert flat.facets.local_incidence[96, 96] == pytest.approx(39.0, abs=0.1)
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    across = (cols - 96) * np.cos(np.radians(14)) + (rows - 96) * np.sin(np.radians(14))
    facing = (across > 4) & (across < 11) & (np.abs(rows - 96) < 50)
    away = (across < -4) & (across > -11) & (np.abs(rows - 96) < 50)
    # Slope 58 degrees towards the radar: |39 - 58| = 19; away: 39 + 58 = 97.
    assert np.median(ridge.facets.local_incidence[facing]) == pytest.approx(19.0, abs=2.0)
    assert np.median(ridge.facets.local_incidence[away]) == pytest.approx(97.0, abs=2.0)


def test_speckle_has_the_sensors_looks_and_correlation():
    image = speckled(np.full((600 + 2 * HALO, 500), 3.0, np.float32), 5, 0)
    assert image.mean() == pytest.approx(3.0, rel=0.01)
    assert image.mean() ** 2 / image.var() == pytest.approx(4.4, rel=0.03)  # looks of IW GRDH products
    # A kernel of 1/4, 1/2, 1/4 correlates neighbours by 2/3 and pixels four apart not at all.
    assert np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1] == pytest.approx(2 / 3, abs=0.03)
    assert abs(np.corrcoef(image[4:].ravel(), image[:-4].ravel())[0, 1]) < 0.02


def test_speckle_of_a_line_does_not_depend_on_the_block_but_on_the_date():
    field = np.ones((40 + 2 * HALO, 64), np.float32)
    whole = speckled(field, 9, 100)
    np.testing.assert_array_equal(speckled(field[: 10 + 2 * HALO], 9, 120), whole[20:30])
    other = speckled(np.ones((400 + 2 * HALO, 400), np.float32), 10, 0)
    this = speckled(np.ones((400 + 2 * HALO, 400), np.float32), 9, 0)
    assert abs(np.corrcoef(this.ravel(), other.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("day", [datetime(2018, 1, 3, tzinfo=UTC), datetime(2018, 3, 16, tzinfo=UTC)])
def test_digital_numbers_give_back_sigma0_after_denoising(flat, day):
    surface = uniform_surface(GRID.shape, 0.08, 0.004)
    item = two_slices(flat, day.date())[0]
    samples = flat.geometry.samples
    numbers = np.concatenate([block for _, block in render(view(flat, surface), item)], axis=1)
    assert numbers.dtype == np.uint16
    for index, sigma0 in enumerate((0.08, 0.004)):
        noise = item.radiometry.noise_at(index, 0, item.lines, samples)
        gain = item.radiometry.amplitude_at(0, item.lines, samples) ** 2
        power = (numbers[index].astype(np.float64) ** 2 - noise) / gain
        inside = power[20:, 30:-30]
        # 50,000 correlated pixels of 4.4 looks: the mean is good to 0.5 %; noise is as strong as the weak VH.
        assert inside.mean() == pytest.approx(sigma0, rel=0.02)
    nesz_db = 10 * np.log10(noise / gain)
    assert -30.5 < nesz_db.min() < nesz_db.max() < -22.5


def test_noise_rises_towards_the_ends_of_each_burst_in_the_new_format_only(flat):
    lines = int(2 * BURST_CYCLE_S / flat.geometry.line_interval)
    new, old = (synthetic_radiometry(flat.geometry, 0, lines, old_format) for old_format in (False, True))
    for swath in new.swaths:
        # Two whole bursts, given every tenth line: middle and end are met within half a percent of a burst.
        assert swath.factors.min() == pytest.approx(1.0, abs=1e-3)
        assert swath.factors.max() == pytest.approx(1.06, abs=2e-3)
    assert all((swath.factors == 1.0).all() for swath in old.swaths)


def test_border_is_faint_noise_in_the_old_format_and_zero_in_the_new(flat):
    surface = uniform_surface(GRID.shape, 0.08, 0.016)
    rims = {}
    for name, day in (("old", datetime(2018, 3, 10)), ("new", datetime(2018, 3, 16))):
        item = two_slices(flat, day.date())[0]
        _, numbers = next(render(view(flat, surface), item))
        rims[name] = np.concatenate([numbers[0, 40:, :24].ravel(), numbers[0, :16].ravel()])
        assert numbers[0, 40:, 40:-40].min() > 0
    assert rims["new"].max() == 0
    assert 0 < rims["old"].mean() < 12
    assert rims["old"].max() < 15


def landscape(cover=LandCover.MEADOW):
    return Landscape(GRID, np.full(GRID.shape, 1500.0, np.float32), np.full(GRID.shape, cover, np.uint8))


def deposit(outline, dvv_db=6.0, **changes):
    base = Deposit(
        deposit_id="A00001",
        corridor_id="",
        instant=datetime(2018, 1, 2, tzinfo=UTC),
        outline=outline,
        dvv_db=dvv_db,
        dvh_db=5.0,
        decay_days=15.0,
        wet=False,
        melts=None,
        recorded=False,
        date_min=None,
        date_max=None,
        departure_elevation_m=2000.0,
        arrival_elevation_m=1500.0,
        length_m=100.0,
        width_m=50.0,
        size="D2",
    )
    return replace(base, **changes)


def test_ground_keeps_its_texture_and_weather_shifts_it():
    angles = np.full(GRID.shape, 40.0, np.float32)
    ground = build_ground(landscape(), angles, [], 139)
    first, again = surface_at(ground, DRY, 1), surface_at(ground, DRY, 2)
    drifted = surface_at(ground, replace(DRY, drift_vv_db=2.0, drift_vh_db=1.0), 1)
    first_db = 10 * np.log10(first.sigma0)
    assert first_db[0].mean() == pytest.approx(LEVELS_DB[LandCover.MEADOW][0], abs=0.3)
    assert first_db[1].mean() == pytest.approx(LEVELS_DB[LandCover.MEADOW][1], abs=0.3)
    assert first_db[0].std() > 1.0
    assert np.std(first_db[0] - 10 * np.log10(again.sigma0[0])) < 0.8
    shift = 10 * np.log10(drifted.sigma0) - first_db
    np.testing.assert_allclose(shift[0], 2.0, atol=1e-3)
    np.testing.assert_allclose(shift[1], 1.0, atol=1e-3)


def test_wet_snow_darkens_below_its_line_only():
    elevation = np.linspace(800.0, 3000.0, GRID.height, dtype=np.float32)[:, None].repeat(GRID.width, 1)
    land = Landscape(GRID, elevation, np.full(GRID.shape, LandCover.MEADOW, np.uint8))
    ground = build_ground(land, np.full(GRID.shape, 40.0, np.float32), [], 139)
    wet = replace(DRY, wet_snow_line_m=1900.0)
    change = 10 * np.log10(surface_at(ground, wet, 1).sigma0 / surface_at(ground, DRY, 1).sigma0)
    assert change[0][elevation < 1500.0].mean() == pytest.approx(-4.0, abs=0.3)
    assert np.abs(change[0][elevation > 2400.0]).max() < 0.2


def test_deposit_brightens_its_share_of_each_subcell_and_decays():
    x, y = GRID.west + 1000.0, GRID.north - 1000.0
    # 35 m wide: three whole sub-cells of 10 m and half of a fourth.
    outline = shapely.box(x, y - 100.0, x + 35.0, y)
    ground = build_ground(landscape(), np.full(GRID.shape, 45.0, np.float32), [deposit(outline)], 139)
    boost_db = surface_at(ground, DRY, 1).boost * BOOST_STEP_DB
    age = (DRY.overpass - datetime(2018, 1, 2, tzinfo=UTC)).total_seconds() / 86400.0
    fresh = 6.0 * np.exp(-age / 15.0)
    row = boost_db[0, 2 * 50 + 4, 2 * 50 : 2 * 50 + 6]
    # Stored in steps of 0.1 dB.
    np.testing.assert_allclose(row[:3], fresh, atol=0.06)
    half = 10 * np.log10(1 + 0.5 * (10 ** (fresh / 10) - 1))
    assert row[3] == pytest.approx(half, abs=0.06)
    assert row[4] == 0.0
    before = replace(DRY, overpass=datetime(2018, 1, 1, 5, 43, 30, tzinfo=UTC))
    assert surface_at(ground, before, 1).boost.max() == 0


def test_deposit_seen_at_steep_incidence_is_faint():
    outline = shapely.box(GRID.west + 1000, GRID.north - 1100, GRID.west + 1100, GRID.north - 1000)
    strengths = []
    for angle in (12.0, 45.0):
        ground = build_ground(landscape(), np.full(GRID.shape, angle, np.float32), [deposit(outline)], 139)
        strengths.append(surface_at(ground, DRY, 1).boost.max())
    assert strengths[0] < 0.4 * strengths[1]

"""Terrain flattening against closed forms, a simulated image and another implementation."""

import numpy as np
import pytest
import tiny_safe
from pyproj import Transformer
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter
from tiny_terrain import FLAT, GRID, INNER, ORBIT, plane, ridge

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.calibration import parse_calibration
from avalanche_assets.sentinel1.flattening import AZIMUTH_BIN_M, BAND_BINS, RANGE_BIN_M
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.sentinel1.visibility import Visibility
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain.dem import prepare_dem

REAL_ORBIT = "safe/S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip"
REAL_DEM = "dem_davos_srtm1_wgs84.tif"


def test_flat_ground_gets_sigma0_over_the_cosine_of_the_incidence():
    track = track_geometry(ORBIT, FLAT, GRID)
    expected = 1 / np.cos(np.radians(track.incidence_deg))
    # To the last cell: the ground beyond the edge is missing in the bins, not taken for shadow.
    np.testing.assert_allclose(track.flattening, expected, rtol=0.01)


@pytest.mark.parametrize(
    ("outward_deg", "sideways_deg"), [(15, 0), (30, 0), (-20, 0), (-40, 0), (0, 20), (15, 25), (-25, -30)]
)
def test_a_plane_gets_the_ratio_of_its_projections(outward_deg, sideways_deg):
    track = track_geometry(ORBIT, plane(outward_deg, sideways_deg), GRID)
    theta = np.radians(track.incidence_deg[INNER])
    normal = np.array([-np.tan(np.radians(outward_deg)), -np.tan(np.radians(sideways_deg)), 1.0])
    across = np.stack([np.cos(theta), 0 * theta, np.sin(theta)], axis=1)  # of the look, in the range plane
    along = np.stack([np.sin(theta), 0 * theta, -np.cos(theta)], axis=1)
    expected = np.abs(across @ normal) / np.abs(along @ normal) / np.sin(theta)
    ratio = track.flattening[INNER] / expected
    assert abs(ratio.mean() - 1) < 0.005
    # Facets sampled a few times a bin leave a ripple.
    assert np.abs(ratio - 1).max() < 0.02


def test_each_sheet_of_layover_adds_its_area():
    track = track_geometry(ORBIT, ridge(600, 400), GRID)  # 56 degrees to both sides: no shadow's edge near
    laid_over = ((track.visibility & Visibility.LAYOVER) > 0) & INNER
    level = track.flattening[INNER & (track.visibility == 0)].max()
    # Level ground, front slope and the far side of the crest share their bins.
    assert np.nanmax(track.flattening[laid_over]) < 0.75 * level


def test_no_gamma0_in_shadow_and_without_height():
    dem = ridge(700, 300)
    dem[:10, :10] = np.nan
    track = track_geometry(ORBIT, dem, GRID)
    hidden = (track.visibility & (Visibility.SHADOW | Visibility.OUTSIDE)) > 0
    assert np.isnan(track.flattening[hidden]).all()
    assert np.isfinite(track.flattening[~hidden]).mean() > 0.99
    assert (track.flattening[np.isfinite(track.flattening)] > 0).all()


RNG = np.random.default_rng(139)
# Tilted towards the radar, so that front slopes lay over and back slopes stay out of shadow.
HILLS = (plane(14) + 700 + 3.5e3 * gaussian_filter(RNG.normal(size=GRID.shape), 9)).astype(np.float32)
PARTS = 6


def uniform_image(dem: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """beta0 of ground with gamma0 = 1 in bins of 20 m and 12 m, and every cell's place (line, sample) in it.

    Each cell is cut into 6 x 6 facets whose corners are located exactly; each throws its area across the look
    direction into the bin of its middle.
    """
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def at(rows, cols):
        height = map_coordinates(dem.astype(float), [rows, cols], order=1, mode="nearest")
        x, y = grid.west + (cols + 0.5) * grid.resolution, grid.north - (rows + 0.5) * grid.resolution
        lon, lat = transformer.transform(x, y)
        points = geodetic_to_ecef(lon, lat, height)
        return points, *zero_doppler(ORBIT, points)

    steps = np.arange(0, grid.height - 1, 1 / PARTS)
    points, time, distance = at(*np.meshgrid(steps, steps, indexing="ij"))
    platform = ORBIT.position(time)
    look = (points - platform) / distance[..., None]
    area = np.cross(points[1:, 1:] - points[:-1, :-1], points[:-1, 1:] - points[1:, :-1]) / 2
    facing = np.maximum(-np.sum(area * look[:-1, :-1], axis=-1), 0.0)
    ground_speed = np.linalg.norm(ORBIT.velocity(60.0)) * 6.371e6 / np.linalg.norm(ORBIT.position(60.0))
    line_s = 20.0 / ground_speed
    origin = time.min(), distance.min()
    middle = (time[1:, 1:] + time[:-1, :-1]) / 2, (distance[1:, 1:] + distance[:-1, :-1]) / 2
    line, sample = (middle[0] - origin[0]) / line_s, (middle[1] - origin[1]) / 12.0
    image, *_ = np.histogram2d(
        line.ravel(),
        sample.ravel(),
        bins=[np.arange(line.max() + 1), np.arange(sample.max() + 1)],
        weights=facing.ravel() / (20.0 * 12.0),
    )
    _, time, distance = at(*np.indices(grid.shape).astype(float))
    return image, (time - origin[0]) / line_s - 0.5, (distance - origin[1]) / 12.0 - 0.5


def test_uniform_ground_becomes_uniform_in_hills_with_layover():
    track = track_geometry(ORBIT, HILLS, GRID)
    image, line, sample = uniform_image(HILLS, GRID)
    assert line.max() < BAND_BINS
    beta0 = map_coordinates(image, [line, sample], order=1)
    sigma0 = beta0 * np.sin(np.radians(track.incidence_deg))
    assert not (track.visibility[INNER] & Visibility.SHADOW).any()
    plain = INNER & (track.visibility == 0)
    assert 0.6 < plain.sum() / INNER.sum() < 0.95  # the rest lies in layover
    before = 10 * np.log10(np.maximum(sigma0, 1e-9))  # no echo on cells at the edge
    after = before + 10 * np.log10(track.flattening)
    assert np.corrcoef(before[plain], track.local_incidence_deg[plain])[0, 1] < -0.85
    assert abs(np.corrcoef(after[plain], track.local_incidence_deg[plain])[0, 1]) < 0.08
    assert abs(np.median(after[INNER])) < 0.05
    # The bins of the two images do not coincide, which shows at the sharp edges of layover.
    assert before[INNER].std() > 4.0
    assert after[INNER].std() < 0.4


def test_bands_of_azimuth_leave_no_seam():
    # 512 bins of 20 m: a grid of 15 km has a seam; it must not show on a plane.
    tall = Grid(GRID.crs, 20.0, GRID.west, GRID.north + 5120, 768, 64)
    track = track_geometry(ORBIT, np.full(tall.shape, 800.0, np.float32), tall)
    expected = 1 / np.cos(np.radians(track.incidence_deg))
    np.testing.assert_allclose(track.flattening, expected, rtol=0.01)


def test_annotated_tables_follow_the_conventions_of_the_factor(real_data):
    name = "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.SAFE.zip"
    product = Product.open(real_data / "safe" / name)
    member = product.archive.find("calibration", "VV")
    content, samples = product.archive.read(member), product.shape[1]
    rows = {}
    for quantity in ("sigma0", "beta0", "gamma0"):
        table = parse_calibration(content, member, quantity, samples)
        rows[quantity] = table.rows(product.shape[0] // 2, 1)[0].astype(float) ** -2.0
    grid = product.annotation.grid
    lines = np.unique(grid.line)
    middle = grid.line == lines[len(lines) // 2]
    sample = grid.sample[middle].astype(int).clip(0, samples - 1)
    theta = np.radians(grid.incidence_deg[middle])
    # The tables are those of one height a block, the grid follows the terrain: 0.2 degrees.
    np.testing.assert_allclose((rows["sigma0"] / rows["beta0"])[sample], np.sin(theta), rtol=0.007)
    np.testing.assert_allclose((rows["sigma0"] / rows["gamma0"])[sample], np.cos(theta), rtol=0.004)


def test_a_same_orbit_ratio_does_not_depend_on_the_convention(tmp_path):
    dn = RNG.integers(200, 900, (60, 80))
    earlier = Product.open(tiny_safe.write_tiny_safe(tmp_path / "earlier", dn))
    later = Product.open(tiny_safe.write_tiny_safe(tmp_path / "later", dn + RNG.integers(0, 400, dn.shape)))
    factor = RNG.uniform(0.05, 20.0, dn.shape).astype(np.float32)

    def ratio_db(quantity, factor=1):
        powers = [product.calibrate("VV", quantity=quantity) * factor for product in (later, earlier)]
        return 10 * np.log10(powers[0] / powers[1])

    expected = ratio_db("sigma0")
    assert expected.std() > 0.5
    # Single precision of two quotients: 1e-7 each, times 4.3 dB.
    for other in (ratio_db("beta0"), ratio_db("gamma0"), ratio_db("sigma0", factor)):
        np.testing.assert_allclose(other, expected, atol=2e-6, rtol=0)


def test_real_terrain_has_the_area_that_sarsen_finds(real_data):
    """Sums of facet areas by sarsen, an independent implementation of Small 2011 (`bench` extra)."""
    apps, orbits, radiometry, scene = (
        pytest.importorskip(f"sarsen.{name}") for name in ("apps", "orbit", "radiometry", "scene")
    )
    xr = pytest.importorskip("xarray")
    pytest.importorskip("rioxarray")  # gives arrays the coordinate system that sarsen asks for
    settings = GridSettings(resolution_m=20, bounds=(567040.0, 5180160.0, 572160.0, 5185280.0))
    grid, dem = prepare_dem(real_data / REAL_DEM, settings, "EGM96")
    orbit = Product.open(real_data / REAL_ORBIT).orbit
    track = track_geometry(orbit, dem, grid)
    ours = 1 / (track.flattening * np.sin(np.radians(track.incidence_deg)))

    easting = grid.west + (np.arange(grid.width) + 0.5) * grid.resolution
    northing = grid.north - (np.arange(grid.height) + 0.5) * grid.resolution
    raster = xr.DataArray(dem[::-1], dims=("y", "x"), coords={"y": northing[::-1], "x": easting})
    instants = orbit.epoch + np.round(orbit.times * 1e9).astype("timedelta64[ns]")
    axes = {"axis": [0, 1, 2], "azimuth_time": instants}
    path = xr.DataArray(orbit.positions.T, dims=("axis", "azimuth_time"), coords=axes)
    image = apps.simulate_acquisition(
        # sarsen puts each cell into the bins as a point; 25 points a cell leave little ripple.
        scene.convert_to_dem_ecef(scene.upsample(raster, x=5, y=5), source_crs=grid.crs),
        orbits.OrbitPolyfitInterpolator.from_position(path),
        {"slant_range_time", "azimuth_time", "gamma_area"},
    )
    ground_radius = 6.3675e6 + float(np.median(dem))
    speed = np.linalg.norm(orbit.velocity(orbit.centre)) * ground_radius
    speed /= np.linalg.norm(orbit.position(orbit.centre))
    area = radiometry.gamma_weights_bilinear(
        image,
        slant_range_time0=float(image.slant_range_time.min()),
        azimuth_time0=image.azimuth_time.values.min(),
        slant_range_time_interval_s=2 * RANGE_BIN_M / 299792458.0,
        azimuth_time_interval_s=AZIMUTH_BIN_M / speed,
        slant_range_spacing_m=RANGE_BIN_M,
        azimuth_spacing_m=AZIMUTH_BIN_M,
    ).values[2::5, 2::5][::-1]
    # It reads the nearest bin: compare means of 3 x 3 cells, away from edges and shadow.
    seen = uniform_filter(np.isfinite(ours).astype(float), 3) > 0.99
    seen[:16], seen[-16:], seen[:, :16], seen[:, -16:] = (False,) * 4
    means = [10 * np.log10(uniform_filter(np.nan_to_num(values), 3)[seen]) for values in (ours, area)]
    assert means[0].std() > 2.0
    assert abs(np.median(means[0] - means[1])) < 0.1
    assert np.std(means[0] - means[1]) < 0.3
    assert np.corrcoef(*means)[0, 1] > 0.99

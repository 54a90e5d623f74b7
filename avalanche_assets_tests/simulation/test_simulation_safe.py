import hashlib
import zipfile
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from simulation_world import GRID, flat_world, two_slices, uniform_surface, view

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.mosaic import terrain_corrected_sigma0
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.simulation.facets import build_facets
from avalanche_assets.simulation.radiometry import incidence_at
from avalanche_assets.simulation.rendering import render
from avalanche_assets.simulation.safe_writer import write_product
from avalanche_assets.simulation.template import read_template
from avalanche_assets.simulation.track import scene_extent

OLD_DAY, NEW_DAY = date(2018, 3, 10), date(2018, 3, 16)
SIGMA0 = (0.08, 0.012)


@pytest.fixture(scope="module")
def flat():
    return flat_world()


@pytest.fixture(scope="module")
def products(flat, tmp_path_factory):
    """Two slices of level ground in each noise format."""
    surface = uniform_surface(GRID.shape, *SIGMA0)
    written = {}
    for day in (OLD_DAY, NEW_DAY):
        folder = tmp_path_factory.mktemp(f"products-{day}")
        written[day] = [
            write_product(folder, item, render(view(flat, surface), item), compress=day == NEW_DAY)
            for item in two_slices(flat, day)
        ]
    return written


def xml(path, part):
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if part in name)
        return ElementTree.fromstring(archive.read(name))


def test_slices_abut_by_one_line_interval(products):
    first, second = (Product.open(path) for path in products[NEW_DAY])
    gap = second.annotation.image.first_line - first.annotation.stop
    # Annotated times are whole microseconds.
    assert gap / np.timedelta64(1, "ns") == pytest.approx(1.4966e6, abs=1000)
    assert len(SliceStack.of([second, first]).products) == 2


def test_manifest_says_what_the_product_is(products):
    product = Product.open(products[OLD_DAY][0])
    assert (product.platform, product.absolute_orbit, product.relative_orbit) == ("S1A", 19986, 139)
    assert (product.direction, product.polarisations) == ("DESCENDING", ("VV", "VH"))
    assert product.ipf_version == (2, 84)
    assert Product.open(products[NEW_DAY][0]).ipf_version == (2, 90)
    # Data takes of the time count below 0x040000: synthetic ones cannot be mistaken for them.
    assert product.datatake_id == 0x510000 + 19986
    assert f"_{product.datatake_id:06X}_51" in product.name


def test_manifest_lists_every_file_with_its_checksum(products):
    path = products[NEW_DAY][0]
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("manifest.safe")}
        root = path.name.removesuffix(".zip")
        found = set()
        for entry in xml(path, "manifest.safe").iter("byteStream"):
            name = root + entry.find("fileLocation").get("href")[1:]
            content = archive.read(name)
            assert hashlib.md5(content).hexdigest() == entry.findtext("checksum")
            assert len(content) == int(entry.get("size"))
            found.add(name)
    assert found == names
    assert len(names) == 8


def test_noise_format_changes_with_the_processor(products):
    old, new = (xml(products[day][0], "/noise-s1a-iw-grd-vh") for day in (OLD_DAY, NEW_DAY))
    assert old.find("noiseVectorList/noiseVector/noiseLut") is not None
    assert old.find("noiseRangeVectorList") is None
    assert new.find("noiseRangeVectorList/noiseRangeVector/noiseRangeLut") is not None
    assert len(new.findall("noiseAzimuthVectorList/noiseAzimuthVector")) == 3
    assert new.find("noiseVectorList") is None


def test_geolocation_grid_obeys_range_doppler(products):
    for path in products[NEW_DAY]:
        annotation = Product.open(path).annotation
        grid = annotation.grid
        points = geodetic_to_ecef(grid.lon_deg, grid.lat_deg, grid.height_m)
        time, slant = zero_doppler(annotation.orbit, points)
        annotated = np.array([annotation.orbit.seconds(instant) for instant in grid.azimuth_time])
        # Times are annotated to the microsecond.
        np.testing.assert_allclose(time, annotated, atol=2e-6)
        np.testing.assert_allclose(slant, grid.slant_range_m, atol=1e-3)
        np.testing.assert_allclose(grid.height_m, 1500.0, atol=0.05)


def test_reader_locates_the_grid_on_its_lines_and_samples(products):
    for path in products[OLD_DAY]:
        product = Product.open(path)
        grid = product.annotation.grid
        found = product.locate(grid.lon_deg, grid.lat_deg, grid.height_m)
        np.testing.assert_allclose(found.line, grid.line, atol=0.01)
        np.testing.assert_allclose(found.sample, grid.sample, atol=0.02)
        np.testing.assert_allclose(found.incidence, grid.incidence_deg, atol=1e-4)


@pytest.mark.parametrize("day", [OLD_DAY, NEW_DAY])
def test_geocoded_level_ground_has_the_sigma0_it_was_given(products, day):
    opened = [Product.open(path) for path in products[day]]
    dem = np.full(GRID.shape, 1500.0, np.float32)
    sigma0 = terrain_corrected_sigma0(opened, SliceStack.of(opened).orbit, dem, GRID)
    for values, given in zip((sigma0.vv, sigma0.vh), SIGMA0, strict=True):
        inside = values[8:-8, 8:-8]
        assert np.isfinite(inside).all()
        # Some 30,000 cells of about 8 looks: the mean is good to 0.5 %.
        assert np.mean(inside) == pytest.approx(given, rel=0.015)


def test_measurement_looks_like_a_real_one(products):
    path = products[OLD_DAY][0]
    product = Product.open(path)
    name = next(name for name in zipfile.ZipFile(path).namelist() if name.endswith("-001.tiff"))
    with rasterio.open(f"/vsizip/{path}/{name}") as dataset:
        assert dataset.dtypes == ("uint16",)
        assert dataset.shape == product.shape
        assert dataset.tags()["TIFFTAG_SOFTWARE"] == "Sentinel-1 IPF 002.84"
        points, crs = dataset.gcps
        assert crs.to_epsg() == 4326
        assert len(points) == 11 * 21
        assert dataset.block_shapes == [(1, dataset.width)]


def test_annotations_hold_only_elements_of_real_ones(products, real_data):
    real = real_data / "safe" / "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.SAFE.zip"
    old = real_data / "safe" / "S1A_IW_GRDH_1SDV_20150222T170725_20150222T170750_004739_005DD8_CEAB.SAFE.zip"
    for ours, theirs, part in (
        (products[NEW_DAY][0], real, "annotation/s1a-iw-grd-vv"),
        (products[NEW_DAY][0], real, "/calibration-s1a-iw-grd-vv"),
        (products[NEW_DAY][0], real, "/noise-s1a-iw-grd-vv"),
        (products[OLD_DAY][0], old, "/noise-s1a-iw-grd-vv"),
        (products[NEW_DAY][0], real, "manifest.safe"),
    ):
        assert element_paths(xml(ours, part)) <= element_paths(xml(theirs, part))


def element_paths(root, prefix=""):
    paths = {f"{prefix}/{root.tag}"}
    for child in root:
        paths |= element_paths(child, f"{prefix}/{root.tag}")
    return paths


def test_xarray_sentinel_calibrates_our_products_to_the_same_sigma0(products, tmp_path):
    xarray_sentinel = pytest.importorskip("xarray_sentinel")
    path = products[NEW_DAY][0]
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    folder = str(tmp_path / path.name.removesuffix(".zip"))
    image = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV")
    table = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV/calibration")
    theirs = xarray_sentinel.calibrate_intensity(image.measurement, table.sigmaNought).to_numpy()
    ours = Product.open(path).calibrate("VV", denoise=False)
    lines = slice(40, 90)
    np.testing.assert_allclose(ours[lines, 40:-40], theirs[lines, 40:-40], rtol=1e-5)


def test_same_seed_gives_the_same_bytes_and_another_seed_others(flat, tmp_path):
    surface = uniform_surface(GRID.shape, *SIGMA0)
    item = two_slices(flat, OLD_DAY)[0]
    contents = []
    for number, key in enumerate((7, 7, 8)):
        folder = tmp_path / str(number)
        folder.mkdir()
        contents.append(
            write_product(folder, item, render(view(flat, surface, key), item), False).read_bytes()
        )
        assert [path.suffix for path in folder.iterdir()] == [".zip"]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_failed_rendering_leaves_no_product(flat, tmp_path):
    item = two_slices(flat, OLD_DAY)[0]

    def broken():
        yield 0, np.ones((2, 8, flat.geometry.samples), np.uint16)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_product(tmp_path, item, broken(), False)
    assert list(tmp_path.iterdir()) == []


def test_template_keeps_the_real_products_frame_and_tables(real_data):
    path = real_data / "safe" / "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.SAFE.zip"
    real = Product.open(path)
    grid_points = real.annotation.grid
    middle = 5 * 21 + 10  # the sixth of ten rows, mid swath
    lon, lat = grid_points.lon_deg[middle], grid_points.lat_deg[middle]
    template = read_template(path, lon, lat, 200.0)
    orbit = template.nominal.orbit(template.overpass(date(2018, 1, 3)))
    grid = centred(Grid("EPSG:32736", 20.0, 0.0, 0.0, 128, 128), lon, lat)
    elevation = np.full(grid.shape, 200.0, np.float32)
    facets = build_facets(grid, elevation, orbit)
    extent = scene_extent(orbit, facets, elevation)
    image = template.geometry(orbit, extent, np.random.default_rng(1))
    # The crop's corner is a whole line and sample of the original.
    corner = image.locate(0.0, 0.0, 200.0)
    time, slant = zero_doppler(real.orbit, corner[None])
    seconds = time[0] - real.orbit.seconds(real.annotation.image.first_line)
    line = seconds / real.annotation.image.line_interval_s
    sample = real.ground_range.sample(np.array([seconds]), slant)[0]
    assert line == pytest.approx(round(line), abs=0.01)
    assert sample == pytest.approx(round(sample), abs=0.05)
    tables = template.radiometry(image, 0, image.lines, old_format=False)
    factor = real_factor(real, round(line), round(sample))
    assert tables.amplitude["sigmaNought"][0, 0] == pytest.approx(factor, rel=1e-4)
    assert incidence_at(image, np.zeros(1), np.zeros(1))[0, 0] == pytest.approx(
        np.degrees(np.arcsin((474.0 / factor) ** 2)), abs=0.05
    )
    assert template.relative_orbit == real.relative_orbit


def centred(grid, lon, lat):
    x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lon, lat)
    half = grid.width * grid.resolution / 2
    return Grid(grid.crs, grid.resolution, x - half, y + half, grid.height, grid.width)


def real_factor(product, line, sample):
    root = xml(product.archive.path, "/calibration-s1a-iw-grd-vv")
    vectors = root.findall("calibrationVectorList/calibrationVector")
    lines = np.array([float(vector.findtext("line")) for vector in vectors])
    values = [
        np.interp(
            sample,
            np.array(vector.findtext("pixel").split(), float),
            np.array(vector.findtext("sigmaNought").split(), float),
        )
        for vector in vectors
    ]
    return float(np.interp(line, lines, values))

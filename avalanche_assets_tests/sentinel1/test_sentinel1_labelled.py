"""Windows of a product as xarray arrays, and requests that no product can answer."""

import doctest
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import orbit_file_text
import pytest
import rasterio
import tiny_safe
import xarray
from tiny_safe import EPOCH, LINE_INTERVAL_S, SPACING_M, START_S, write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.grid import Window
from avalanche_assets.sentinel1.product import Product

RNG = np.random.default_rng(139)
DN = RNG.integers(40, 900, (300, 400))
WINDOW = Window(30, 100, 50, 60)


@pytest.fixture
def product(tmp_path):
    return Product.open(write_tiny_safe(tmp_path, DN, ipf="003.31"))


def test_values_are_those_of_calibrate(product):
    for quantity in ("sigma0", "beta0", "gamma0"):
        array = product.to_xarray("VH", WINDOW, quantity, denoise=False)
        assert (array.dims, array.shape, array.dtype) == (("line", "sample"), (50, 60), np.float32)
        assert array.name == quantity
        np.testing.assert_array_equal(array, product.calibrate("VH", WINDOW, quantity, denoise=False))


def test_coordinates_count_from_the_whole_image(product):
    array = product.to_xarray("VV", WINDOW)
    np.testing.assert_array_equal(array.line, np.arange(30, 80))
    np.testing.assert_array_equal(array.sample, np.arange(100, 160))
    np.testing.assert_array_equal(array.ground_range, np.arange(100, 160) * SPACING_M)
    seconds = (array.azimuth_time.values - EPOCH) / np.timedelta64(1, "s")
    np.testing.assert_allclose(seconds, START_S + np.arange(30, 80) * LINE_INTERVAL_S, atol=1e-9, rtol=0)
    whole = product.to_xarray("VV")
    assert whole.shape == DN.shape
    xarray.testing.assert_identical(whole.sel(line=array.line, sample=array.sample), array)


def test_every_array_says_what_and_whence_it_is(product):
    array = product.to_xarray("VV", WINDOW)
    assert array.attrs["units"] == "1"
    assert "sigma nought" in array.attrs["long_name"]
    assert array.attrs["product"] == product.name
    assert (array.attrs["platform"], array.attrs["polarisation"]) == ("S1B", "VV")
    assert (array.attrs["ipf_version"], array.attrs["orbit_source"]) == ("3.31", "annotation")
    assert (array.attrs["relative_orbit"], array.attrs["orbit_direction"]) == (139, "DESCENDING")
    for name in ("line", "sample", "azimuth_time", "ground_range"):
        assert array[name].attrs["long_name"]
    assert array.ground_range.attrs["units"] == "m"


def test_attributes_say_whether_the_noise_was_taken_off(product, tmp_path):
    assert product.to_xarray("VV", WINDOW).attrs["denoised"] == 1
    assert product.to_xarray("VV", WINDOW, denoise=False).attrs["denoised"] == 0
    # Before IPF 2.50 the annotated noise lacks its scale and cannot be taken off.
    old = Product.open(write_tiny_safe(tmp_path / "old", DN, ipf="002.36"))
    assert old.to_xarray("VV", WINDOW).attrs["denoised"] == 0


def test_array_survives_a_file(product, tmp_path):
    array = product.to_xarray("VV", WINDOW)
    array.to_netcdf(tmp_path / "window.nc", engine="scipy")
    with xarray.open_dataarray(tmp_path / "window.nc", engine="scipy") as back:
        np.testing.assert_array_equal(back, array)
        np.testing.assert_array_equal(back.azimuth_time, array.azimuth_time)
        assert back.attrs["product"] == product.name


@pytest.mark.parametrize("method", ["calibrate", "to_xarray"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("HH",), "'HH' is not there to read; choose VV or VH"),
        (("vv",), "'vv' is not there to read; choose VV or VH"),
        (("../VV",), "is not there to read"),
        (("VV", WINDOW, "sigma"), "'sigma' is not there to read; choose sigma0 or beta0 or gamma0"),
        (("VV", Window(280, 0, 40, 40)), "leaves the image of 300 x 400"),
        (("VV", Window(-1, 0, 40, 40)), "leaves the image"),
        (("VV", Window(0, 390, 40, 40)), "leaves the image"),
        (("VV", Window(0, 0, 0, 40)), "is empty"),
        (("VV", Window(10, 0, -5, 40)), "is empty or leaves"),
        (("VV", (0, 0, 10, 10)), r"\(0, 0, 10, 10\) is no window; give .*Window\(row, col, height, width\)"),
        (("VV", slice(0, 10)), "is no window"),
    ],
)
def test_requests_that_cannot_be_met_are_named(product, method, arguments, message):
    with pytest.raises(SafeError, match=rf"{product.name}: .*{message}"):
        getattr(product, method)(*arguments)


def test_xarray_is_imported_only_when_asked_for():
    code = "import sys, avalanche_assets.sentinel1.product; print('xarray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_example_of_the_documentation_runs(tmp_path, monkeypatch):
    name = "S1B_IW_GRDH_1SDV_20171203T053600_20171203T053625_008510_00F1A2_5E6F"
    write_tiny_safe(tmp_path, DN, name=name, zipped=True)
    times = np.arange(0.0, 130.0, 10.0)
    instants, place = EPOCH + (times * 1e9).astype("timedelta64[ns]"), tiny_safe.position
    states = place(times), (place(times + 1e-3) - place(times - 1e-3)) / 2e-3
    text = orbit_file_text.orbit_file_text(instants, states, platform="S1B")
    (tmp_path / orbit_file_text.name("S1B", start=EPOCH, stop=instants[-1])).write_text(text)
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/products.md").read_text(encoding="utf-8").replace("```", "")
    example = doctest.DocTestParser().get_doctest(text, {}, "products.md", "docs/products.md", 0)
    assert len(example.examples) > 10
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)


def test_real_coordinates_agree_with_xarray_sentinel(real_data, tmp_path):
    """Azimuth times, ground range and the slant ranges of the geolocation grid, read independently."""
    xarray_sentinel = pytest.importorskip("xarray_sentinel")
    (source,) = (real_data / "safe").glob("*8255*.zip")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.glob("*.SAFE")
    product = Product.open(folder)
    lines, samples = product.shape
    stem = product.archive.find("annotation", "VV").split("/")[1].removesuffix(".xml")
    with rasterio.open(
        folder / f"measurement/{stem}.tiff", "w", driver="GTiff", dtype="uint16", count=1, height=lines,
        width=samples, SPARSE_OK="TRUE", transform=rasterio.Affine.translation(0, 1),
    ):  # fmt: skip
        pass
    product = Product.open(folder)
    window = Window(9000, 12000, 40, 500)
    found = product.to_xarray("VV", window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = xarray_sentinel.open_sentinel1_dataset(str(folder), group="IW/VV")
        grid = xarray_sentinel.open_sentinel1_dataset(str(folder), group="IW/VV/gcp")
    expected = image.measurement[window.slices]
    difference = (
        (found.azimuth_time.values - expected.azimuth_time.values).astype("timedelta64[ns]").astype(int)
    )
    # It cuts every time to the microsecond and spreads them up to a last line that is rounded to one.
    assert np.abs(difference).max() <= 2000
    np.testing.assert_allclose(found.ground_range, expected.ground_range, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(found.line, expected.line)
    np.testing.assert_array_equal(found.sample, expected.pixel)
    ours, shape = product.annotation.grid, grid.height.shape
    for name, theirs in (
        ("lon_deg", grid.longitude),
        ("lat_deg", grid.latitude),
        ("height_m", grid.height),
        ("incidence_deg", grid.incidenceAngle),
    ):
        np.testing.assert_array_equal(getattr(ours, name).reshape(shape), theirs)
    # It keeps the slant ranges of the first grid line only.
    slant_range = grid.slant_range_time * 299792458.0 / 2
    np.testing.assert_allclose(ours.slant_range_m.reshape(shape)[0], slant_range, atol=1e-6, rtol=0)
    times = np.broadcast_to(grid.azimuth_time.values[:, None], shape).ravel()
    # It keeps one time a grid line; the annotation's own differ by a ramp of up to 0.3 ms along range.
    assert np.abs((ours.azimuth_time - times) / np.timedelta64(1, "us")).max() < 600
    assert found.attrs["orbit_source"] == "annotation (Auxiliary)"

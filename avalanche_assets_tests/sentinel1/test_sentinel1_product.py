"""Products as a whole: attributes, calibrated windows, and errors at the door."""

import os
import shutil
import warnings
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import tiny_safe
import xarray
from tiny_safe import AMPLITUDE, NOISE, write_tiny_safe

from avalanche_assets.errors import OrbitError, SafeError
from avalanche_assets.grid import Window
from avalanche_assets.sentinel1.product import Product

RNG = np.random.default_rng(139)
DN = RNG.integers(40, 900, (300, 400))
MEASUREMENT = "measurement/s1b-iw-grd-vv-tiny.tiff"


def test_attributes_come_from_the_manifest(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    assert (product.platform, product.absolute_orbit, product.relative_orbit) == ("S1B", 8510, 139)
    assert product.direction == "DESCENDING"
    assert product.ipf_version == (2, 84)  # not the repackager's
    assert product.start == datetime(2017, 12, 3, 5, 36, tzinfo=UTC)
    assert product.shape == (300, 400)
    assert product.footprint.is_valid


def test_zip_and_folder_give_the_same(tmp_path):
    zipped = write_tiny_safe(tmp_path, DN, zipped=True)
    folder = tmp_path / zipped.name.replace(".zip", ".SAFE")
    first, second = Product.open(zipped), Product.open(folder)
    assert first.name == second.name
    np.testing.assert_array_equal(first.calibrate("VH"), second.calibrate("VH"))


def test_window_of_sigma0_by_hand(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    window = Window(30, 100, 50, 60)
    dn = DN[window.slices].astype(float)
    np.testing.assert_allclose(product.calibrate("VV", window), (dn**2 - NOISE) / AMPLITUDE**2, rtol=1e-6)
    beta0 = product.calibrate("VV", window, quantity="beta0", denoise=False)
    np.testing.assert_allclose(beta0, dn**2 / (AMPLITUDE / 2) ** 2, rtol=1e-6)


def test_window_outside_the_image_is_refused(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    with pytest.raises(SafeError, match="leaves the image of 300 x 400"):
        product.calibrate("VV", Window(280, 0, 40, 40))


@pytest.mark.parametrize(("ipf", "masked"), [("002.84", True), ("003.31", False)])
def test_low_border_is_masked_in_old_products_only(tmp_path, ipf, masked):
    dn = DN.copy()
    dn[:, :30] = 3
    dn[:5] = 2
    dn[:, 390:] = 0
    sigma0 = Product.open(write_tiny_safe(tmp_path, dn, ipf=ipf)).calibrate("VV")
    assert np.isnan(sigma0[:, 390:]).all()
    assert np.isnan(sigma0[:, :30]).all() == masked
    assert np.isnan(sigma0[:5]).all() == masked
    assert np.isfinite(sigma0[5:, 100:300]).all()


def test_border_above_the_least_backscatter_but_below_half_the_noise_is_masked(tmp_path):
    dn = DN.copy()
    dn[:, :30] = 12  # 144 lies between -34 dB (100) and half the noise (200)
    assert 10**-3.4 * AMPLITUDE**2 < 12**2 < NOISE / 2
    sigma0 = Product.open(write_tiny_safe(tmp_path, dn)).calibrate("VV")
    assert np.isnan(sigma0[:, :30]).all()
    assert np.isfinite(sigma0[:, 40:]).all()


def test_dark_lake_at_the_noise_floor_is_no_border(tmp_path):
    dn = np.sqrt(RNG.gamma(4.4, NOISE / 4.4, (300, 400))).round()
    sigma0 = Product.open(write_tiny_safe(tmp_path, dn.clip(1))).calibrate("VV")
    assert np.isfinite(sigma0).all()
    # Unbiased: 120000 pixels of relative spread 1/sqrt(4.4) leave a mean within 0.6 % of the noise.
    assert abs(sigma0.mean()) < 0.006 * NOISE / AMPLITUDE**2


def test_location_agrees_with_the_closed_form(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    lon, lat, height = tiny_safe.ground_point(tiny_safe.START_S + 0.3, 901e3, 1500.0)
    found = product.locate(lon, lat, height)
    np.testing.assert_allclose(found.line, 200, atol=1e-4, rtol=0)
    np.testing.assert_allclose(found.sample, tiny_safe.sample_of(0.3, 901e3), atol=0.02, rtol=0)
    np.testing.assert_allclose(found.slant_range, 901e3, atol=1e-4, rtol=0)

    expected = tiny_safe.EPOCH + np.timedelta64(60_300_000_000, "ns")
    assert abs(found.azimuth_time - expected) < np.timedelta64(200, "ns")  # annotated positions are rounded


def test_place_that_the_pass_did_not_image_has_no_time(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    lon, lat, height = tiny_safe.ground_point(tiny_safe.START_S + 0.3, 901e3)
    found = product.locate(lon, lat, [height, np.nan])
    assert np.isnat(found.azimuth_time).tolist() == np.isnan(found.line).tolist() == [False, True]


def test_labelled_columns_are_taken_row_by_row(tmp_path):
    """Labelled arrays align by their labels in arithmetic; here only the order counts."""
    product = Product.open(write_tiny_safe(tmp_path, DN))
    lon, lat, height = tiny_safe.ground_point(tiny_safe.START_S + 0.3, 901e3)
    columns = xarray.DataArray([lon, lon], dims="corridor"), xarray.DataArray([lat, lat], dims="place")
    found = product.locate(*columns, height)
    assert found.incidence.tolist() == 2 * [float(product.locate(lon, lat, height).incidence)]


def test_orbit_of_another_time_or_platform_is_refused(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    point, own = tiny_safe.ground_point(tiny_safe.START_S + 0.3, 901e3), product.orbit
    np.testing.assert_array_equal(product.locate(*point, own).line, product.locate(*point).line)
    later = replace(own, epoch=own.epoch + np.timedelta64(6, "D"), file="later.EOF")
    with pytest.raises(
        OrbitError, match=r"later\.EOF has state vectors from 2017-12-09T.*orbit of that time"
    ):
        product.locate(*point, later)
    half_a_turn_on = replace(own, positions=-own.positions, file="S1A.EOF")
    with pytest.raises(OrbitError, match=r"S1A\.EOF lies 1\.41e\+07 m from .*give an orbit of S1B"):
        product.locate(*point, half_a_turn_on)


def test_product_shows_itself_in_a_line(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    assert repr(product) == f"<Product {product.name}: S1B, relative orbit 139, 300 x 400>"


def test_truncated_zip_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN, zipped=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SafeError, match=rf"{path.name}.*not a complete zip.*download"):
        Product.open(path)


def test_damaged_content_of_a_zip_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN, zipped=True)
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith("vv-tiny.tiff"))
    content = bytearray(path.read_bytes())
    content[info.header_offset + 2000 : info.header_offset + 60000] = bytes(58000)
    path.write_bytes(content)
    with pytest.raises(SafeError, match=r"measurement.*download"):
        Product.open(path).calibrate("VV")


def test_truncated_measurement_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    measurement = path / "measurement/s1b-iw-grd-vv-tiny.tiff"
    measurement.write_bytes(measurement.read_bytes()[:100_000])
    with pytest.raises(SafeError, match=r"measurement.*download"):
        Product.open(path).calibrate("VV")


@pytest.mark.parametrize("kept", [-2, -400 * 200])
def test_measurement_that_cannot_be_read_to_its_end_any_more_is_named(tmp_path, kept):
    """As when a disk or a network drive fails after opening: GDAL's direct reading does not say so."""
    path = write_tiny_safe(tmp_path, DN)
    measurement = path / "measurement/s1b-iw-grd-vv-tiny.tiff"
    with Product.open(path).open_image("VV") as image:
        os.truncate(measurement, measurement.stat().st_size + kept)
        with pytest.raises(SafeError, match=r"lines from 256 cannot be read \(the file ends early.*download"):
            image.read(Window(256, 0, 44, 400))


def test_saturated_pixels_are_read_like_others(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, np.full_like(DN, 65535)))
    np.testing.assert_allclose(product.calibrate("VV"), (65535.0**2 - NOISE) / AMPLITUDE**2, rtol=1e-6)


def test_missing_polarisation_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN, polarisations=("VV",))
    with pytest.raises(SafeError, match="polarisation VH is missing"):
        Product.open(path)


def test_wrong_mode_is_named(tmp_path):
    with pytest.raises(SafeError, match=r"mode is EW \(Extra Wide swath\); only"):
        Product.open(write_tiny_safe(tmp_path, DN, mode="EW"))


@pytest.mark.parametrize(
    ("omit", "message"),
    [
        ("calibration-s1b-iw-grd-vh", "no calibration file of polarisation VH"),
        ("noise-s1b-iw-grd-vv", "no noise file of polarisation VV"),
        ("vh-tiny.tiff", "no measurement file of polarisation VH"),
    ],
)
def test_missing_file_is_named(tmp_path, omit, message):
    with pytest.raises(SafeError, match=message):
        Product.open(write_tiny_safe(tmp_path, DN, omit=omit)).require_complete()


def test_missing_manifest_and_missing_product_are_named(tmp_path):
    with pytest.raises(SafeError, match=r"manifest\.safe is missing"):
        Product.open(write_tiny_safe(tmp_path, DN, omit="manifest"))
    with pytest.raises(SafeError, match="no such product"):
        Product.open(tmp_path / "absent.zip")


def test_raster_of_another_size_is_refused(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    other = write_tiny_safe(tmp_path / "other", DN[:200])
    for name in (path / "measurement").iterdir():
        shutil.copy(other / "measurement" / name.name, name)
    with pytest.raises(SafeError, match=r"\(200, 400\).*annotation says \(300, 400\)"):
        Product.open(path).calibrate("VV")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"dtype": "uint8"}, "samples of uint8"),
        ({"dtype": "int16"}, "samples of int16"),
        ({"dtype": "float32"}, "samples of float32"),
        ({"dtype": "complex64"}, "samples of complex64"),
        ({"dtype": "uint16", "count": 2}, "samples of uint16, uint16"),
    ],
)
def test_raster_of_another_kind_is_refused(tmp_path, kind, message):
    path = write_tiny_safe(tmp_path, DN)
    profile = {"driver": "GTiff", "height": 300, "width": 400, "count": 1, **kind}
    with rasterio.open(
        path / MEASUREMENT, "w", **profile, transform=rasterio.Affine.translation(0, 1)
    ) as dataset:
        dataset.write((DN % 200).astype(kind["dtype"]), 1)
    with pytest.raises(SafeError, match=rf"vv-tiny\.tiff: .*{message}, the annotation.*of uint16.*download"):
        Product.open(path).calibrate("VV")


def test_raster_that_refers_to_another_file_is_not_followed(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    other = write_tiny_safe(tmp_path / "other", DN) / MEASUREMENT
    (path / MEASUREMENT).write_text(
        '<VRTDataset rasterXSize="400" rasterYSize="300"><VRTRasterBand dataType="UInt16" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{other}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(SafeError, match=r"vv-tiny\.tiff: measurement cannot be opened.*download"):
        Product.open(path).calibrate("VV")


@pytest.mark.parametrize(
    ("there", "instead"),
    [("<polarisation>VV", "<polarisation>VH"), ("Number>8510<", "Number>8511<"), ("Id>61000<", "Id>61001<")],
)
def test_annotation_of_another_image_is_refused(tmp_path, there, instead):
    path = write_tiny_safe(tmp_path, DN)
    annotation = path / "annotation/s1b-iw-grd-vv-tiny.xml"
    annotation.write_text(annotation.read_text().replace(there, instead))
    with pytest.raises(SafeError, match=r"TINY_00000\.SAFE/annotation/.*'V[VH]', 851\d, 6100\d\).*download"):
        Product.open(path)


@pytest.mark.parametrize("role", ["calibration", "noise"])
def test_damaged_table_is_named_with_its_product(tmp_path, role):
    path = write_tiny_safe(tmp_path, DN)
    (path / f"annotation/calibration/{role}-s1b-iw-grd-vv-tiny.xml").write_text("<root/>")
    with pytest.raises(SafeError, match=rf"TINY_00000\.SAFE/annotation/calibration/{role}-s1b.*download"):
        Product.open(path).calibrate("VV")


@pytest.mark.parametrize("folder", ["a{b", "a}b", "{ab}"])
def test_zip_is_read_in_a_folder_whose_name_has_braces(tmp_path, folder):
    (tmp_path / folder).mkdir()
    path = write_tiny_safe(tmp_path / folder, DN, zipped=True)
    assert np.isfinite(Product.open(path).calibrate("VV")).all()


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"])
def test_path_that_no_file_system_has_is_named(name):
    with pytest.raises(SafeError, match=r"complete zip or folder|no such product"):
        Product.open(name)


def test_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = write_tiny_safe(tmp_path, DN)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "rglob", refuse)
    with pytest.raises(SafeError, match=r"TINY_00000\.SAFE: .*Permission denied"):
        Product.open(path)


def test_unreadable_field_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    annotation = path / "annotation/s1b-iw-grd-vv-tiny.xml"
    annotation.write_text(annotation.read_text().replace("<numberOfLines>300", "<numberOfLines>many"))
    with pytest.raises(SafeError, match=r"vv-tiny\.xml: field numberOfLines cannot be read"):
        Product.open(path)


def test_real_products_say_what_they_are(real_data):
    found = {
        product.name[-4:]: (product.platform, product.relative_orbit, product.direction, product.ipf_version)
        for product in map(Product.open, sorted((real_data / "safe").glob("*.zip")))
    }
    assert found == {
        "CEAB": ("S1A", 117, "ASCENDING", (2, 36)),
        "3768": ("S1A", 117, "ASCENDING", (2, 36)),
        "8255": ("S1A", 79, "DESCENDING", (3, 31)),
        "ECC8": ("S1B", 168, "DESCENDING", (3, 31)),
    }


def test_real_product_before_scaled_noise_is_not_denoisable(real_data):
    (path,) = (real_data / "safe").glob("*CEAB*.zip")
    assert not Product.open(path).denoisable
    (path,) = (real_data / "safe").glob("*8255*.zip")
    assert Product.open(path).denoisable


def test_real_raster_is_read_in_place(real_data):
    (path,) = (real_data / "safe").glob("*ECC8*.zip")
    product = Product.open(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(product.archive.raster("VV")) as dataset:
            assert dataset.shape == product.shape


@pytest.fixture(scope="module")
def real_tables(real_data, tmp_path_factory):
    """A real product with speckle on 16 lines of both rasters; the first of them and the numbers."""
    (source,) = (real_data / "safe").glob("*8255*.zip")
    unpacked = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(unpacked)
    (folder,) = unpacked.glob("*.SAFE")
    product = Product.open(folder)
    lines, samples = product.shape
    row, dn = 9000, RNG.integers(1, 3000, (16, samples)).astype(np.uint16)
    for polarisation in product.polarisations:
        stem = product.archive.find("annotation", polarisation).split("/")[1].removesuffix(".xml")
        with rasterio.open(
            folder / f"measurement/{stem}.tiff", "w", driver="GTiff", dtype="uint16", count=1, height=lines,
            width=samples, SPARSE_OK="TRUE", transform=rasterio.Affine.translation(0, 1),
        ) as dataset:  # fmt: skip
            dataset.write(dn, 1, window=rasterio.windows.Window(0, row, samples, 16))
    return Product.open(folder), row, dn


def _vectors(root, element, value, line, samples):
    """Vectors of a real table on one line: bilinear, read by the standard library."""
    vectors = root.findall(f".//{element}")
    at = np.array([float(vector.findtext("line")) for vector in vectors])
    upper = min(max(int(np.searchsorted(at, line)), 1), len(at) - 1)
    above, below = (
        np.interp(
            np.arange(samples),
            *(np.array(vectors[i].findtext(name).split(), float) for name in ("pixel", value)),
        )
        for i in (upper - 1, upper)
    )
    weight = (line - at[upper - 1]) / (at[upper] - at[upper - 1])
    return (1 - weight) * above + weight * below


@pytest.mark.parametrize("polarisation", ["VV", "VH"])
def test_denoised_sigma0_of_real_tables_follows_the_formula(real_tables, polarisation):
    product, row, dn = real_tables
    samples = dn.shape[1]
    calibration, noise = (
        ElementTree.fromstring(product.archive.read(product.archive.find(role, polarisation)))
        for role in ("calibration", "noise")
    )
    found = product.calibrate(polarisation, Window(row, 0, 16, samples))
    for index in (0, 7, 15):
        line, power = row + index, dn[index].astype(float) ** 2
        factor = _vectors(calibration, "calibrationVector", "sigmaNought", line, samples)
        eta = _vectors(noise, "noiseRangeVector", "noiseRangeLut", line, samples)
        for block in noise.iter("noiseAzimuthVector"):
            first, last = (int(block.findtext(f"{end}RangeSample")) for end in ("first", "last"))
            along = (np.array(block.findtext(name).split(), float) for name in ("line", "noiseAzimuthLut"))
            eta[first : last + 1] *= np.interp(line, *along)
        error = abs(found[index] - (power - eta) / factor**2)
        # Relative to what is subtracted from: single precision of DN^2, eta and A.
        assert (error / ((power + eta) / factor**2)).max() < 5e-7


def test_sigma0_of_real_tables_agrees_with_xarray_sentinel(real_tables):
    xarray_sentinel = pytest.importorskip("xarray_sentinel")
    product, row, dn = real_tables
    folder, samples = product.archive.path, dn.shape[1]
    found = product.calibrate("VV", Window(row, 0, 16, samples), denoise=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measurement, _ = xarray_sentinel.open_sentinel1_dataset(str(folder), group="IW/VV"), None
        table = xarray_sentinel.open_sentinel1_dataset(str(folder), group="IW/VV/calibration")
        cut = measurement.measurement.isel(azimuth_time=slice(row, row + 16))
        expected = xarray_sentinel.calibrate_intensity(cut, table.sigmaNought).values
    np.testing.assert_allclose(found, expected, rtol=2e-6)

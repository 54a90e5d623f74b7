"""Kinds of products: which are read, and which are refused by name."""

import shutil
import zipfile

import numpy as np
import pytest
import rasterio
from tiny_safe import write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import parse_manifest

DN = np.random.default_rng(139).integers(40, 900, (600, 700))
DN[:, 690:] = 0
ROOM = "20171203T053600_20171203T053625_008510_00F1A2_5E6F"
SMALL = np.full((20, 30), 100)


@pytest.mark.parametrize("platform", ["S1A", "S1B", "S1C", "S1D"])
def test_every_platform_is_read(tmp_path, platform):
    product = Product.open(write_tiny_safe(tmp_path, SMALL, platform=platform))
    assert product.platform == platform
    assert np.isfinite(product.calibrate("VH")).all()


def test_unknown_platform_is_named(tmp_path):
    with pytest.raises(SafeError, match="'S1E' is unknown; use products of S1A, S1B, S1C, S1D"):
        Product.open(write_tiny_safe(tmp_path, SMALL, platform="S1E"))


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("002.36", (2, 36)),
        ("002.84", (2, 84)),
        ("003.31", (3, 31)),
        ("003.71", (3, 71)),
        ("3.92", (3, 92)),
        ("003.9", (3, 90)),
        ("004.03", (4, 3)),
    ],
)
def test_processor_versions_compare_as_numbers(tmp_path, written, version):
    assert Product.open(write_tiny_safe(tmp_path, SMALL, ipf=written)).ipf_version == version


@pytest.mark.parametrize("written", ["", "unknown", "3", "3.1.4", "٣.٣"])
def test_unreadable_processor_version_is_named(tmp_path, written):
    with pytest.raises(SafeError, match=r"manifest\.safe: no software element names the Sentinel-1 IPF"):
        Product.open(write_tiny_safe(tmp_path, SMALL, ipf=written))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"S1A_EW_GRDM_1SDH_{ROOM}", r"mode is EW \(Extra Wide swath\)"),
        (f"S1A_WV_OCN__2SSV_{ROOM}", r"mode is WV \(Wave\)"),
        *((f"S1A_S{beam}_GRDH_1SDV_{ROOM}", rf"mode is S{beam} \(Stripmap\)") for beam in range(1, 7)),
        (f"S1A_IW_SLC__1SDV_{ROOM}", "product type is SLC; only ground range"),
        (f"S1A_IW_OCN__2SDV_{ROOM}", "product type is OCN"),
        (f"S1A_IW_RAW__0SDV_{ROOM}", "product type is RAW"),
        (f"S1A_IW_ETA__AXDV_{ROOM}", "product type is ETA"),
        (f"S1A_IW_GRDM_1SDV_{ROOM}", r"resolution class is M; only high resolution \(GRDH\)"),
        (f"S1A_IW_GRDH_1ADV_{ROOM}", "product class is A"),
    ],
)
@pytest.mark.parametrize("renamed", [False, True])
def test_other_kinds_are_refused_by_their_name(tmp_path, name, message, renamed):
    """Also where the zip was renamed: the folder inside keeps its name."""
    path = write_tiny_safe(tmp_path, SMALL, name=name, zipped=True)
    if renamed:
        path = path.rename(tmp_path / "product.zip")
    with pytest.raises(SafeError, match=rf"{path.name}: {message}"):
        Product.open(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "EW"}, r"mode is EW \(Extra Wide swath\); only Interferometric Wide"),
        ({"mode": "WV"}, r"mode is WV \(Wave\)"),
        ({"mode": "SM"}, r"mode is SM \(Stripmap\)"),
        ({"mode": "S3"}, r"mode is S3 \(Stripmap\)"),
        ({"mode": "XX"}, "mode is 'XX'"),
        ({"product_type": "SLC"}, "product type is SLC; only ground range"),
        ({"product_type": "OCN"}, "product type is OCN"),
        ({"polarisations": ("VV",)}, "polarisation VH is missing, the product has VV; give .*1SDV"),
        ({"polarisations": ("HH", "HV")}, "VV and VH is missing, the product has HH, HV"),
        ({"polarisations": ("HH",)}, "VV and VH is missing, the product has HH"),
        ({"polarisations": ()}, "VV and VH is missing, the product has none"),
    ],
)
def test_other_kinds_are_refused_by_their_manifest(tmp_path, fields, message):
    with pytest.raises(SafeError, match=message):
        Product.open(write_tiny_safe(tmp_path, SMALL, name="renamed", **fields))


def test_medium_resolution_under_another_name_is_refused(tmp_path):
    path = write_tiny_safe(tmp_path, SMALL)
    annotation = path / "annotation/s1b-iw-grd-vv-tiny.xml"
    annotation.write_text(annotation.read_text().replace("Spacing>10.0<", "Spacing>40.0<"))
    with pytest.raises(SafeError, match=r"samples are 40 m apart, in high resolution 10 m; only .*GRDH"):
        Product.open(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_cog_twin_gives_the_pixels_and_the_processor_of_the_original(tmp_path, zipped):
    original = Product.open(write_tiny_safe(tmp_path, DN, ipf="003.31"))
    twin = Product.open(
        write_tiny_safe(tmp_path, DN, ipf="003.31", cog=True, zipped=zipped, compression=zipfile.ZIP_STORED)
    )
    with rasterio.open(twin.archive.raster("VV")) as dataset:
        assert dataset.block_shapes == [(512, 512)]
        assert (dataset.compression.value, dataset.nodata) == ("ZSTD", 0)
    assert twin.name.endswith("_COG")
    assert twin.ipf_version == original.ipf_version == (3, 31)  # not that of the conversion
    assert twin.archive.manifest.processed == original.archive.manifest.processed
    for polarisation in twin.polarisations:
        np.testing.assert_array_equal(twin.calibrate(polarisation), original.calibrate(polarisation))
    twin.archive.verify()


def test_files_of_a_file_manager_do_not_hide_the_product(tmp_path):
    path = write_tiny_safe(tmp_path, SMALL)
    for folder in ("annotation", "measurement"):
        for member in list((path / folder).glob("s1*")):
            (member.parent / f"._{member.name}").write_bytes(b"\0")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, path.name)
    assert np.isfinite(Product.open(tmp_path / "packed.zip").calibrate("VV")).all()


def test_path_may_be_a_string(tmp_path):
    path = write_tiny_safe(tmp_path, SMALL)
    assert Product.open(str(path)).name == Product.open(path).name


@pytest.mark.parametrize(
    "field",
    ["number", "mode", "orbitNumber", "relativeOrbitNumber", "pass", "missionDataTakeID", "startTime"],
)
def test_missing_field_of_the_manifest_is_named(tmp_path, field):
    path = write_tiny_safe(tmp_path, SMALL)
    content = (path / "manifest.safe").read_bytes().replace(f"{field}>".encode(), b"gone>")
    with pytest.raises(
        SafeError, match=rf"manifest: field {field if field != 'mode' else '.*mode'} is missing"
    ):
        parse_manifest(content, "manifest")


def test_real_manifests_and_names_are_supported(real_data):
    for path in sorted((real_data / "safe").glob("*.zip")):
        assert Product.open(path).polarisations == ("VV", "VH")

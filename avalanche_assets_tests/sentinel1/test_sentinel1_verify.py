"""Damaged products: named errors with file and remedy, and what only the checksums find."""

import shutil
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_safe import write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import MAX_XML_BYTES, SafeArchive

DN = np.random.default_rng(5).integers(40, 900, (300, 400))
VV = "measurement/s1b-iw-grd-vv-tiny.tiff"


def member_bytes(path, ending):
    """Where a member's content lies in a zip: first byte and length."""
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(ending))
    header = path.read_bytes()[info.header_offset : info.header_offset + 30]
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + name + extra, info.compress_size


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("form", ["folder", "stored", "deflated"])
def test_sound_products_pass(tmp_path, form):
    method = zipfile.ZIP_STORED if form == "stored" else zipfile.ZIP_DEFLATED
    SafeArchive.open(write_tiny_safe(tmp_path, DN, zipped=form != "folder", compression=method)).verify()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_one_flipped_bit_in_a_zip_is_found(tmp_path, method, share):
    path = write_tiny_safe(tmp_path, DN, zipped=True, compression=method)
    first, length = member_bytes(path, VV)
    flip(path, first + int(share * length))
    with pytest.raises(SafeError, match=rf"{path.name}: {VV} (is damaged|has .* MD5).*download"):
        SafeArchive.open(path).verify()


def test_one_flipped_bit_in_a_folder_is_found(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    flip(path / VV, 100_000)
    with pytest.raises(SafeError, match=rf"{path.name}: {VV} has 240.* MD5 .*, the manifest says .*download"):
        SafeArchive.open(path).verify()


def test_a_file_of_the_manifest_that_lacks_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN, omit="noise-s1b-iw-grd-vh")
    with pytest.raises(SafeError, match=r"noise-s1b-iw-grd-vh-tiny\.xml is missing; download"):
        SafeArchive.open(path).verify()


def test_a_manifest_without_checksums_is_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    manifest = path / "manifest.safe"
    manifest.write_text(manifest.read_text().replace("dataObject>", "gone>"))
    with pytest.raises(SafeError, match="dataObjectSection lists no files"):
        SafeArchive.open(path).verify()


def test_real_products_without_rasters_are_incomplete_and_their_annotations_sound(real_data, tmp_path):
    """The fixtures lack measurements; one has a raster with its pixels taken out, so other checksums."""
    messages = {}
    for path in sorted((real_data / "safe").glob("*.zip")):
        with pytest.raises(SafeError) as error:
            SafeArchive.open(path).verify()
        messages[path.name[-13:-9]] = str(error.value)
    assert all("-vh-" in text and "is missing" in text for text in messages.values())
    (path,) = (real_data / "safe").glob("*8255*.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.glob("*.SAFE")
    archive = SafeArchive.open(folder)
    objects = archive.read("manifest.safe").decode()
    start = objects.index('<dataObject ID="s1aiwgrdvh')
    (folder / "manifest.safe").write_text(objects[:start] + "</dataObjectSection></xfdu:XFDU>")
    SafeArchive.open(folder).verify()
    flip(folder / archive.find("noise", "VH"), 5000)
    with pytest.raises(SafeError, match=r"noise-s1a-iw-grd-vh.*MD5"):
        SafeArchive.open(folder).verify()


@pytest.mark.parametrize("form", ["folder", "cog folder", "stored", "deflated", "cog stored"])
def test_measurement_that_ends_early_is_named_when_read(tmp_path, form):
    path = write_tiny_safe(tmp_path, DN, cog="cog" in form)
    measurement = next((path / "measurement").glob("*-vv-*"))
    measurement.write_bytes(measurement.read_bytes()[:100_000])
    if "folder" not in form:
        packed = tmp_path / "packed.zip"
        method = zipfile.ZIP_DEFLATED if form == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(packed, "w", method) as archive:
            for member in path.rglob("*"):
                archive.write(member, member.relative_to(tmp_path))
        path = packed
    with pytest.raises(SafeError, match=r"measurement.*download"):
        Product.open(path).calibrate("VV")


@pytest.mark.parametrize("kind", ["annotation/s1b", "calibration-s1b", "noise-s1b", "manifest.safe"])
def test_crc_of_a_small_file_is_checked_whenever_it_is_read(tmp_path, kind):
    path = write_tiny_safe(tmp_path, DN, zipped=True, compression=zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if kind in name and "-vh-" not in name)
    first, length = member_bytes(path, name)
    flip(path, first + length - 3)
    with pytest.raises(SafeError, match=r"is damaged \(Bad CRC-32.*download"):
        Product.open(path).calibrate("VV")


def test_missing_annotation_is_named(tmp_path):
    for polarisation in ("vv", "vh"):
        folder = tmp_path / polarisation
        path = write_tiny_safe(folder, DN, omit="nothing")
        (path / f"annotation/s1b-iw-grd-{polarisation}-tiny.xml").unlink()
        with pytest.raises(
            SafeError, match=f"no annotation file of polarisation {polarisation.upper()}.*down"
        ):
            Product.open(path)


def test_absurdly_large_annotation_is_refused_unpacked(tmp_path):
    path = write_tiny_safe(tmp_path, DN)
    shutil.rmtree(path / "annotation/calibration")
    (path / "annotation/s1b-iw-grd-vv-tiny.xml").unlink()
    target = tmp_path / "bomb.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in path.rglob("*"):
            archive.write(member, member.relative_to(tmp_path))
        name = f"{path.name}/annotation/s1b-iw-grd-vv-tiny.xml"
        with archive.open(name, "w") as stream:
            for _ in range(MAX_XML_BYTES // 1_000_000 + 1):
                stream.write(bytes(1_000_000))
    with pytest.raises(SafeError, match=rf"vv-tiny\.xml has more than {MAX_XML_BYTES} bytes"):
        Product.open(target)


def test_encrypted_and_several_products_in_a_zip_are_named(tmp_path):
    path = write_tiny_safe(tmp_path, DN, zipped=True)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(mark, place + 4)
    path.write_bytes(content)
    with pytest.raises(SafeError, match=r"encrypted.*download"):
        Product.open(path)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("one", "other"):
            archive.writestr(f"{name}.SAFE/manifest.safe", "<x/>")
    with pytest.raises(SafeError, match=r"2 files manifest\.safe"):
        Product.open(tmp_path / "two.zip")


@pytest.fixture(scope="module", params=[zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def sound_zip(request, tmp_path_factory):
    folder, dn = tmp_path_factory.mktemp("zip"), np.ones((20, 30))
    path = write_tiny_safe(folder, dn, zipped=True, compression=request.param)
    return path.read_bytes(), path.with_name("damaged.zip")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_zips_give_a_named_error_or_are_read(sound_zip, data):
    content, path = bytearray(sound_zip[0]), sound_zip[1]
    # The directory at the end is a small part of the file, and damage to it is the most manifold.
    start = content.find(b"PK\x01\x02") if data.draw(st.booleans()) else 0
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(start, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(start, len(content)))])
    message = None
    try:
        product = Product.open(path)
        product.archive.verify()
        product.calibrate("VV")
    except SafeError as error:
        message = str(error)
    assert message is None or path.name in message

"""Zips that would write outside their folder or fill the disk are refused before anything is read."""

import stat
import zipfile

import numpy as np
import pytest
from tiny_safe import write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1 import hostile_zip
from avalanche_assets.sentinel1.safe import SafeArchive

SOUND = np.ones((20, 30))


def add(path, name, content=b"x", mode=0):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        # The writer would make the name harmless.
        info.filename = name
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, content)


@pytest.fixture
def product(tmp_path):
    path = write_tiny_safe(tmp_path, SOUND, zipped=True)
    SafeArchive.open(path).verify()
    return path


@pytest.mark.parametrize(
    "name",
    [
        "/etc/cron.d/x",
        "../x",
        "P.SAFE/../../x",
        "P.SAFE/..",
        "C:/x",
        "c:x",
        "P.SAFE\\..\\x",
        "\\\\host\\x",
        "P\0/x",
    ],
)
def test_members_outside_of_a_folder_are_refused(product, name):
    add(product, name)
    with pytest.raises(
        SafeError, match=rf"{product.name}: member .* is no plain file inside of a folder.*delete it"
    ):
        SafeArchive.open(product)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(product, kind):
    add(product, "P.SAFE/measurement/link", b"/etc/passwd", kind | 0o777)
    with pytest.raises(SafeError, match="measurement/link' is no plain file"):
        SafeArchive.open(product)


@pytest.mark.parametrize("mode", [0, stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755])
def test_files_and_folders_pass(product, mode):
    add(product, "P.SAFE/support/x..y" + "/" * stat.S_ISDIR(mode), b"" if stat.S_ISDIR(mode) else b"x", mode)
    SafeArchive.open(product)


def test_two_members_of_one_name_are_refused(product):
    """Readers disagree on which of them counts."""
    with zipfile.ZipFile(product) as archive:
        name = archive.namelist()[0]
    with pytest.warns(UserWarning, match="Duplicate name"):
        add(product, name)
    with pytest.raises(SafeError, match="a member is there twice"):
        SafeArchive.open(product)


def test_a_bomb_is_refused_by_its_ratio(product, monkeypatch):
    monkeypatch.setattr(hostile_zip, "HARMLESS_BYTES", 1_000_000)
    add(product, "P.SAFE/measurement/zeros", bytes(5_000_000))
    with pytest.raises(SafeError, match=r"it would unpack \d+ to 50\d+ bytes"):
        SafeArchive.open(product)


def claim(path, size=None, packed=None):
    """Rewrites what the directory says of the last member."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    if packed is not None:
        content[entry + 20 : entry + 24] = packed.to_bytes(4, "little")
    if size is not None:
        content[entry + 24 : entry + 28] = size.to_bytes(4, "little")
    path.write_bytes(content)


def test_a_bomb_is_refused_by_its_claim(product):
    add(product, "P.SAFE/measurement/claim", bytes(1000))
    claim(product, size=4_000_000_000)
    with pytest.raises(SafeError, match=r"it would unpack \d+ to 40\d+ bytes"):
        SafeArchive.open(product)


def test_members_that_share_their_bytes_are_refused(product):
    """As in bombs whose many members all unpack the same few bytes."""
    add(product, "P.SAFE/measurement/shared", bytes(1000))
    claim(product, packed=product.stat().st_size)
    with pytest.raises(SafeError, match=r"members claim \d+ packed bytes in a file of \d+"):
        SafeArchive.open(product)


def test_a_member_that_unpacks_to_more_than_it_claims_is_found(product):
    add(product, "P.SAFE/measurement/more", bytes(5_000_000))
    claim(product, size=1000)
    with zipfile.ZipFile(product) as archive, pytest.raises(zipfile.BadZipFile):
        archive.read("P.SAFE/measurement/more")
    assert SafeArchive.open(product)


def test_real_products_pass(real_data):
    for path in sorted((real_data / "safe").glob("*.zip")):
        assert SafeArchive.open(path).members

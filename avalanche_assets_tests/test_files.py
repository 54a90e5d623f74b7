import errno
import hashlib
import os

import pytest
from stored_roots import names

from avalanche_assets.errors import DiskError
from avalanche_assets.files import atomic_path, sha256, write_text


def test_file_appears_only_when_the_block_is_done(root):
    target = root / "new" / "table.parquet"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.suffix == ".parquet"
        temporary.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    assert names(root) == ["new/table.parquet"]


def test_temporary_file_of_a_folder_lies_beside_it_so_that_renaming_is_one_step(tmp_path):
    with atomic_path(tmp_path / "new" / "table.parquet") as temporary:
        assert temporary.parent == tmp_path / "new"
        temporary.touch()


def test_failure_leaves_the_old_file_and_no_rubbish(root):
    target = root / "table.csv"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert names(root) == [target.name]


def test_a_full_disk_is_named_with_the_remedy(tmp_path):
    target = tmp_path / "table.csv"

    def fill() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        DiskError, match=rf"{target}: cannot be .*written \(No space left on device\); make room"
    ):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_replaced(root):
    target = root / "note.txt"
    write_text(target, "first")
    write_text(target, "Dévoluy")
    assert target.read_bytes() == "Dévoluy".encode()


def test_two_writers_of_one_file_do_not_share_a_temporary(root):
    target = root / "a.txt"
    with atomic_path(target) as one, atomic_path(target) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # the outer block ends last


def test_digest_is_that_of_the_bytes(root):
    path = root / "x.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    assert sha256(path) == hashlib.sha256(bytes(range(256)) * 1000).hexdigest()

"""A disk that is full after so many bytes, for downloads."""

import errno
import os

import pytest

from avalanche_assets.services.part_file import PartFile


class _FullAfter:
    """A file of which only `room` more bytes can be written."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(data[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name):
        return getattr(self._file, name)


def fill_disk_after(patch: pytest.MonkeyPatch, room: int) -> None:
    """From now on, each part file takes `room` bytes and then says that no space is left."""
    real = PartFile.__init__

    def limited(part, folder, name, digested=True):
        real(part, folder, name, digested)
        part._file = _FullAfter(part._file, room)

    patch.setattr(PartFile, "__init__", limited)

import logging

import pytest

from avalanche_assets.assets import transfers
from avalanche_assets.assets.transfers import TransferLog
from avalanche_assets.services.progress import Transferred


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_download_is_logged_at_its_begin_now_and_then_and_at_its_end(lines, monkeypatch):
    times = iter([0.0, 1.0, 31.0, 32.0])
    monkeypatch.setattr(transfers.time, "monotonic", lambda: next(times))
    log = TransferLog(logging.getLogger("dagster"))
    for done in (10e6, 20e6, 700e6, 1000e6):
        log(Transferred("X.SAFE.zip", int(done), 1_000_000_000, 20e6))
    assert lines() == [
        "X.SAFE.zip: 10 of 1,000 MB, 20.0 MB/s, 50 s left",
        "X.SAFE.zip: 700 of 1,000 MB, 20.0 MB/s, 15 s left",
        "X.SAFE.zip: 1,000 of 1,000 MB, 20.0 MB/s, 0 s left",
    ]


def test_files_are_told_apart_and_an_unknown_size_is_left_out(lines):
    log = TransferLog(logging.getLogger("dagster"))
    log(Transferred("A.zip", 5_000_000, None, 0.0))
    log(Transferred("B.zip", 6_000_000, 12_000_000, 0.0))
    assert lines() == ["A.zip: 5 MB, 0.0 MB/s", "B.zip: 6 of 12 MB, 0.0 MB/s"]

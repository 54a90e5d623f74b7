"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of small real data sets; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AVALANCHE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set AVALANCHE_TEST_DATA to the folder that holds it")
    return folder

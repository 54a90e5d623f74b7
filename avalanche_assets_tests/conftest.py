"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from finished_season import tiny_season  # noqa: F401  a fixture of all folders
from hypothesis import settings
from stored_roots import bucket_root, root, store, store_process  # noqa: F401

# Continuous integration always tries the same examples; elsewhere new ones are searched. Loaded machines are
# slow without being wrong, so no example has a deadline.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of small real data sets; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AVALANCHE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set AVALANCHE_TEST_DATA to the folder that holds it")
    return folder

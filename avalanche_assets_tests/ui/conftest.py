"""Browser tests need a browser."""

import pytest
from browser import chromium


@pytest.fixture(scope="session", autouse=True)
def _browser():
    if chromium() is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, then make ui-test")

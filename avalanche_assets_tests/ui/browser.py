"""The Chromium of this machine, driven by Playwright, and the pictures that the handbook keeps of it."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from avalanche_assets.reporting.style import smaller

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PICTURES = "AVALANCHE_PICTURES"
"""Environment variable that names the folder to keep pictures in; without it they are not kept."""
PICTURE_KB = 160
SETTLED_S = 1.5
"""Until graphs have zoomed to the window and dialogs stand still."""


def chromium() -> str | None:
    """The browser's executable, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_page(width: int = 1280, height: int = 900, **remembered: str) -> Iterator[Page]:
    """A page of a fresh browser; `remembered` goes into its local storage, underscores for hyphens.

    Every address that it asks for is in the list ``page.asked``.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        for name, value in remembered.items():
            page.add_init_script(f"localStorage.setItem('{name.replace('_', '-')}', '{value}')")
        try:
            yield page
        finally:
            browser.close()


def keep_picture(page: Page, name: str, height: int | None = None) -> None:
    """Keeps what the page shows as ``name.png`` for the handbook, where the environment says so.

    `height` leaves out what is below: logs hold the paths of the machine that made them.
    """
    folder = os.environ.get(PICTURES)
    if folder:
        time.sleep(SETTLED_S)
        size = page.viewport_size
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        Path(folder, f"{name}.png").write_bytes(smaller(page.screenshot(clip=clip), PICTURE_KB))

"""A headless Chromium steered over its DevTools protocol: open a page, wait for it, ask it, draw it.

Waiting for a condition in the page is what `chromium --screenshot` cannot do, and what a page needs that
fills itself by queries.
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)


def chromium() -> str | None:
    """The browser's executable, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._last_id = 0
        self._command("Page.enable")

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last_id += 1
        self._connection.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._last_id:
                assert "error" not in message, message
                return message["result"]

    def remember(self, **items: Any) -> None:
        """Sets local storage before any page's own scripts run; underscores in names stand for hyphens."""
        lines = [
            f"localStorage.setItem({json.dumps(name.replace('_', '-'))}, {json.dumps(json.dumps(value))});"
            for name, value in items.items()
        ]
        self._command("Page.addScriptToEvaluateOnNewDocument", source="\n".join(lines))

    def open(self, url: str) -> None:
        self._command("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; an exception in it counts as null."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> Any:
        """The first true value of a JavaScript expression."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = self.evaluate(condition)
            if value:
                return value
            time.sleep(0.25)
        text = self.evaluate("document.body.innerText")
        raise AssertionError(f"{condition}: not within {seconds:.0f} s; the page says\n{text}")

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"])


@contextmanager
def open_browser(executable: str, width: int, height: int) -> Iterator[Page]:
    """A tab of a fresh browser with a window of `width` x `height` pixels."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                executable,
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            browser = _devtools_url(Path(profile) / "DevToolsActivePort")
            with connect(browser, max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _devtools_url(port_file: Path) -> str:
    """WebSocket address of the first tab, as soon as the browser has written its port."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if port_file.exists() and (lines := port_file.read_text().split()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=10) as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser did not open its DevTools port within 30 s")

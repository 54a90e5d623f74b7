"""Rendering of self-contained HTML pages: templates with escaping, pictures inline, plain-language dates."""

import base64
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from avalanche_assets.detection.palette import NOT_OBSERVABLE, QUALITY
from avalanche_assets.files import atomic_path

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Renders one of the package's templates; every value is escaped."""
    page = _ENVIRONMENT.get_template(template)
    return page.render(palette=QUALITY, not_observable=NOT_OBSERVABLE, **values)


def inline(picture: bytes) -> str:
    """A picture as base64 text for a data URL."""
    return base64.b64encode(picture).decode("ascii")


def write_bytes(target: Path, content: bytes) -> None:
    """Writes `content` to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def long_date(day: date) -> str:
    """``3 January 2018``."""
    return f"{day.day} {day:%B %Y}"


def instant(moment: datetime) -> str:
    """``3 January 2018, 05:43 UTC``."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def percent(part: int, whole: int) -> str:
    """A share in whole percent, or a dash of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "—"


def number(count: int, noun: str) -> str:
    """``1 corridor``, ``2 corridors``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")

"""Rendering of self-contained HTML pages: templates with escaping, pictures inline."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from avalanche_assets.detection.palette import NEW, NOT_OBSERVABLE, PERSISTING, QUALITY, QUIET
from avalanche_assets.files import atomic_path
from avalanche_assets.reporting.language import Language

COLOURS = {**QUALITY, "hidden": NOT_OBSERVABLE, "quiet": QUIET, "new": NEW, "persisting": PERSISTING}

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, language: Language, **values: Any) -> str:
    """Renders one of the package's templates in a language; every value is escaped."""
    page = _ENVIRONMENT.get_template(template)
    return page.render(language=language, say=language.say, say_n=language.say_n, colours=COLOURS, **values)


def inline(picture: bytes) -> str:
    """A picture as base64 text for a data URL."""
    return base64.b64encode(picture).decode("ascii")


def write_bytes(target: Path, content: bytes) -> None:
    """Writes `content` to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)

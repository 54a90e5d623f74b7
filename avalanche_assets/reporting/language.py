"""The languages of pages and pictures: English in the code, the others in one catalogue each, `locale/*.po`.

Texts are marked where they stand: ``language.say("...")``, ``language.say_n("...", "...", n)``, and constants
with `marked`. Values go into braces and are formatted before, by the methods below, as the language does.

Source of plural rules, dates and numbers: Unicode CLDR, through Babel.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

LanguageCode = Literal["en", "fr"]

LOCALES = {"en": "en_GB", "fr": "fr_FR"}
NAMES = {"en": "English", "fr": "Français"}
CATALOGUES = Path(__file__).parent / "locale"
DASH = "—"


def marked(text: str) -> str:
    """`text` itself; marks a constant for the catalogue that is said where it is used."""
    return text


COMPASS = (
    *(marked("N"), marked("NE"), marked("E"), marked("SE")),
    *(marked("S"), marked("SW"), marked("W"), marked("NW")),
)


@dataclass(frozen=True)
class Language:
    """One language: what to say, and how to write numbers and dates."""

    code: str

    @property
    def name(self) -> str:
        """The language's name for itself."""
        return NAMES[self.code]

    def say(self, text: str, **values: object) -> str:
        """The text in this language, `values` in the place of its braces."""
        translated: str = _translations(self.code).gettext(text)
        return translated.format(**values) if values else translated

    def say_n(self, one: str, many: str, n: int, **values: object) -> str:
        """The text for a number; ``{n}`` stands for the number as the language writes it."""
        translated: str = _translations(self.code).ngettext(one, many, n)
        return translated.format(n=self.number(n), **values)

    def number(self, value: float, decimals: int = 0, sign: bool = False) -> str:
        """``1,234.5`` or ``1 234,5``; with `sign`, ``+`` stands before what is positive."""
        form = "#,##0" + ("." + "0" * decimals if decimals else "")
        text: str = format_decimal(value, format=f"+{form};-{form}" if sign else form, locale=self._locale)
        # A hyphen is no minus, neither for the eye nor for a screen reader.
        return text.replace("-", "\N{MINUS SIGN}")

    def percent(self, part: int, whole: int) -> str:
        """A share in whole percent, or a dash of nothing."""
        return f"{self.number(100 * part / whole)}\N{NO-BREAK SPACE}%" if whole else DASH

    def long_date(self, day: date) -> str:
        """``3 January 2018``."""
        return str(format_date(day, "d MMMM y", locale=self._locale))

    def short_date(self, day: date) -> str:
        """``3 Jan``."""
        return str(format_date(day, "d MMM", locale=self._locale))

    def instant(self, moment: datetime) -> str:
        """``3 January 2018, 05:43 UTC``."""
        return f"{self.long_date(moment.date())}, {format_time(moment, 'HH:mm', locale=self._locale)} UTC"

    def compass(self, direction_deg: float) -> str:
        """One of eight compass points for a direction clockwise from north, a dash for NaN."""
        if direction_deg != direction_deg:
            return DASH
        return self.say(COMPASS[round(direction_deg / 45) % 8])

    @property
    def _locale(self) -> Locale:
        return Locale.parse(LOCALES[self.code])


def page_name(stem: str, suffix: str, language: Language, languages: Sequence[str]) -> str:
    """``bulletin.html`` for the first of the languages, ``bulletin.fr.html`` for another."""
    middle = "" if language.code == languages[0] else f".{language.code}"
    return f"{stem}{middle}{suffix}"


@cache
def _translations(code: str) -> NullTranslations:
    if code == "en":
        return NullTranslations()
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)

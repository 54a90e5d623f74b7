"""Languages: the catalogue is complete, and numbers, dates and plurals are as people write them."""

import string
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import avalanche_assets
from avalanche_assets.reporting.language import CATALOGUES, Language, page_name

PACKAGE = Path(avalanche_assets.__file__).parent
ENGLISH, FRENCH = Language("en"), Language("fr")
NBSP, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.fixture(scope="module")
def texts():
    """Every text marked in the code and the templates: (one,) or (one, many)."""
    found = extract_from_dir(
        PACKAGE / "reporting",
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2")],
        keywords={"say": None, "say_n": (1, 2), "marked": None},
    )
    return {text if isinstance(text, tuple) else (text,) for _, _, text, _, _ in found}


@pytest.fixture(scope="module")
def catalogue():
    with (CATALOGUES / "fr.po").open("rb") as file:
        return {
            message.id if isinstance(message.id, tuple) else (message.id,): message
            for message in read_po(file, locale="fr")
            if message.id
        }


def test_catalogue_has_every_text_and_no_other(texts, catalogue):
    assert texts == set(catalogue)
    assert len(texts) > 150


def test_every_translation_is_there_and_has_the_same_fields(catalogue):
    for original, message in catalogue.items():
        translated = message.string if isinstance(message.string, tuple) else (message.string,)
        assert len(translated) == len(original)
        assert not message.fuzzy
        for text in translated:
            assert text
            assert fields(text) <= fields(original[-1]), text
        assert fields(translated[-1]) == fields(original[-1])


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0 jour"), (1, "1 jour"), (2, "2 jours"), (1000, f"1{NARROW}000 jours")]
)
def test_french_plural_begins_at_two(n, said):
    assert FRENCH.say_n("{n} day", "{n} days", n) == said


def test_english_plural_is_of_one_alone():
    assert [ENGLISH.say_n("{n} day", "{n} days", n) for n in (0, 1, 1000)] == [
        "0 days",
        "1 day",
        "1,000 days",
    ]


def test_numbers_follow_the_language():
    assert ENGLISH.number(1234.56, 1) == "1,234.6"
    assert FRENCH.number(1234.56, 1) == f"1{NARROW}234,6"
    assert [ENGLISH.number(value, 1, sign=True) for value in (3.14, -2.0)] == ["+3.1", "\N{MINUS SIGN}2.0"]
    assert (ENGLISH.percent(1, 4), FRENCH.percent(0, 0)) == (f"25{NBSP}%", "—")


def test_dates_follow_the_language():
    moment = datetime(2018, 2, 3, 5, 43, tzinfo=UTC)
    assert ENGLISH.instant(moment) == "3 February 2018, 05:43 UTC"
    assert FRENCH.instant(moment) == "3 février 2018, 05:43 UTC"
    assert (ENGLISH.short_date(date(2018, 1, 3)), FRENCH.short_date(date(2018, 1, 3))) == ("3 Jan", "3 janv.")


@pytest.mark.parametrize(
    ("angle", "english", "french"),
    [
        (0, "N", "N"),
        (22, "N", "N"),
        (23, "NE", "NE"),
        (225, "SW", "SO"),
        (338, "N", "N"),
        (float("nan"), "—", "—"),
    ],
)
def test_compass_point_is_the_nearest_of_eight(angle, english, french):
    assert (ENGLISH.compass(angle), FRENCH.compass(angle)) == (english, french)


def test_first_language_has_the_plain_file_name():
    names = [page_name("bulletin", ".html", Language(code), ("fr", "en")) for code in ("fr", "en")]
    assert names == ["bulletin.html", "bulletin.en.html"]

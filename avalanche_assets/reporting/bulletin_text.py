"""What a bulletin says, in the language of its reader: lead, warnings, cells of its tables, facts."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import geopandas as gpd
import pandas as pd

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.reviewing import ADDED, CONFIRMED, REJECTED
from avalanche_assets.patches.observability import NOT_PROCESSED
from avalanche_assets.reporting.language import DASH, Language, marked
from avalanche_assets.reporting.summary import OUTSIDE, USUAL_GAP_DAYS, Change, Counts, Part
from avalanche_assets.settings import DetectionSettings, Settings

WET_SNOW_WARNING = 0.3
"""Median share of wet-snow pixels from which the bulletin warns first of all."""

COVERAGE_WARNING = 0.6
"""Share of corridors that could be judged below which the bulletin warns."""

SMALLEST_DEPOSIT_M2 = 2000
"""Deposits below this area are mostly invisible to Sentinel-1.

Source: Leinss et al. 2020, NHESS 20, 1783: cut-off area of 2,000 m2.
"""

OPERATING_POINTS = {
    "balanced": marked("avalanche and no avalanche are recognised equally well (best balanced accuracy)"),
    "mapping": marked("false alarms and misses weigh alike (best F1)"),
    "screening": marked("misses weigh more than false alarms (best F2)"),
    "budget": marked("at most about {share} of the corridors without an avalanche raise a false alarm"),
}
BUDGET_BY_DATE = marked("at most about {alarms} corridors without an avalanche raise a false alarm on a date")

STATES = (marked("new"), marked("persisting"))
REVIEWS = (marked("confirmed"), marked("rejected"), marked("added"))
REASONS = (
    *(marked("layover"), marked("shadow"), marked("layover or shadow"), marked("wet snow")),
    *(
        marked("outside swath"),
        marked("no previous acquisition"),
        marked("previous acquisition not processed"),
    ),
    marked("no value common to both acquisitions"),
    marked("no patch: the corridor lies outside the processed area"),
)
"""Words of the tables that pages translate."""


def orbit_words(settings: Settings, language: Language) -> str:
    """``orbit 139, descending``."""
    directions = {"DESCENDING": language.say("descending"), "ASCENDING": language.say("ascending")}
    track = settings.track
    return language.say(
        "orbit {orbit}, {direction}", orbit=track.relative_orbit, direction=directions[track.direction]
    )


def window_words(current: Acquisition, previous: Acquisition | None, language: Language) -> str:
    """From the previous overpass to this one, and how many days that is."""
    now = language.instant(current.overpass)
    if previous is None:
        return language.say("{instant}; no previous acquisition to compare with", instant=now)
    days = language.say_n("{n} day", "{n} days", (current.date - previous.date).days)
    before = language.instant(previous.overpass)
    return language.say("{start} to {end} ({days})", start=before, end=now, days=days)


def lead(counts: Counts, previous: Acquisition | None, language: Language) -> str:
    """The message of the date in one or two sentences."""
    say, say_n = language.say, language.say_n
    if counts.observable == 0:
        return say_n(
            "The only corridor could not be judged on this date: no statement about avalanches is possible.",
            "None of {n} corridors could be judged on this date: no statement about avalanches is possible.",
            counts.total,
        )
    seen = say_n(
        "{seen} of {n} corridor could be judged.",
        "{seen} of {n} corridors could be judged.",
        counts.total,
        seen=language.number(counts.observable),
    )
    if counts.detections == 0:
        nothing = say("No deposit detected.")
        return f"{nothing} {seen}"
    found = say_n("{n} deposit detected", "{n} deposits detected", counts.detections)
    new = say_n("{n} new", "{n} new", counts.new)
    if previous is not None:
        since = language.long_date(previous.date)
        new = say_n("{n} new since {date}", "{n} new since {date}", counts.new, date=since)
    known = say_n(
        "{n} already seen at the previous pass", "{n} already seen at the previous pass", counts.persisting
    )
    message = say("{found}: {new}, {known}.", found=found, new=new, known=known)
    return f"{message} {seen}"


def subtitle(counts: Counts, language: Language) -> str:
    """The counts in one line, for the head of the picture."""
    say_n = language.say_n
    return language.say(
        "{new}, {persisting}, {hidden} of {corridors}",
        new=say_n("{n} new deposit", "{n} new deposits", counts.new),
        persisting=say_n("{n} persisting", "{n} persisting", counts.persisting),
        hidden=say_n("{n} not observable", "{n} not observable", counts.hidden),
        corridors=say_n("{n} corridor", "{n} corridors", counts.total),
    )


def warnings(
    detections: gpd.GeoDataFrame,
    counts: Counts,
    current: Acquisition,
    previous: Acquisition | None,
    language: Language,
    *,
    previous_held_back: bool = False,
) -> list[tuple[str, str]]:
    """What a reader has to know before the tables: heading and explanation, the worst first."""
    say = language.say
    found = []
    if previous is None:
        found.append(
            (
                say("Nothing to compare with"),
                say("There is no previous acquisition, so new deposits cannot be told apart."),
            )
        )
    elif (detections["reason"] == NOT_PROCESSED).all():
        found.append(
            (
                say("Nothing to compare with"),
                say(
                    "The previous acquisition could not be processed yet, so nothing can be said of this one."
                ),
            )
        )
    if previous is not None and previous_held_back:
        found.append(
            (
                say("Previous date held back"),
                say(
                    "On {date} more corridors seemed to hold a deposit than can be true (melt, or a wrong "
                    "image), so nothing of that date was published or is counted here. This date is compared "
                    "with that image: new deposits may be missing or false.",
                    date=language.long_date(previous.date),
                ),
            )
        )
    wet = median_wet_snow(detections)
    if wet >= WET_SNOW_WARNING:
        found.append(
            (
                say("Wet snow"),
                say(
                    "In half of the judged corridors {share} or more is as dark as wet snow. Wet snow hides "
                    "deposits, and refreezing looks like them: expect both misses and false alarms.",
                    share=language.percent(round(100 * wet), 100),
                ),
            )
        )
    if counts.observable < COVERAGE_WARNING * counts.total:
        found.append(
            (
                say("Poor coverage"),
                say(
                    "Only {share} of the corridors could be judged. The others are not free of avalanches: "
                    "nothing is known about them.",
                    share=language.percent(counts.observable, counts.total),
                ),
            )
        )
    if previous is not None and (days := (current.date - previous.date).days) > USUAL_GAP_DAYS:
        found.append(
            (
                say("Long gap"),
                say(
                    "{days} days lie between the two passes instead of {usual}: deposits may have faded or "
                    "been covered, and the time of an avalanche is less certain.",
                    days=language.number(days),
                    usual=language.number(USUAL_GAP_DAYS),
                ),
            )
        )
    if not current.complete:
        found.append((say("Incomplete acquisition"), say("Some products of the acquisition are missing.")))
    return found


def held_back_warning(days: Sequence[date], language: Language) -> list[tuple[str, str]]:
    """What a season report says of dates that were not published; nothing without any."""
    if not days:
        return []
    text = language.say(
        "More corridors seemed to hold a deposit than can be true (melt, or a wrong image), so nothing of "
        "these dates was published or is counted here: {dates}.",
        dates=", ".join(map(language.long_date, days)),
    )
    return [(language.say("Dates held back"), text)]


def median_wet_snow(detections: gpd.GeoDataFrame) -> float:
    """Median share of wet snow of the corridors that were looked at, NaN where nothing is known."""
    looked_at = detections["observable"].to_numpy(bool) | (detections["reason"] == "wet snow").to_numpy(bool)
    return float(detections.loc[looked_at, "wet_snow_fraction"].median())


def notes(detections: gpd.GeoDataFrame, counts: Counts, language: Language) -> list[str]:
    """What always limits a bulletin, and what people changed in this one."""
    say = language.say
    found = [
        say(
            "Coverage: {share} of the corridors could be judged ({seen} of {total}).",
            share=language.percent(counts.observable, counts.total),
            seen=language.number(counts.observable),
            total=language.number(counts.total),
        )
    ]
    wet = median_wet_snow(detections)
    if not pd.isna(wet) and wet < WET_SNOW_WARNING:
        found.append(say("Wet snow hardly limits this date."))
    found.append(
        say(
            "Radar sees the rough deposit, not the release or the track, and mostly misses deposits smaller "
            "than about {area} m². Nothing detected does not mean that no avalanche came down.",
            area=language.number(SMALLEST_DEPOSIT_M2),
        )
    )
    found.append(
        say(
            "The date of an avalanche is known no better than the time between the two passes. Deposits stay "
            "visible for weeks: those already seen before are no new activity."
        )
    )
    reviews = detections["review"].value_counts()
    if len(reviews):
        found.append(
            say(
                "Reviewed by hand: {confirmed} confirmed, {rejected} rejected (not shown), {added} added.",
                confirmed=reviews.get(CONFIRMED, 0),
                rejected=reviews.get(REJECTED, 0),
                added=reviews.get(ADDED, 0),
            )
        )
    return found


def detection_cells(detections: gpd.GeoDataFrame, language: Language) -> list[dict[str, Any]]:
    """Text of every detection's cells, by quality and then score; a dash where a measure is missing."""
    found = detections[detections["is_detection"].to_numpy(bool)]
    ordered = found.sort_values(["quality", "score", "corridor_id"], ascending=[True, False, True])
    return [
        {
            "quality": row.quality,
            "review": language.say(row.review) if isinstance(row.review, str) else "",
            "corridor": row.corridor_id,
            "name": row.corridor_name or row.corridor_id,
            "massif": massif_name(row.massif_id, row.massif, language),
            "state": _state(row, language),
            "is_new": row.new_or_persisting == "new",
            "place": place_words(row.latitude, row.longitude, language),
            "geo": f"geo:{row.latitude:.5f},{row.longitude:.5f}",
            "area": _measure(row.area_m2, language, 0, " m²"),
            "elevation": _elevation(row, language),
            "aspect": language.compass(row.aspect_deg),
            "slope": _measure(row.slope_deg, language, 0, "°"),
            "dvv": _signed(row.dvv_mean_db, language),
            "dvh": _signed(row.dvh_mean_db, language),
            "score": _measure(row.score, language, 2),
            "sort": {
                name: "" if pd.isna(value := getattr(row, column)) else f"{value:.6g}"
                for name, column in _SORTED_BY.items()
            },
        }
        for row in ordered.itertuples()
    ]


_SORTED_BY = {
    "state": "times_seen",
    "area": "area_m2",
    "elevation": "elevation_min_m",
    "aspect": "aspect_deg",
    "slope": "slope_deg",
    "dvv": "dvv_mean_db",
    "dvh": "dvh_mean_db",
    "score": "score",
}
"""Columns of the table on the page that sort by a measure instead of their text."""


def place_words(latitude: float, longitude: float, language: Language) -> str:
    """``45.3021° N, 6.9150° E``, some ten metres fine."""
    say = language.say
    north = say("N") if latitude >= 0 else say("S")
    east = say("E") if longitude >= 0 else say("W")
    lat, lon = (language.number(abs(value), 4) for value in (latitude, longitude))
    return f"{lat}° {north}, {lon}° {east}"


def massif_name(identifier: int, name: str, language: Language) -> str:
    """Name of a massif; number 0 stands for outside all of them."""
    return name if identifier and name != OUTSIDE else language.say(OUTSIDE)


def _state(row: Any, language: Language) -> str:
    if row.new_or_persisting == "new":
        return language.say("new")
    return language.say_n(
        "persisting: {n} pass, since {date}",
        "persisting: {n} passes, since {date}",
        int(row.times_seen),
        date=language.short_date(row.first_seen),
    )


def _elevation(row: Any, language: Language) -> str:
    if pd.isna(row.elevation_min_m):
        return DASH
    low, high = (language.number(value) for value in (row.elevation_min_m, row.elevation_max_m))
    return f"{low}\N{EN DASH}{high} m"


def _measure(value: float, language: Language, decimals: int, unit: str = "") -> str:
    return DASH if pd.isna(value) else language.number(value, decimals) + unit


def _signed(value: float, language: Language) -> str:
    return DASH if pd.isna(value) else f"{language.number(value, 1, sign=True)} dB"


def band_words(part: Part, language: Language) -> str:
    """``1,500–1,800 m``, ``above 2,400 m``."""
    if part.low_m is None:
        return language.say("below {height} m", height=language.number(part.high_m or 0))
    if part.high_m is None:
        return language.say("above {height} m", height=language.number(part.low_m))
    return f"{language.number(part.low_m)}\N{EN DASH}{language.number(part.high_m)} m"


def change_cells(change: Change, counts: Counts, language: Language) -> list[tuple[str, int]]:
    """What changed since the previous pass, in words and numbers."""
    say = language.say
    return [
        (say("New deposits"), counts.new),
        (say("Still visible"), change.still),
        (say("No longer visible: faded, covered, or below the threshold"), change.gone),
        (say("Could not be looked at again"), change.unseen),
    ]


def operating_point_words(detection: DetectionSettings, language: Language) -> str:
    """What the operating point means, in a sentence."""
    if detection.operating_point == "budget" and detection.alarms_per_date is not None:
        return language.say(BUDGET_BY_DATE, alarms=language.number(detection.alarms_per_date, 0))
    share = 100 * detection.false_alarm_rate
    share_words = f"{language.number(share, 0 if share == round(share) else 1)}\N{NO-BREAK SPACE}%"
    return language.say(OPERATING_POINTS[detection.operating_point], share=share_words)


def facts(
    detections: gpd.GeoDataFrame, current: Acquisition, settings: Settings, language: Language
) -> list[tuple[str, str]]:
    """How a bulletin was made: term and explanation."""
    say, row = language.say, detections.iloc[0]
    return [
        (
            say("Acquisition"),
            say(
                "{instant}, {platform}, absolute orbit {orbit}",
                instant=language.instant(current.overpass),
                platform=current.platform,
                orbit=current.absolute_orbit,
            ),
        ),
        (say("Products"), ", ".join(current.products)),
        (
            say("Detector"),
            say("{name}, version {version}", name=row["detector"], version=row["detector_version"]),
        ),
        (
            say("Threshold"),
            say(
                "{threshold}, operating point “{point}”: chosen on the validation dates so that {meaning}",
                threshold=language.number(row["threshold"], 3),
                point=row["operating_point"],
                meaning=operating_point_words(settings.detection, language),
            ),
        ),
        (
            say("Map grid"),
            say(
                "{crs}, {size} m pixels",
                crs=detections.crs.to_string(),
                size=settings.grid.resolution_m,
            ),
        ),
    ]

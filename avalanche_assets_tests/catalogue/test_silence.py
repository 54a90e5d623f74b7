from datetime import UTC, date, datetime

from avalanche_assets.catalogue.acquisitions import Acquisition, season_of
from avalanche_assets.catalogue.silence import silence_warning


def acquisition(day: str, state: str = "complete") -> Acquisition:
    parsed = date.fromisoformat(day)
    overpass = datetime(parsed.year, parsed.month, parsed.day, 5, 43, 30, tzinfo=UTC)
    return Acquisition(parsed, overpass, "S1C", 10212, "winter", season_of(parsed), state, ("A",))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


FOUND = [acquisition("2026-10-31"), acquisition("2026-11-06")]


def warning(now: str, acquisitions=FOUND) -> str:
    return silence_warning(acquisitions, 139, "DESCENDING", at(now))


def test_a_week_without_data_is_no_silence_yet():
    assert warning("2026-11-12T12:00") == ""
    assert warning("2026-11-13T05:43") == ""


def test_after_a_week_the_missed_and_the_next_predicted_pass_are_named():
    text = warning("2026-11-13T05:44")
    assert text.startswith("no acquisition of relative orbit 139 for 7 days, since 2026-11-06:")
    assert "1 predicted since brought nothing, the first 2026-11-12 (S1D, orbit 5430)" in text
    assert "next predicted: 2026-11-18 (S1C, orbit 10387)" in text


def test_pass_of_the_last_day_is_still_to_come():
    text = warning("2026-11-18T12:00")
    assert "1 predicted since brought nothing, the first 2026-11-12" in text
    assert "next predicted: 2026-11-18" in text


def test_long_silence_counts_the_missed_passes():
    assert "10 predicted since brought nothing, the first 2026-11-12" in warning("2027-01-06T12:00")


def test_without_a_pass_predicted_the_warning_says_so():
    """One platform from 2022 to 2024: twelve days between passes."""
    last = [acquisition("2022-01-06")]
    text = silence_warning(last, 139, "DESCENDING", at("2022-01-14T12:00"))
    assert "for 8 days, since 2022-01-06: none was predicted since; next predicted: 2022-01-18 (S1A" in text


def test_withdrawn_acquisition_is_no_data():
    found = [*FOUND, acquisition("2026-11-12", "withdrawn")]
    assert "since 2026-11-06" in warning("2026-11-14T12:00", found)


def test_incomplete_and_offline_acquisitions_are_data():
    for state in ("incomplete", "offline"):
        assert warning("2026-11-14T12:00", [*FOUND, acquisition("2026-11-12", state)]) == ""


def test_empty_catalogue_names_the_next_pass():
    assert warning("2026-11-14T12:00", []) == (
        "no acquisition of relative orbit 139 is known; next predicted: 2026-11-18 (S1C, orbit 10387)"
    )

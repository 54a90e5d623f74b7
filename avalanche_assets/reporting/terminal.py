"""What commands print: how a season stands, and what a run brought."""

from collections.abc import Iterator

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue, read_catalogue
from avalanche_assets.catalogue.season import SeasonOutlook
from avalanche_assets.detection.plausible import held_back
from avalanche_assets.detection.reviewing import awaits_reviews
from avalanche_assets.detection.reviews import reviews_file, reviews_of
from avalanche_assets.reporting.evaluation_text import evaluation_text
from avalanche_assets.reporting.summary import count
from avalanche_assets.settings import Settings
from avalanche_assets.tables import CORRIDORS, DETECTIONS, EVALUATION, read_geotable, read_table

STATES_SHOWN = ("complete", "incomplete", "offline", "withdrawn", "pending", "missing", "expected")


def season_lines(outlook: SeasonOutlook) -> Iterator[str]:
    """A season's dates against the predicted calendar, and what is to be fetched."""
    yield f"Season {outlook.season}"
    yield f"{'date':<12}{'role':<11}{'predicted':<12}{'state':<12}{'slices':>7}{'on disk':>9}{'MB':>8}"
    for row in outlook.rows:
        predicted = f"{row.predicted.platform} {row.predicted.absolute_orbit}" if row.predicted else "no"
        line = f"{row.date!s:<12}{row.role:<11}{predicted:<12}{row.state:<12}"
        found = f"{row.slices:>7}{row.on_disk:>9}{row.size_bytes / 1e6:>8,.0f}" if row.slices else ""
        yield f"{line}{found}  {row.reason}".rstrip()
    counted = ((state, outlook.count(state)) for state in STATES_SHOWN)
    yield ", ".join(f"{number} {state}" for state, number in counted if number) or "no date at all"
    estimated = f" ({outlook.sizes_unknown} sizes estimated)" if outlook.sizes_unknown else ""
    yield (
        f"{outlook.size_bytes / 1e9:,.1f} GB, of which {outlook.fetch_bytes / 1e9:,.1f} GB are to be "
        f"fetched{estimated}: about {outlook.fetch_time} at {outlook.bytes_per_s / 1e6:g} MB/s"
    )


def run_summary(settings: Settings) -> Iterator[str]:
    """Lines for the terminal; dates without detections table are left out.

    Raises:
        TableError: The evaluation has not been made.
    """
    layout = settings.layout
    yield ""
    yield f"Evaluation on the test dates ({'SIMULATED' if settings.simulated else 'real'} data)"
    points = ("balanced", settings.detection.operating_point)
    yield evaluation_text(read_table(layout.evaluation, EVALUATION), points)
    yield ""
    catalogue = read_catalogue(layout.acquisition_catalogue, settings.season.max_gap_days)
    stored = [day for day in catalogue.dates("winter") if layout.detections(day).exists()]
    tables = {day: read_geotable(layout.detections(day), DETECTIONS) for day in stored}
    # From the tables, not from the settings, which may have changed since.
    rules = {tuple(table.iloc[0][["detector", "operating_point"]]) for table in tables.values()}
    yield (
        "Detections (" + "; ".join(f"{name}, operating point {point}" for name, point in sorted(rules)) + ")"
    )
    yield f"{'date':<12}{'detections':>11}{'new':>6}{'persisting':>12}{'not observable':>16}"
    for day, table in tables.items():
        found = count(table)
        yield f"{day:<12}{found.detections:>11}{found.new:>6}{found.persisting:>12}{found.hidden:>16}" + (
            "  held back: too many to be true" if held_back(table, settings.detection) else ""
        )
    yield ""
    yield f"Bulletins: {layout.bulletin('<date>')}/bulletin.html"
    for season in catalogue.seasons:
        yield f"Season report: {layout.season_report(season)}/season_report.html"


def review_lines(settings: Settings, catalogue: AcquisitionCatalogue) -> Iterator[str]:
    """What reviewers said, and the dates whose stored detections do not know it yet.

    Raises:
        ReviewError: The table of reviews cannot be used.
        TableError: The corridors have not been read, or a table is damaged.
    """
    layout, dates = settings.layout, catalogue.dates("winter")
    reviews = reviews_of(settings, read_geotable(layout.corridors, CORRIDORS), dates)
    yield f"{reviews_file(settings)}: {len(reviews)} reviews"
    for item in reviews:
        words = f"{item.day!s:<12}{item.corridor_id:<11}{item.verdict:<9}{item.reviewer:<14}{item.comment}"
        yield words.rstrip()
    stored = (day for day in dates if layout.detections(day).exists())
    waiting = [
        day for day in stored if awaits_reviews(read_geotable(layout.detections(day), DETECTIONS), reviews)
    ]
    if waiting:
        yield f"Materialise detections and bulletin again: {', '.join(waiting)}"

"""What a run prints at its end: evaluation, detections per date, and where the bulletins lie."""

from collections.abc import Iterator

from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.reporting.evaluation_text import evaluation_text
from avalanche_assets.reporting.summary import count
from avalanche_assets.settings import Settings
from avalanche_assets.tables import DETECTIONS, EVALUATION, read_geotable, read_table


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
        yield f"{day:<12}{found.detections:>11}{found.new:>6}{found.persisting:>12}{found.hidden:>16}"
    yield ""
    yield f"Bulletins: {layout.bulletin('<date>')}/bulletin.html"
    for season in catalogue.seasons:
        yield f"Season report: {layout.season_report(season)}/season_report.html"

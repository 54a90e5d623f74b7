"""A past season as `register_season` shows it, and the backfill that the job starts."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.resources.pipeline import Pipeline

TAG = "avalanche/season"
"""Of the backfill of a season."""


def season_metadata(
    context: dg.AssetExecutionContext, pipeline: Pipeline, code_location: CodeLocation, season: str
) -> dict[str, dg.MetadataValue | int | str]:
    """How a season stands against the calendar, and the backfill that makes what is missing of it."""
    from avalanche_assets.catalogue.sources import outlook
    from avalanche_assets.reporting.terminal import season_lines

    standing = outlook(pipeline.settings, season, datetime.now(UTC))
    lines = "\n".join(season_lines(standing))
    context.log.info(lines)
    return {
        "season": dg.MetadataValue.md(f"```\n{lines}\n```"),
        "bytes to fetch": standing.fetch_bytes,
        "expected time": str(standing.fetch_time),
        "backfill": _start_backfill(context, pipeline, code_location, season),
    }


def _start_backfill(
    context: dg.AssetExecutionContext, pipeline: Pipeline, code_location: CodeLocation, season: str
) -> str:
    """Starts what is missing of a season, unless it is under way; what was done in words."""
    from avalanche_assets.automation.missing import missing_of_season

    if not code_location.webserver:
        return "not started: AVALANCHE_WEBSERVER is not set; backfill by hand, or by `avalanche season`"
    tags = {TAG: season}
    under_way = context.instance.get_backfills(
        BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED], tags=tags)
    )
    if under_way:
        return f"{under_way[0].backfill_id} is under way"
    missing = missing_of_season(Path(pipeline.settings_file), context.instance, season)
    if not missing:
        return "nothing is missing"
    started = code_location.backfill(missing, f"Season {season}", tags)
    context.log.info(f"Backfill {started} of season {season} started")
    return f"{started} started: {sum(map(len, missing.values()))} partitions of {len(missing)} assets"

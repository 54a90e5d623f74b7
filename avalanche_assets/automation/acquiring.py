"""Watching the source for new acquisitions, listing a past season, and refining orbits."""

from collections.abc import Collection
from typing import Any

import dagster as dg

EVERY_HOUR = "23 * * * *"
"""Products appear one to two hours after a pass; off the full hour, when everybody asks."""


def acquisition_jobs(present: Collection[str], season: str) -> list[Any]:
    """The jobs of an operator beside the stages; those whose assets a deployment lacks are left out.

    Args:
        present: Names of the deployment's assets.
        season: Past season that `register_season` lists unless its launch says otherwise.
    """
    jobs = [
        dg.define_asset_job(
            "register_season",
            dg.AssetSelection.assets("acquisition_catalogue"),
            description="Lists a past season against the calendar, and starts a backfill of what is missing",
            config={"ops": {"acquisition_catalogue": {"config": {"season": season}}}},
        )
    ]
    if "orbit_files" in present:
        jobs.append(
            dg.define_asset_job(
                "refine_orbit",
                dg.AssetSelection.assets("orbit_files", "sigma0"),
                description="Fetches a date's precise orbit and geocodes it again; the rest is then stale",
            )
        )
    return jobs


def watch_source(job: Any, *, running: bool) -> dg.ScheduleDefinition:
    """Asks the source for new acquisitions every hour.

    Args:
        job: That materialises `acquisition_catalogue`.
        running: Whether it runs until somebody switches it off; otherwise the other way round.
    """
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name="watch_source",
        job=job,
        cron_schedule=EVERY_HOUR,
        execution_timezone="UTC",
        default_status=status,
        description="Asks the source for new, late, replaced and withdrawn products",
    )

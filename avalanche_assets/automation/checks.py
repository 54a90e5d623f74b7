"""Asset checks that keep bad input out of a bulletin, and those that watch over the service.

A check of a date looks at what its asset has just reported of itself; a failed blocking one stops the run
before the next asset. Checks of the service belong to `acquisition_catalogue`, so that they are looked at
every hour and not with every date.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from avalanche_assets.automation.due import OBSERVED, Due, date_chains, due
from avalanche_assets.automation.made import latest_events, when
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.detection.plausible import FEW, REMEDY, too_many
from avalanche_assets.resources.pipeline import Pipeline

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
VV_DB, VH_DB = (-25.0, 0.0), (-33.0, -5.0)
"""Where medians of land lie in C band, wet snow included. Uncalibrated numbers lie some 50 dB above."""
MAX_UNCOVERED = 0.1
"""Share of corridors without a measurement beyond which a person should look."""
GRACE = timedelta(hours=24)
"""A bulletin comes within a day of its products."""

SERVICE_CHECKS = ("bulletins_follow", "files_readable")
"""Checks of the whole service, on `acquisition_catalogue`."""

Reported = Mapping[str, Any]
"""What an asset said of itself: metadata values by name."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        problem: What is wrong and what to do; empty when nothing is.
        severe: Whether it may not reach a bulletin.
        values: What it looked at.
    """

    problem: str = ""
    severe: bool = False
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class DateCheck:
    """A check of one asset, date by date.

    Attributes:
        asset: Its name.
        name: Of the check.
        description: What an operator reads: what holds when it passes.
        look: From what the asset reported, and the pipeline and date, to the verdict.
    """

    asset: str
    name: str
    description: str
    look: Callable[[Reported, Pipeline, str], Verdict]


def slices_complete(_: Reported, pipeline: Pipeline, day: str) -> Verdict:
    """Whether all slices of a date are there."""
    item = pipeline.catalogue.get(day)
    if item.complete:
        return Verdict(values={"state": item.state, "products": len(item.products)})
    problem = (
        f"{item.state}: {item.reason}; what is missing shows as not observable, late slices make it again"
    )
    return Verdict(problem, values={"state": item.state, "products": len(item.products)})


def calibration_plausible(reported: Reported, _: Pipeline, day: str) -> Verdict:
    """Whether backscatter lies where calibrated land does."""
    vv, vh = reported.get("median VV (dB)"), reported.get("median VH (dB)")
    values = {"median VV (dB)": vv, "median VH (dB)": vh}
    told = {name: "unknown" if value is None else value for name, value in values.items()}
    remedy = f"compare the picture of sigma0 {day} with its neighbours; fetch the products again"
    if vv is None or vh is None:
        return Verdict(f"no pixel with a value; {remedy}", True, told)
    outside = [
        f"{name} {value} is outside {low:g} to {high:g}"
        for name, value, (low, high) in (("median VV (dB)", vv, VV_DB), ("median VH (dB)", vh, VH_DB))
        if not low <= value <= high
    ]
    if vh >= vv:
        outside.append("VH is not below VV")
    return Verdict(f"{' and '.join(outside)}; {remedy}" if outside else "", True, told)


def corridors_covered(reported: Reported, _: Pipeline, day: str) -> Verdict:
    """Whether the image reaches the corridors."""
    if "corridors not covered" not in reported:
        return Verdict(values={"corridors": "not counted for ready-made rasters"})
    kinds = ("fully covered", "partly covered", "not covered")
    counts: dict[str, int] = {kind: reported[f"corridors {kind}"] for kind in kinds}
    total, without = sum(counts.values()), counts["not covered"]
    where = reported.get("not covered", "")
    if total == without:
        remedy = "check track.relative_orbit, and that corridors and products are of the same region"
        return Verdict(f"none of {total} corridors is on the image; {remedy}", True, counts)
    if without > MAX_UNCOVERED * total:
        return Verdict(
            f"{without} of {total} corridors are not on the image ({where}); see slices", False, counts
        )
    return Verdict(values=counts)


def labels_counted(reported: Reported, _: Pipeline, day: str) -> Verdict:
    """Whether the inventory says anything of a date."""
    counts = {name: reported.get(name, 0) for name in ("new positive", "new negative", "new ambiguous")}
    if any(counts.values()):
        return Verdict(values=counts)
    remedy = "the evaluation leaves the date out; bring the inventory up to date"
    return Verdict(f"no corridor is under observation in the window of {day}; {remedy}", False, counts)


def previous_date_processed(_: Reported, pipeline: Pipeline, day: str) -> Verdict:
    """Whether there is something to compare a date with."""
    previous = pipeline.catalogue.previous(day)
    if previous is None or pipeline.layout.corridor_patches(previous.date).exists():
        return Verdict(values={"previous acquisition": str(previous.date) if previous else "none"})
    problem = f"the previous acquisition {previous.date} has no patches, so nothing of {day} is observable"
    return Verdict(f"{problem}; mend {previous.date}, then make {day} again from anomaly_scores on")


def detections_within_budget(reported: Reported, pipeline: Pipeline, _: str) -> Verdict:
    """Whether as many corridors are detected as the operating point lets expect."""
    found = reported.get("detections", 0)
    seen = reported.get("dagster/row_count", 0) - reported.get("not observable", 0)
    budget = pipeline.settings.detection.false_alarm_rate
    values = {"detections": found, "observable corridors": seen, "budget of false alarms": budget * seen}
    if found <= max(3 * budget * seen, FEW / 2):
        return Verdict(values=values)
    told = f"{found} of {seen} observable corridors are detected"
    if too_many(found, seen, pipeline.settings.detection):
        return Verdict(f"{told}; {REMEDY}", True, values)
    return Verdict(f"{told}, three times the budget of false alarms; a great cycle, or melt", False, values)


DATE_CHECKS = (
    DateCheck(
        "s1_products",
        "slices_complete",
        "All slices of the pass are there, and at hand",
        slices_complete,
    ),
    DateCheck(
        "sigma0",
        "calibration_plausible",
        f"Medians are those of land: VV {VV_DB[0]:g} to {VV_DB[1]:g} dB, VH {VH_DB[0]:g} to {VH_DB[1]:g} dB "
        "and below VV. Blocks the date",
        calibration_plausible,
    ),
    DateCheck(
        "sigma0",
        "corridors_covered",
        f"At least {1 - MAX_UNCOVERED:.0%} of the corridors are on the image. Blocks the date when none is",
        corridors_covered,
    ),
    DateCheck(
        "corridor_labels",
        "labels_counted",
        "The inventory observes at least one corridor between the previous pass and this one",
        labels_counted,
    ),
    DateCheck(
        "anomaly_scores",
        "previous_date_processed",
        "The previous acquisition, if there is one, was processed",
        previous_date_processed,
    ),
    DateCheck(
        "detections",
        "within_budget",
        "Detections stay within three times the budget of false alarms. Blocks the bulletin when half of the "
        "observable corridors are detected",
        detections_within_budget,
    ),
)

GUARDS = [dg.AssetCheckKey(dg.AssetKey(one.asset), one.name) for one in DATE_CHECKS]
"""Checks that may block a date."""


def date_checks(specs: Sequence[dg.AssetSpec]) -> list[dg.AssetChecksDefinition]:
    """The checks of dates whose assets a deployment has."""
    partitions = {spec.key.to_user_string(): spec.partitions_def for spec in specs}
    with warnings.catch_warnings():
        # Checks by partition are in preview; here they are made, and nowhere else.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [_date_check(one, partitions[one.asset]) for one in DATE_CHECKS if one.asset in partitions]


def _date_check(one: DateCheck, partitions_def: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=one.asset,
        name=one.name,
        description=one.description,
        blocking=True,
        partitions_def=partitions_def,
    )
    def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
        day = context.op_execution_context.partition_key
        found = one.look(_reported(context.instance, one.asset, day), pipeline, day)
        return dg.AssetCheckResult(
            passed=not found.problem,
            severity=ERROR if found.severe else WARN,
            description=found.problem or None,
            metadata=dict(found.values or {}),
        )

    return check


def _reported(instance: dg.DagsterInstance, asset: str, day: str) -> Reported:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[day])
    records = instance.fetch_materializations(wanted, limit=1).records
    event = records[0].asset_materialization if records else None
    return {name: value.value for name, value in event.metadata.items()} if event else {}


def service_checks(specs: Sequence[dg.AssetSpec], partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """The checks of the whole service, looked at with the catalogue."""
    if not any(spec.key == dg.AssetKey("bulletin") for spec in specs):
        return []
    return [_bulletins_follow(specs, partitions), _files_readable(partitions)]


def _bulletins_follow(specs: Sequence[dg.AssetSpec], partitions: Partitions) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="acquisition_catalogue",
        name="bulletins_follow",
        description="A day after its products came, every date of the latest season has a bulletin made from "
        "what the source offers now",
    )
    def bulletins_follow(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        late = late_dates(context.instance, specs, partitions, datetime.now(UTC))
        latest = partitions.winter_dates.get_partition_keys()[-1:]
        severe = set(latest) <= late.keys() and bool(late)
        return dg.AssetCheckResult(
            passed=not late,
            severity=ERROR if severe else WARN,
            description=_told(late) if late else None,
            metadata={"latest date": " ".join(latest) or "none", "late dates": len(late)},
        )

    return bulletins_follow


def late_dates(
    instance: dg.DagsterInstance, specs: Sequence[dg.AssetSpec], partitions: Partitions, now: datetime
) -> dict[str, Due]:
    """Winter dates of the latest season that have waited longer than `GRACE`, and what is missing or old."""
    days = set(partitions.winter_dates.get_partition_keys())
    season = partitions.catalogue.get(max(days)).season if days else ""
    chains = [chain for chain in date_chains(specs, partitions, season) if chain.partition in days]
    made = latest_events(instance, chains, GUARDS)
    late: dict[str, Due] = {}
    for chain in chains:
        found = due(chain, made)
        known = made.get((OBSERVED.to_user_string(), chain.partition))
        if not (found.assets or found.waiting_for) or known is None:
            continue
        if (
            now.timestamp() - when(instance, (OBSERVED.to_user_string(), chain.partition))
            > GRACE.total_seconds()
        ):
            late[chain.partition] = found
    return late


def _told(late: Mapping[str, Due]) -> str:
    """How many dates are late, the latest of them, and the remedy: what a person has to make comes first."""
    lacking = dict.fromkeys(item for found in late.values() for item in found.waiting_for)
    if lacking:
        names = " and ".join(" ".join(filter(None, item)) for item in lacking)
        remedy = f"materialise {names}, which nothing makes by itself; the dates then follow"
    else:
        remedy = "see its last run, or switch process_new_dates on"
    shown = [f"{day} ({', '.join(_lacks(found)[:3])})" for day, found in list(late.items())[-5:]]
    return f"{len(late)} late: {', '.join(shown)}; {remedy}"


def _lacks(found: Due) -> tuple[str, ...]:
    return tuple(name for name, _ in found.waiting_for) or found.assets


def _files_readable(partitions: Partitions) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="acquisition_catalogue",
        name="files_readable",
        description="Every stored file of the latest season opens; a damaged one is named and made again",
    )
    def files_readable(pipeline: Pipeline) -> dg.AssetCheckResult:
        from avalanche_assets.readable import unreadable_files

        seasons = partitions.catalogue.seasons
        days = partitions.catalogue.dates(season=seasons[-1]) if seasons else []
        looked_at, bad = unreadable_files(pipeline.layout.root, days)
        shown = "; ".join(f"{path}: {reason}" for path, reason in bad[:5])
        return dg.AssetCheckResult(
            passed=not bad,
            severity=ERROR,
            description=f"{shown}; delete them and materialise their dates again" if bad else None,
            metadata={"files": looked_at, "unreadable": len(bad)},
        )

    return files_readable

"""What a backfill of the Alps takes on N workers: `python -m benchmarks.plan`, the table of docs/scale.md.

Costs of a date are measured (docs/benchmarks.md says how and where); sizes and the rate of the archive are
those of the operator handbook; prices, and what is said to be, are assumptions. All of them are options.
"""

import argparse
import math
from dataclasses import dataclass, fields

TRACKS_APART_DEG = 360 / 175
"""Between neighbouring passes of one direction: 175 orbits, and then the same again."""
SWATH_KM, KM_A_DEGREE = 250.0, 111.2 * math.cos(math.radians(46))


@dataclass(frozen=True)
class Costs:
    """Of one date of one track, by one worker on one core, unless said otherwise.

    Attributes:
        start_s: Process, definitions, database: each run (assumed).
        sigma0_s: Two full slices, 3,000 corridors (measured as wall time on two cores).
        patches_s: 3,000 corridors cut, levels counted, tables (measured).
        scores_s: Scores, detections, bulletin of 3,000 corridors (assumed; 7 s were measured for 14).
        orchestration_s: Events of 13 steps (measured).
        products_gb: Fetched for a date.
        results_gb: Kept of a date.
        archive_mb_s: Of one account with its four connections.
        core_hour_eur: Assumption: a virtual core with 4 GB, on demand.
        tb_month_eur: Assumption: object store.
        west_deg: Of the Alps.
        east_deg: Of the Alps.
        winters: To be made.
        dates: Of a winter, November to May, every six days, and ten of the snow-free reference.
    """

    start_s: float = 4.0
    sigma0_s: float = 10.3
    patches_s: float = 2.9
    scores_s: float = 30.0
    orchestration_s: float = 2.0
    products_gb: float = 5.0
    results_gb: float = 1.0
    archive_mb_s: float = 20.0
    core_hour_eur: float = 0.04
    tb_month_eur: float = 20.0
    west_deg: float = 5.0
    east_deg: float = 16.5
    winters: int = 10
    dates: int = 45

    @property
    def tracks(self) -> int:
        """Passes of both directions that see a part of the Alps."""
        width = self.east_deg - self.west_deg + SWATH_KM / KM_A_DEGREE
        return 2 * math.ceil(width / TRACKS_APART_DEG)

    @property
    def all_dates(self) -> int:
        """Of all tracks and winters."""
        return self.tracks * self.winters * self.dates

    @property
    def compute_s(self) -> float:
        """Of a date on one core."""
        return self.start_s + self.sigma0_s + self.patches_s + self.scores_s + self.orchestration_s


@dataclass(frozen=True)
class Plan:
    """For so many workers."""

    workers: int
    compute_h: float
    download_h: float
    eur: float

    @property
    def hours(self) -> float:
        """The two go on side by side: the longer one decides."""
        return max(self.compute_h, self.download_h)


def plan(costs: Costs, workers: int, accounts: int) -> Plan:
    """Hours and euros of all dates with so many workers and accounts of the archive."""
    compute = costs.all_dates * costs.compute_s / 3600
    download = costs.all_dates * costs.products_gb * 1000 / costs.archive_mb_s / accounts / 3600
    hours = max(compute / workers, download)
    return Plan(workers, compute / workers, download, workers * hours * costs.core_hour_eur)


def lines(costs: Costs, workers: list[int], accounts: int) -> list[str]:
    """The table in Markdown, and what it rests on."""
    products, results = (costs.all_dates * gb / 1000 for gb in (costs.products_gb, costs.results_gb))
    core_h, rent = costs.all_dates * costs.compute_s / 3600, results * costs.tb_month_eur
    told = [
        f"{costs.tracks} tracks, {costs.winters} winters, {costs.dates} dates: {costs.all_dates:,} dates; "
        f"{costs.compute_s:.0f} core seconds a date, {core_h:,.0f} core hours; "
        f"{products:,.0f} TB to fetch, {results:,.1f} TB to keep ({rent:,.0f} EUR a month).",
        "",
        "| workers | computing alone, h | fetching with "
        f"{accounts} account{'s' if accounts > 1 else ''}, h | together, h | days | EUR |",
        "|---|---|---|---|---|---|",
    ]
    for number in workers:
        row = plan(costs, number, accounts)
        told.append(
            f"| {number} | {row.compute_h:,.1f} | {row.download_h:,.0f} | {row.hours:,.0f} "
            f"| {row.hours / 24:,.1f} | {row.eur:,.0f} |"
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    for item in fields(Costs):
        name = "--" + item.name.replace("_", "-")
        parser.add_argument(name, type=type(item.default), default=item.default, help="default %(default)s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--accounts", type=int, default=1, help="of the archive")
    options = vars(parser.parse_args())
    workers, accounts = options.pop("workers"), options.pop("accounts")
    print("\n".join(lines(Costs(**options), workers, accounts)))


if __name__ == "__main__":
    main()

"""The command line: simulate a season, run the graph, and the two runs on real data."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from avalanche_assets.errors import AvalancheError, SettingsError
from avalanche_assets.settings import SETTINGS_VARIABLE

if TYPE_CHECKING:
    import dagster as dg

    from avalanche_assets.automation.runner import RunReport

SettingsFile = Annotated[
    Path, typer.Argument(envvar=SETTINGS_VARIABLE, help="Settings file (TOML) of the deployment.")
]
Size = Literal["tiny", "demo", "season", "hard", "full"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder that receives products, DEM, inventory and settings.")],
    size: Annotated[Size, typer.Option(help="Area, corridors and dates.")] = "demo",
    seed: Annotated[int, typer.Option(help="The same seed gives the same season.")] = 139,
    dem: Annotated[
        Path | None, typer.Option(help="Use this elevation model instead of a synthetic one.")
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(help="Take orbit, timing, calibration and noise from this real SAFE product."),
    ] = None,
) -> None:
    """Simulate a season as real SAFE products with DEM, corridors, events and a truth file kept apart."""
    from avalanche_assets.simulation.season import simulate_season

    settings = simulate_season(out, size, seed=seed, dem=dem, template=template, progress=typer.echo)
    typer.echo(f"settings: {settings}")


@app.command()
def run(
    settings: SettingsFile,
) -> None:
    """Materialise whatever is missing of the whole graph and print what came out."""
    _run(settings)


@app.command()
def evaluate(
    settings: SettingsFile,
    page: Annotated[
        Path | None,
        typer.Option(help="Markdown page to write, pictures beside it.  [default: in the data root]"),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Mapped deposits (GeoParquet, or a simulation's folder `truth`).")
    ] = None,
    trainings: Annotated[
        int, typer.Option(min=1, help="Trainings with different seeds; the first is the stored one.")
    ] = 1,
) -> None:
    """Compare all detectors on the test dates as in the paper's Table 1, and write a page about it."""
    from avalanche_assets.comparison import compare_detectors

    for line in compare_detectors(settings, page, truth, trainings, typer.echo):
        typer.echo(line)


@app.command()
def ablate(
    settings: Annotated[Path, typer.Argument(help="Settings file (TOML) of the deployment.")],
    field: Annotated[str, typer.Argument(help="Setting to vary, e.g. learning.kl_weight.")],
    values: Annotated[list[str], typer.Argument(help="Its values, e.g. 0.01 0.1 1.")],
    detector: Annotated[
        list[str] | None, typer.Option(help="Detectors to compare; the one of the settings by default.")
    ] = None,
) -> None:
    """Train and test again with other values of one setting, everything else as it is."""
    from avalanche_assets.comparison import compare_settings

    for line in compare_settings(settings, field, values, detector or [], typer.echo):
        typer.echo(line)


@app.command()
def season(
    name: Annotated[str, typer.Argument(help="Two consecutive years, such as 2017-18.")],
    settings: SettingsFile,
    only_list: Annotated[bool, typer.Option("--list", help="Fetch and process nothing.")] = False,
) -> None:
    """List a winter and its snow-free reference, then fetch and process whatever is missing of them."""
    from avalanche_assets.automation.runner import register_season
    from avalanche_assets.catalogue.sources import outlook
    from avalanche_assets.reporting.terminal import season_lines
    from avalanche_assets.settings import load_settings

    with _instance() as instance:
        if _failed(register_season(settings.resolve(), instance, name)):
            raise typer.Exit(1)
    for line in season_lines(outlook(load_settings(settings), name, datetime.now(UTC))):
        typer.echo(line)
    if not only_list:
        _run(settings, name)


@app.command()
def reviews(
    settings: SettingsFile,
) -> None:
    """Check the table of reviews (made empty where there is none), and name the dates that wait for it."""
    from avalanche_assets.catalogue.acquisitions import read_catalogue
    from avalanche_assets.detection.reviews import create_reviews, reviews_file
    from avalanche_assets.reporting.terminal import review_lines
    from avalanche_assets.settings import load_settings

    deployment = load_settings(settings)
    path = reviews_file(deployment)
    if not path.exists():
        create_reviews(path, deployment.grid.crs)
    catalogue = read_catalogue(deployment.layout.acquisition_catalogue, deployment.season.max_gap_days)
    for line in review_lines(deployment, catalogue):
        typer.echo(line)


@app.command()
def doctor(
    settings: SettingsFile,
) -> None:
    """Check configuration, credentials, disk, clock, terrain, inventory and models; say what to mend."""
    from avalanche_assets.doctor import examine

    counts = {"ok": 0, "warn": 0, "fail": 0}
    for finding in examine(settings.resolve()):
        typer.echo(finding.line)
        counts[finding.level] += 1
    typer.echo(f"{counts['fail']} to mend, {counts['warn']} to look at")
    if counts["fail"]:
        raise typer.Exit(1)


@app.command()
def move_instance(
    home: Annotated[
        Path, typer.Argument(help="DAGSTER_HOME of the instance that is left, such as one on SQLite.")
    ],
) -> None:
    """Carry the runs of another instance over into that of DAGSTER_HOME, such as one on PostgreSQL."""
    from avalanche_assets.automation.instance_move import move_instance as move

    with _instance() as instance:
        moved = move(home, instance, typer.echo)
    typer.echo(
        f"{moved.runs} runs with {moved.events} events and {moved.backfills} backfills moved; "
        f"{moved.known} runs were there"
    )


@app.command()
def real_geometry(
    data: Annotated[Path, typer.Argument(help="Folder with the real data sets.")],
    out: Annotated[Path, typer.Argument(help="Folder for everything that is made.")],
) -> None:
    """Run the whole graph on real terrain (Davos) and a real orbit; the backscatter is simulated."""
    from avalanche_assets.simulation.season import simulate_season

    dem = _real(data / "dem_davos_20km_utm32_30m.tif")
    products = sorted((data / "safe").glob("S1B_IW_GRDH_1SDV_20210401T052623*.SAFE.zip"))
    template = _real(
        products[0] if products else data / "safe" / "S1B_IW_GRDH_1SDV_20210401T052623*.SAFE.zip"
    )
    _run(simulate_season(out, "demo", dem=dem, template=template, progress=typer.echo))
    typer.echo("Real: terrain (Davos) and orbit. Simulated: backscatter, avalanches, dates and massif names.")


@app.command()
def real_pixels(
    data: Annotated[Path, typer.Argument(help="Folder with the real data sets.")],
    out: Annotated[Path, typer.Argument(help="Folder for everything that is made.")],
) -> None:
    """Run three real repeat passes through VV*/VH*, patches and a score, and draw the scene's jump."""
    from avalanche_assets.real_pixels import prepare_real_pixels, summarise_real_pixels

    settings = prepare_real_pixels(_real(data / "rtc_idaho"), out)
    if _materialise(settings):
        raise typer.Exit(1)
    for line in summarise_real_pixels(settings):
        typer.echo(line)


def _real(path: Path) -> Path:
    if not path.exists():
        raise SettingsError(
            f"{path}: not found; this task needs the folder with real data: make ... DATA=<folder>"
        )
    return path


def _run(settings: Path, season: str | None = None) -> None:
    from avalanche_assets.reporting.terminal import run_summary
    from avalanche_assets.settings import load_settings

    failed = _materialise(settings, season)
    deployment = load_settings(settings)
    if not failed or deployment.layout.evaluation.exists():
        for line in run_summary(deployment):
            typer.echo(line)
    if failed:
        raise typer.Exit(1)


def _materialise(settings: Path, season: str | None = None) -> bool:
    """Whether anything failed."""
    from avalanche_assets.automation.runner import materialise_missing

    with _instance() as instance:
        return _failed(materialise_missing(settings.resolve(), instance, typer.echo, season))


def _failed(report: "RunReport") -> bool:
    """Whether anything failed; each failure is a line on stderr."""
    for where, message in report.failures.items():
        typer.echo(f"FAILED {where}: {message}", err=True)
    return bool(report.failures)


def _instance() -> "dg.DagsterInstance":
    import dagster as dg

    home = os.environ.get("DAGSTER_HOME", "")
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise SettingsError(
            f"DAGSTER_HOME is {home!r}: make targets set it; otherwise export the absolute path of a "
            "folder that holds deploy/local/dagster.yaml"
        )
    return dg.DagsterInstance.get()


def main() -> None:
    """Entry point: what a user can mend is one line on stderr, not a traceback.

    So is what goes wrong with a server and is tried again, which may take minutes: Dagster keeps what is
    logged to its own log.
    """
    logging.getLogger("avalanche_assets.services").addHandler(logging.StreamHandler())
    try:
        app()
    except AvalancheError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error

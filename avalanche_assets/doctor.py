"""Whether a deployment is ready to work, and what to mend: `avalanche doctor`.

Each examination looks at one thing and is independent of the others. Nothing is changed and little is sent:
one search, one login, one look at a server's clock; in a bucket one object, which is deleted again.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Literal

from avalanche_assets.catalogue.acquisitions import read_catalogue, season_of
from avalanche_assets.catalogue.interface import Catalogue
from avalanche_assets.errors import AvalancheError
from avalanche_assets.layout_version import check_layout
from avalanche_assets.settings import Settings, TransferSettings, load_settings
from avalanche_assets.stored_path import in_bucket

ACQUISITION_GB = 7.2
"""Four slices."""
WINTER_GB = 250.0
"""Some 35 dates: a season can be fetched without anybody deleting products."""
MAX_CLOCK_S = 60.0
"""Signatures of requests and tokens stop working when a clock is minutes off."""
PATIENCE = {"attempts": 2, "stalled_s": 15.0, "first_wait_s": 1.0, "longest_wait_s": 2.0}
"""Of requests: a person is waiting."""
COARSE_M = 500
"""Pixels at which an elevation model is looked at: datum, coverage and heights show there too."""


@dataclass(frozen=True)
class Finding:
    """What one examination says.

    Attributes:
        level: ``fail`` keeps the pipeline from working, ``warn`` will some day or is half done.
        subject: What was looked at.
        told: What was found.
        remedy: What to do; empty when nothing is.
    """

    level: Literal["ok", "warn", "fail"]
    subject: str
    told: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """As a terminal shows it."""
        return f"{self.level:<5} {self.subject:<12} {self.told}" + (f"; {self.remedy}" if self.remedy else "")


def examine(settings_file: Path) -> Iterator[Finding]:
    """All findings of a deployment, in the order in which they are best mended."""
    try:
        settings = load_settings(settings_file)
    except AvalancheError as error:
        yield _failed("settings", error)
        return
    yield Finding("ok", "settings", str(settings_file))
    for subject, look in EXAMINATIONS.items():
        try:
            yield from look(settings)
        except AvalancheError as error:
            yield _failed(subject, error)
        except Exception as error:  # one examination must not hide the others
            yield Finding("fail", subject, f"{type(error).__name__}: {error}", "a defect: report it")


def _failed(subject: str, error: AvalancheError) -> Finding:
    told, _, remedy = str(error).partition("; ")
    return Finding("fail", subject, told, remedy)


def _instance(_: Settings) -> Iterator[Finding]:
    home = os.environ.get("DAGSTER_HOME", "")
    remedy = "export DAGSTER_HOME=<absolute path of a folder with deploy/local/dagster.yaml in it>"
    if not home or not Path(home).is_absolute() or not Path(home).is_dir():
        yield Finding("fail", "instance", f"DAGSTER_HOME is {home!r}", remedy)
    elif not (Path(home) / "dagster.yaml").is_file():
        yield Finding("warn", "instance", f"{home}: no dagster.yaml, so neither limits nor retries", remedy)
    else:
        yield Finding("ok", "instance", home)
    if not os.environ.get("AVALANCHE_WEBSERVER"):
        yield Finding(
            "warn",
            "instance",
            "AVALANCHE_WEBSERVER is not set, so new dates show only after Reload definitions",
            "export AVALANCHE_WEBSERVER=<host:port of the web server>",
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    remote, keep = settings.source.remote, settings.source.transfer.keep_free_gb
    needed = {"data_root": (settings.data_root, 1.0, 20.0)}
    if in_bucket(settings.data_root) is not None:
        # Each file is made on this machine and then stored.
        needed = {"temporary files": (Path(gettempdir()), 1.0, 5.0)}
    if remote:
        needed["source.folder"] = (settings.source.folder, keep + ACQUISITION_GB, keep + WINTER_GB)
    for name, (folder, least, season) in needed.items():
        place = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(place).free / 1e9
        told, remedy = (
            f"{name} {folder}: {free:,.0f} GB free",
            "free space, or move the folder to another disk",
        )
        if not os.access(place, os.W_OK):
            yield Finding("fail", "disk", f"{place}: not writable", "give this user the right to write there")
        elif free < least:
            yield Finding("fail", "disk", f"{told}, {least:.0f} GB are needed", remedy)
        elif free < season:
            yield Finding("warn", "disk", f"{told}, a season takes {season:.0f} GB", remedy)
        else:
            yield Finding("ok", "disk", told)


def _data_root(settings: Settings) -> Iterator[Finding]:
    root, told = in_bucket(settings.data_root), "a folder"
    if root is not None:
        from avalanche_assets.object_store import try_out

        seconds = try_out(root)
        told = f"an object was written, locked, listed, read and deleted in {seconds * 1000:,.0f} ms"
    check_layout(settings.layout)
    yield Finding("ok", "data_root", f"{settings.data_root}: {told}")


def _credentials(settings: Settings) -> Iterator[Finding]:
    catalogue = _asked(settings)
    yield Finding("ok", "credentials", catalogue.try_account() if catalogue else "none needed for rasters")


def _clock(settings: Settings) -> Iterator[Finding]:
    import requests

    catalogue = _asked(settings)
    url = catalogue.address if catalogue else None
    if url is None:
        yield Finding("ok", "clock", "not compared: the source is no server")
        return
    try:
        answer = requests.get(url, timeout=PATIENCE["stalled_s"], stream=True)
    except requests.RequestException as error:
        told = f"not compared: {type(error).__name__} at the catalogue"
        yield Finding("warn", "clock", told, "see the line of the catalogue")
        return
    answer.close()
    if "date" not in answer.headers:
        yield Finding("warn", "clock", "not compared: the server does not tell its time")
        return
    # The header is given in whole seconds.
    off = abs((datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])).total_seconds())
    if off > MAX_CLOCK_S:
        told = f"{off:,.0f} s apart from the server's"
        yield Finding("fail", "clock", told, "let the machine keep time (timedatectl set-ntp true)")
    else:
        yield Finding("ok", "clock", f"within {max(off, 1):.0f} s of the server's")


def _catalogue(settings: Settings) -> Iterator[Finding]:
    from avalanche_assets.area import area_of_interest
    from avalanche_assets.catalogue.interface import ProductQuery
    from avalanche_assets.catalogue.sources import list_source

    source, track, now = settings.source, settings.track, datetime.now(UTC)
    catalogue = _asked(settings) if source.remote else None
    if catalogue:
        area = area_of_interest(settings)
        fortnight = now - timedelta(days=13)
        query = ProductQuery(
            track.relative_orbit, track.direction, area, start=fortnight, published_after=None
        )
        found = catalogue.search(query)
        told = f"{source.kind} answers: {len(found)} products of orbit {track.relative_orbit} in 13 days"
        remedy = "normal while the radar is off; else check track and source.area"
        yield Finding("ok", "catalogue", told) if found else Finding("warn", "catalogue", told, remedy)
    else:
        listing = list_source(settings, now)
        yield Finding("ok", "catalogue", f"{source.folder}: {len(listing.acquisitions)} dates")
    known = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    if not known.acquisitions:
        remedy = "launch find_acquisitions, or `avalanche season <years> <settings> --list`"
        yield Finding("warn", "catalogue", "no date is registered yet", remedy)
    else:
        yield Finding("ok", "catalogue", f"{len(known.acquisitions)} dates, the last {known.dates()[-1]}")


def _terrain(settings: Settings) -> Iterator[Finding]:
    terrain = settings.terrain
    if terrain is None:
        yield Finding("ok", "terrain", "none is set: ready-made rasters need none")
    elif terrain.dem is not None:
        from avalanche_assets.terrain.dem import prepare_dem

        coarse = settings.grid.model_copy(update={"resolution_m": COARSE_M})
        grid, _ = prepare_dem(terrain.dem, coarse, terrain.vertical_datum, terrain.geoid_grid)
        size = f"{grid.width * COARSE_M / 1000:.0f} x {grid.height * COARSE_M / 1000:.0f} km"
        geoid = (
            ""
            if terrain.vertical_datum == "ellipsoidal"
            else f", the grid of {terrain.vertical_datum} is there"
        )
        yield Finding("ok", "terrain", f"{terrain.dem} covers the grid ({size}){geoid}")
    else:
        yield from _tiles(settings)


def _tiles(settings: Settings) -> Iterator[Finding]:
    from avalanche_assets.area import area_of_interest
    from avalanche_assets.terrain.glo30_tiles import tile_names

    terrain, layout = settings.terrain, settings.layout
    assert terrain is not None
    names = tile_names(area_of_interest(settings))
    here = [name for name in names if (layout.glo30_tiles / f"{name}.tif").exists()]
    geoid = terrain.geoid_grid or layout.geoid_grids / Path(terrain.geoid_url).name
    told = f"{len(here)} of {len(names)} tiles of the area are here"
    remedy = "materialise dem, which fetches what there is (the sea has no tiles)"
    yield Finding(
        "ok" if len(here) == len(names) else "warn", "terrain", told, "" if here == names else remedy
    )
    if geoid.exists():
        yield Finding("ok", "terrain", f"grid of EGM2008: {geoid}")
    else:
        level: Literal["warn", "fail"] = "fail" if terrain.geoid_grid else "warn"
        yield Finding(level, "terrain", f"{geoid}: no geoid grid", "materialise dem, or copy the grid there")


def _inventory(settings: Settings) -> Iterator[Finding]:
    inventory = settings.inventory
    named = {"corridors": inventory.corridors, "massifs": inventory.massifs, "events": inventory.events}
    for name, path in named.items():
        if path is not None and not path.exists():
            remedy = f"put it there, or set inventory.{name}"
            yield Finding("fail", "inventory", f"inventory.{name} {path}: not found", remedy)
        elif path is not None:
            yield Finding("ok", "inventory", f"{name}: {path}")
        elif inventory.source == "wfs":
            yield Finding("ok", "inventory", f"{name}: from the public service when materialised")


def _learned(settings: Settings) -> Iterator[Finding]:
    layout = settings.layout
    models = layout.model("any").parent
    trained = sorted(path.name for path in models.iterdir() if path.is_dir()) if models.is_dir() else []
    train = (
        f"backfill {settings.learning.season} once: `avalanche season {settings.learning.season} <settings>`"
    )
    found = {
        "models": (bool(trained), ", ".join(trained), train),
        "thresholds": (layout.thresholds.exists(), str(layout.thresholds), train),
    }
    if season := _season_at_work(settings):
        found[f"reference of {season}"] = (
            layout.reference_sigma0(season).exists(),
            str(layout.reference_sigma0(season)),
            f"materialise reference_sigma0 {season} when its snow-free dates are there",
        )
    for name, (there, told, remedy) in found.items():
        if there:
            yield Finding("ok", "learned", f"{name}: {told}")
        else:
            yield Finding("warn", "learned", f"{name}: none, so no new bulletin comes", remedy)


def _promoted(settings: Settings) -> Iterator[Finding]:
    from avalanche_assets.detectors.registry import promoted

    if settings.terrain is None:
        yield Finding("ok", "promoted", "none is needed: without terrain there are scores, no detections")
    elif (model := promoted(settings.layout)) is None:
        remedy = "materialise promoted_model, or launch promote_model"
        yield Finding("warn", "promoted", "no model is promoted, so no new bulletin comes", remedy)
    else:
        yield Finding("ok", "promoted", f"detections come from {model.version}")


def _season_at_work(settings: Settings) -> str:
    """That of today with a remote source, the latest there is with a folder; empty for none."""
    if settings.source.remote:
        return season_of(datetime.now(UTC).date())
    return "".join(read_catalogue(settings.layout.acquisition_catalogue).seasons[-1:])


def _alert(settings: Settings) -> Iterator[Finding]:
    from avalanche_assets.services.credentials import alert_webhook, smtp_account

    if settings.alert.by == "none":
        yield Finding("warn", "alert", "nobody is told of failures", "set alert.by to webhook or mail")
    elif settings.alert.by == "webhook" and alert_webhook() is None:
        yield Finding("fail", "alert", "AVALANCHE_ALERT_WEBHOOK is not set", "set it in the environment")
    else:
        account = smtp_account()
        told = f"by {settings.alert.by}" + (f", with the account of {account.variables}" if account else "")
        yield Finding("ok", "alert", told)


EXAMINATIONS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "instance": _instance,
    "disk": _disk,
    "data_root": _data_root,
    "credentials": _credentials,
    "catalogue": _catalogue,
    "clock": _clock,
    "terrain": _terrain,
    "inventory": _inventory,
    "learned": _learned,
    "promoted": _promoted,
    "alert": _alert,
}


def _asked(settings: Settings) -> Catalogue | None:
    """The source, asked with the patience of a person; None where ready-made rasters need none."""
    from avalanche_assets.catalogue.sources import open_catalogue

    if settings.source.kind == "raster_folder":
        return None
    transfer = TransferSettings.model_validate(settings.source.transfer.model_dump() | PATIENCE)
    source = settings.source.model_copy(update={"transfer": transfer})
    return open_catalogue(settings.model_copy(update={"source": source}))

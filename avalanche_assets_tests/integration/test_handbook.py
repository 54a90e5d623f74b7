"""Every command of the operator handbook does what it says, on the tiny season; every picture is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import geopandas as gpd
import pytest
from finished_season import INSTANCE_FILE, Deployment
from running_dagster import DagsterClient, free_port, running

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = (ROOT / "docs" / "handbook.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split(" # ")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", HANDBOOK, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SETTING_UP, SERVER = 3, "dagster dev"
"""The first commands make a deployment; the web server does not end by itself."""


@pytest.fixture(scope="module")
def desk(tiny_season, tmp_path_factory):
    """A folder as after the installation, and the finished season's files for the settings to name."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("deploy", "workspace.yaml"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("data", "inventory", "orbits"):
        shutil.copytree(tiny_season.folder / name, folder / name)
    shutil.copy(tiny_season.folder / "dem.tif", folder)
    (folder / "products").symlink_to(tiny_season.folder / "products")
    return folder


def shell(desk, *commands, **environment):
    """Runs commands in one shell, which stops at the first that fails; what they said."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AVALANCHE_")}
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=desk,
        env={**inherited, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{commands[-1]}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def deployed(desk, tiny_season):
    """The environment after the handbook's first commands, with the settings an operator would write."""
    told = "echo $AVALANCHE_SETTINGS; echo $DAGSTER_HOME; echo ${AVALANCHE_WEBSERVER:-}"
    settings, home, webserver = shell(desk, *COMMANDS[:SETTING_UP], told).splitlines()[-3:]
    # Without it a new date does not become a partition by itself.
    assert f"<http://{webserver}>" in HANDBOOK
    assert Path(settings).read_text() == (ROOT / "deploy/local/avalanche.example.toml").read_text()
    assert (Path(home) / "dagster.yaml").read_text() == INSTANCE_FILE.read_text()
    shutil.copy(tiny_season.settings_file, settings)
    # What was copied counts as made, so that the commands need not make it again.
    with dg.DagsterInstance.from_config(home) as instance:
        copied = Deployment(Path(settings), instance)
        for asset, partition in tiny_season.materialised():
            where = {"dagster/uri": str(copied.stored(asset, partition))}
            instance.report_runless_asset_event(
                dg.AssetMaterialization(dg.AssetKey(asset), metadata=where, partition=partition)
            )
    return {"AVALANCHE_SETTINGS": settings, "DAGSTER_HOME": home}


def test_handbook_has_commands_for_every_chapter_that_promises_one():
    assert COMMANDS[0].startswith("cp deploy/local/avalanche.example.toml")
    words = {" ".join(command.split()[:2]) for command in COMMANDS}
    assert {"avalanche doctor", "avalanche run", "avalanche season", "avalanche reviews", SERVER} <= words


@pytest.mark.parametrize("command", sorted(set(COMMANDS[SETTING_UP:])))
def test_command_works(desk, deployed, command, tmp_path):
    if not command.startswith(SERVER):
        shell(desk, command, **deployed)
        return
    port = free_port()
    arguments = (*command.split()[1:], "-h", "127.0.0.1", "-p", str(port))
    with running("dagster", *arguments, env=deployed, logs=tmp_path):
        client = DagsterClient(port, tmp_path)
        client.wait_until_loaded()
        assert "bulletin" in client.asset_names()


def detected(rows):
    return rows[rows["is_detection"]]


def test_reviews_command_makes_a_table_once_and_names_the_dates_that_wait_for_it(desk, deployed):
    first = shell(desk, "avalanche reviews my.toml", **deployed)
    table = Path(re.match(r"(.*): 0 reviews", first)[1])
    rows = re.search(r"```\n(corridor_id,.*?)```", HANDBOOK, re.DOTALL)[1].splitlines()
    assert table.read_text().splitlines() == rows[:1]
    ids = set(re.findall(r"^\d{8}", "\n".join(rows), re.MULTILINE))
    assert len(ids) == len(rows) - 1

    detections = sorted(desk.glob("data/detection/detections/*/detections.parquet"))
    found = {path.parent.name.split("=")[1]: gpd.read_parquet(path) for path in detections}
    day, hits = next((day, hits) for day, rows_of_day in found.items() if len(hits := detected(rows_of_day)))
    corridor = hits["corridor_id"].iloc[0]
    table.write_text(f"{rows[0]}\n{corridor},{day},reject,,AB,seen on foot\n")
    said = shell(desk, "avalanche reviews my.toml", **deployed)
    assert "1 reviews" in said
    assert day in said.split("Materialise detections and bulletin again:")[1]
    assert table.read_text().splitlines()[1].endswith("seen on foot")


def test_pictures_and_links_of_the_handbook_exist():
    targets = re.findall(r"\]\(([^)#]+?)(#[^)]*)?\)", HANDBOOK)
    local = {name for name, _ in targets if "://" not in name}
    assert [name for name in sorted(local) if not (ROOT / "docs" / name).exists()] == []
    anchors = {anchor[1:] for name, anchor in targets if not name} | set(
        re.findall(r"\]\(#([^)]+)\)", HANDBOOK)
    )
    headings = {
        line[3:].lower().replace(" ", "-") for line in HANDBOOK.splitlines() if line.startswith("## ")
    }
    assert anchors <= headings

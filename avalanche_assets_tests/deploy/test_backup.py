"""An instance moves from SQLite to PostgreSQL, is backed up and restored, as docs/deployment.md says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from finished_season import Deployment
from local_services import postgres

from avalanche_assets.automation.instance_move import move_instance
from avalanche_assets.errors import SettingsError

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def commands(chapter: str) -> str:
    text = PAGE.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return block


def run(script: str, env: dict[str, str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script], env={**os.environ, "PATH": path, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def environment(database, folder) -> dict[str, str]:
    """As on the machine of a service."""
    home = folder / "dagster_home"
    home.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "deploy" / "compose" / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(text)
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(database.port),
        "DAGSTER_POSTGRES_DB": "dagster",
        "DAGSTER_POSTGRES_USER": database.user,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.port),
        "PGUSER": database.user,
        "PGPASSFILE": str(database.pgpass(folder / "pgpass")),
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """An empty service on PostgreSQL."""
    with postgres() as database:
        yield SimpleNamespace(
            database=database, env=environment(database, tmp_path_factory.mktemp("service"))
        )


def known(env, deployment):
    """What an instance knows, in words that can be compared."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
            return facts(instance) | {"made": Deployment(deployment.settings_file, instance).materialised()}


def facts(instance):
    runs = {
        record.dagster_run.run_id: (
            record.dagster_run.status.value,
            record.dagster_run.job_name,
            record.dagster_run.tags,
            record.start_time and round(record.start_time, 3),
            record.end_time and round(record.end_time, 3),
            round(record.create_timestamp.timestamp(), 3),
        )
        for record in instance.get_run_records()
    }
    latest = {}
    for key in instance.get_asset_keys():
        event = instance.get_latest_materialization_event(key)
        if event is not None:
            latest[key.to_user_string()] = (event.run_id, round(event.timestamp, 3))
    return {"runs": runs, "latest": latest}


@pytest.fixture(scope="module")
def moved(service, tiny_season):
    """The tiny season's instance carried over by the command, twice."""
    script = commands("From one machine to a service")
    env = service.env | {"OLD_DAGSTER_HOME": tiny_season.instance.root_directory}
    said = [run(script, env).splitlines()[-1] for _ in range(2)]
    return SimpleNamespace(said=said, known=known(service.env, tiny_season))


def test_everything_that_sqlite_knew_is_known_by_postgresql(moved, tiny_season):
    old = facts(tiny_season.instance) | {"made": tiny_season.materialised()}
    assert moved.known == old
    assert len(old["runs"]) > 50


def test_moving_again_adds_nothing(moved):
    count = len(moved.known["runs"])
    assert moved.said[0].startswith(f"{count} runs with ")
    assert moved.said[1] == f"0 runs with 0 events and 0 backfills moved; {count} runs were there"


@pytest.fixture(scope="module")
def restored(moved, service, tiny_season, tmp_path_factory):
    """A backup of service and data root, restored on another machine."""
    backup, data = tmp_path_factory.mktemp("backup"), tmp_path_factory.mktemp("elsewhere") / "data"
    place = {"BACKUP": str(backup), "DATA_ROOT": str(tiny_season.layout.root)}
    run(commands("Backup"), service.env | place)
    with postgres() as database:
        database.run("dropdb", "dagster")
        env = environment(database, tmp_path_factory.mktemp("new_service"))
        run(commands("Restore"), env | place | {"DATA_ROOT": str(data)})
        yield SimpleNamespace(known=known(env, tiny_season), data=data)


def test_a_restored_service_knows_what_was_made(restored, moved):
    assert restored.known == moved.known


def test_a_restored_data_root_has_the_registry_and_what_people_wrote(restored, tiny_season):
    hashes = tiny_season.hashes()
    kept = ("layout.json", "inventory/", "learning/registry/", "detection/bulletin/")
    files = [name for name in hashes if name.startswith(kept)]
    assert len(files) > 10
    copied = Deployment(tiny_season.settings_file, tiny_season.instance)
    assert copied.layout.promoted_model.relative_to(copied.layout.root).as_posix() in files
    from avalanche_assets.files import sha256

    assert {name: sha256(restored.data / name) for name in files} == {name: hashes[name] for name in files}


def test_moving_refuses_what_is_no_instance_itself_or_busy(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "new")) as target:
        with pytest.raises(SettingsError, match=r"no dagster\.yaml"):
            move_instance(tmp_path, target, print)
        with pytest.raises(SettingsError, match="is DAGSTER_HOME itself"):
            move_instance(Path(target.root_directory), target, print)
        with dg.instance_for_test(temp_dir=str(tmp_path / "old")) as source:
            source.add_run(dg.DagsterRun(job_name="job", status=dg.DagsterRunStatus.STARTED))
        with pytest.raises(SettingsError, match="1 runs are not finished"):
            move_instance(tmp_path / "old", target, print)
        assert target.get_runs_count() == 0

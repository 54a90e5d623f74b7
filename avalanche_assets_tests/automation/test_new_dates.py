"""What `process_new_dates` launches when the catalogue, the inputs or the runs change."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from automation.operations_desk import OperationsDesk, acquisition
from dagster._core.test_utils import create_run_for_test

from avalanche_assets.automation.due import date_chains
from avalanche_assets.automation.failures import PARTITION
from avalanche_assets.automation.new_dates import AUTOMATIC, PATIENCE, next_run
from avalanche_assets.definitions import build_definitions

GEOCODED = ("s1_products", "orbit_files", "sigma0")
REFERENCES = ("2017-08-18", "2017-08-24")
DATES = ("2018-01-03", "2018-01-09", "2018-01-21")
SEASON = ("2017-18", ("season_report",))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def desk(tmp_path, instance):
    """The season up to 21 January, everything prepared, nothing processed yet."""
    desk = OperationsDesk(tmp_path, instance)
    desk.register(*map(acquisition, (*REFERENCES, *DATES)))
    desk.prepare()
    return desk


@pytest.fixture
def chain(desk):
    """Everything that is made of a winter date, in flow order."""
    names = tuple(desk.chain("2018-01-21"))
    assert names[:3] == GEOCODED
    assert names[-1] == "bulletin"
    return names


@pytest.fixture
def settled(desk):
    """The same, processed."""
    desk.work()
    return desk


def test_dates_are_processed_in_order_one_run_each_and_then_the_season_report(desk, chain):
    references = [(day, GEOCODED) for day in REFERENCES]
    assert desk.work() == [*references, *((day, chain) for day in DATES), SEASON]


def test_nothing_is_launched_twice(settled):
    assert settled.ask() == "nothing new in 2017-18"


def test_a_new_date_becomes_a_bulletin_and_nothing_else_is_touched(settled, chain):
    settled.register(acquisition("2018-01-27"))
    assert settled.work() == [("2018-01-27", chain), SEASON]


def test_a_run_is_one_date_and_goes_before_a_backfill(desk):
    request = desk.ask()
    assert request.tags["dagster/partition"] == REFERENCES[0]
    assert request.tags["dagster/priority"] == "10"
    assert [key.to_user_string() for key in request.asset_selection] == list(GEOCODED)


def test_a_late_previous_date_makes_the_next_one_again_after_it(settled, chain):
    settled.register(acquisition("2018-01-15"))
    done = settled.work()
    assert done == [("2018-01-15", chain), ("2018-01-21", chain), SEASON]


def test_a_late_slice_makes_its_date_again_and_what_is_compared_with_it(settled, chain):
    settled.register(acquisition("2018-01-09", version="2"))
    done = settled.work()
    compared = chain[chain.index("anomaly_scores") :]
    assert done == [("2018-01-09", chain), ("2018-01-21", compared), SEASON]


def test_tracks_of_all_later_dates_follow_a_changed_date(settled, chain):
    settled.register(acquisition("2018-01-03", version="2"))
    done = dict(settled.work())
    assert done["2018-01-09"] == chain[chain.index("anomaly_scores") :]
    assert done["2018-01-21"] == chain[chain.index("detections") :]


def test_a_review_of_an_earlier_date_makes_the_later_bulletins_again(settled):
    """They tell what changed since that date, and the season so far."""
    settled.make("detections", "2018-01-03")
    assert settled.work() == [*((day, ("bulletin",)) for day in DATES), SEASON]


def test_a_withdrawn_date_is_left_and_the_next_one_compared_with_the_date_before_it(settled, chain):
    settled.register(acquisition("2018-01-09", version="gone", state="withdrawn"))
    assert settled.partitions.catalogue.previous("2018-01-21").date.isoformat() == "2018-01-03"
    assert settled.work() == [("2018-01-21", chain), SEASON]


def test_an_offline_date_is_made_as_soon_as_it_is_online(settled, chain):
    settled.register(acquisition("2018-01-27", state="offline"))
    settled.work(fails={"2018-01-27": "s1_products"})
    assert "2018-01-27 failed in run" in settled.ask()
    settled.register(acquisition("2018-01-27", state="offline"))
    assert settled.work() == []
    settled.register(acquisition("2018-01-27"))
    assert settled.work() == [("2018-01-27", chain), SEASON]


def test_a_date_that_was_fetched_may_go_offline(settled):
    settled.register(acquisition("2018-01-09", state="offline"))
    assert settled.work() == []


@pytest.mark.parametrize("asset", ["vae", "dem", "corridors"])
def test_a_new_model_or_ground_makes_no_date_again(settled, asset):
    settled.make(asset)
    assert settled.work() == []


def test_a_new_reference_makes_no_date_again(settled):
    settled.make("reference_sigma0", "2017-18")
    assert settled.work() == []


def test_a_failed_date_is_left_alone_and_holds_up_no_other(desk, chain):
    done = desk.work(fails={"2018-01-09": "sigma0"})
    assert [day for day, _ in done] == [*REFERENCES, *DATES, "2017-18"]
    assert dict(done)["2018-01-09"] == ("s1_products", "orbit_files")
    assert dict(done)["2018-01-21"] == chain
    assert "2018-01-09 failed in run" in desk.ask()


def test_a_failed_date_that_is_mended_by_hand_goes_on_from_there(desk, chain):
    desk.work(fails={"2018-01-09": "sigma0"})
    desk.make("sigma0", "2018-01-09")
    done = desk.work()
    assert done[0] == ("2018-01-09", chain[3:])
    assert done[1:] == [("2018-01-21", chain[chain.index("anomaly_scores") :]), SEASON]


def test_what_a_blocking_check_refused_is_made_again_before_anything_is_made_from_it(settled, chain):
    """Otherwise a change elsewhere would lead the date round the check that has stopped it."""
    settled.make("sigma0", "2018-01-21")
    settled.refuse("calibration_plausible", "sigma0", "2018-01-21")
    after = tuple(name for name in chain[chain.index("sigma0") :] if name != "corridor_labels")
    assert settled.work()[0] == ("2018-01-21", after)


def test_a_failed_date_is_tried_again_when_its_products_change(desk, chain):
    desk.work(fails={"2018-01-09": "s1_products"})
    desk.register(acquisition("2018-01-09", version="2"))
    assert desk.work()[0] == ("2018-01-09", chain)


def test_dates_wait_for_what_a_person_has_to_make_and_say_so(tmp_path, instance):
    desk = OperationsDesk(tmp_path, instance)
    desk.register(*map(acquisition, (*REFERENCES, *DATES)))
    desk.prepare("reference_sigma0")
    done = desk.work()
    assert {assets for _, assets in done} == {GEOCODED, (*GEOCODED, "corridor_labels")}
    assert "reference_sigma0 2017-18 is missing for 2018-01-03 to 2018-01-21" in desk.ask()
    desk.make("reference_sigma0", "2017-18")
    left = tuple(name for name in desk.chain(DATES[0]) if name not in (*GEOCODED, "corridor_labels"))
    assert desk.work() == [*((day, left) for day in DATES), SEASON]


def test_an_older_season_is_a_backfill_and_never_processed(settled):
    settled.register(acquisition("2016-12-20"), acquisition("2016-12-26"))
    assert settled.work() == []


def test_summer_dates_of_the_next_season_stop_at_sigma0(settled):
    settled.register(acquisition("2018-08-20"))
    settled.now = datetime(2018, 8, 22, tzinfo=UTC)
    assert settled.work() == [("2018-08-20", GEOCODED)]


def test_a_date_that_somebody_is_working_on_is_left_to_them(settled):
    settled.register(acquisition("2018-01-27"))
    status = dg.DagsterRunStatus.STARTED
    create_run_for_test(settled.instance, tags={"dagster/partition": "2018-01-27"}, status=status)
    assert isinstance(settled.ask(), str)


def test_one_date_at_a_time(desk):
    create_run_for_test(desk.instance, tags=AUTOMATIC, status=dg.DagsterRunStatus.STARTED)
    assert desk.ask() == "at work on a date; the next one follows"


def test_a_date_whose_run_hangs_holds_up_the_others_for_an_hour_and_no_longer(settled, chain):
    settled.register(*map(acquisition, ("2018-01-27", "2018-02-02")))
    hanging = settled.ask()
    run = create_run_for_test(settled.instance, tags=hanging.tags, status=dg.DagsterRunStatus.STARTED)
    chains = date_chains(settled.specs, settled.partitions, "2017-18")

    def ask(after):
        return next_run(settled.instance, chains, "2017-18", datetime.now(UTC) + after)

    assert ask(PATIENCE / 2).skip_message == "at work on a date; the next one follows"
    request = ask(PATIENCE)
    assert settled.play(request) == list(chain)
    assert request.tags[PARTITION] == "2018-02-02"
    assert f"2018-01-27 is at work since {datetime.now(UTC):%Y-%m-%d}" in ask(PATIENCE).skip_message
    # It has come after all: the date after it is compared with it.
    settled.instance.report_run_canceled(run)
    assert settled.play(hanging) == list(chain)
    compared = list(chain[chain.index("anomaly_scores") :])
    assert settled.play(ask(PATIENCE)) == compared


def test_the_sensor_runs_for_archives_and_waits_to_be_switched_on_for_folders(desk):
    def status():
        repository = build_definitions(desk.settings_file).get_repository_def()
        return repository.get_sensor_def("process_new_dates").default_status

    assert status() == dg.DefaultSensorStatus.RUNNING
    text = desk.settings_file.read_text()
    desk.settings_file.write_text(text.replace('kind = "cdse"', 'kind = "safe_folder"'))
    assert status() == dg.DefaultSensorStatus.STOPPED

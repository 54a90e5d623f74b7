"""Promotion is an operator's job, and its check stops a model that is shown to be worse."""

import dagster as dg
import pytest
from minimal_settings import minimal_settings
from model_cards import example_card

from avalanche_assets.automation.promotion import CHECK
from avalanche_assets.definitions import build_definitions
from avalanche_assets.detectors import promotion
from avalanche_assets.detectors.promotion import Comparison
from avalanche_assets.detectors.registry import promote, promoted, register
from avalanche_assets.settings import load_settings

WORSE = Comparison(0.1, 0.3, -0.2, -0.3, -0.1, 40, True)
BETTER = Comparison(0.4, 0.3, 0.1, 0.05, 0.2, 40, True)
UNKNOWN = Comparison(None, None, None, None, None, 0, True)


class Registry:
    """Two registered versions, the first of them promoted, and runs of the job on them."""

    def __init__(self, tmp_path):
        self.file = tmp_path / "avalanche.toml"
        self.file.write_text(minimal_settings())
        settings = load_settings(self.file)
        self.layout = settings.layout
        self.layout.model("vae").mkdir(parents=True)
        self.first, self.second = (
            register(self.layout, example_card(settings, seed=seed)).version for seed in (1, 2)
        )
        promote(self.layout, self.first)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, version=None):
        job = build_definitions(self.file).get_repository_def().get_job("promote_model")
        config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        if version is not None:
            config["ops"] = {"promoted_model": {"config": {"version": version}}}
        return job.execute_in_process(
            instance=self.instance, run_config=config if version is not None else None, raise_on_error=False
        )

    @property
    def promoted(self):
        return promoted(self.layout).version


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path)


def compared_as(monkeypatch, result):
    monkeypatch.setattr(promotion, "compare", lambda *_: result)


def evaluation_of(run):
    (found,) = run.get_asset_check_evaluations()
    assert found.check_name == CHECK
    return found


def test_better_model_is_promoted_and_the_check_says_how_much_better(registry, monkeypatch):
    compared_as(monkeypatch, BETTER)
    run = registry.run()
    assert run.success
    assert registry.promoted == registry.second
    assert evaluation_of(run).metadata["gain"].value == 0.1


@pytest.mark.parametrize("result", [WORSE, UNKNOWN])
def test_worse_model_and_one_that_cannot_be_compared_are_stopped(registry, monkeypatch, result):
    compared_as(monkeypatch, result)
    run = registry.run()
    assert not evaluation_of(run).passed
    assert registry.promoted == registry.first


def test_operator_may_name_a_version(registry, monkeypatch):
    compared_as(monkeypatch, BETTER)
    assert registry.run().success
    assert registry.run(registry.first).success
    assert registry.promoted == registry.first


def test_unknown_version_fails_and_the_promoted_one_stays(registry, monkeypatch):
    compared_as(monkeypatch, BETTER)
    assert not registry.run("vae-unknown").success
    assert registry.promoted == registry.first


def test_materialising_again_without_a_version_promotes_nothing(registry, monkeypatch):
    compared_as(monkeypatch, BETTER)
    assert registry.run("").success
    assert registry.promoted == registry.first

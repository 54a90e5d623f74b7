import subprocess
import sys

import dagster as dg
import pytest
from minimal_settings import minimal_settings

from avalanche_assets.automation.stages import STAGES
from avalanche_assets.definitions import build_definitions
from avalanche_assets.errors import SettingsError

LEARNED_FROM = {"training_split", "terrain_patches", "corridor_patches", "corridor_labels"}
UNTRAINED = ("local_contrast", "dual_contrast")
TRAINED = (
    *("change_threshold", "random_forest", "gradient_boosting", "cnn", "autoencoder"),
    *("vae", "vae_all", "vae_star", "conditional_vae"),
)
FLOW = {
    "acquisition": {"acquisition_catalogue"},
    "s1_products": {"acquisition"},
    "orbit_files": {"s1_products"},
    "slope_aspect": {"dem"},
    "track_geometry": {"dem", "orbit_files"},
    "corridors": {"dem"},
    "avalanche_events": {"corridors"},
    "sigma0": {"acquisition", "s1_products", "orbit_files", "dem", "track_geometry", "corridors"},
    "reference_sigma0": {"sigma0"},
    "vv_vh_star": {"acquisition", "sigma0", "reference_sigma0"},
    "terrain_patches": {"dem", "slope_aspect", "track_geometry", "corridors"},
    "corridor_patches": {"acquisition", "vv_vh_star", "corridors", "track_geometry", "dem"},
    "corridor_labels": {"acquisition", "corridors", "avalanche_events"},
    "training_split": {"acquisition_catalogue", "corridors", "corridor_labels"},
    **dict.fromkeys(TRAINED, LEARNED_FROM),
    "local_contrast": set(),
    "dual_contrast": set(),
    "anomaly_scores": {"acquisition", "corridor_patches", "terrain_patches", *UNTRAINED, *TRAINED},
    "score_background": {
        "training_split",
        "corridors",
        "anomaly_scores",
        "corridor_labels",
        "corridor_patches",
    },
    "thresholds": {
        "training_split",
        "corridors",
        "anomaly_scores",
        "corridor_labels",
        "score_background",
    },
    "evaluation": {
        "training_split",
        "corridors",
        "anomaly_scores",
        "corridor_labels",
        "corridor_patches",
        "terrain_patches",
        "score_background",
        "thresholds",
        *UNTRAINED,
        *TRAINED,
    },
    "model_registry": {"evaluation", "score_background", "thresholds", *UNTRAINED, *TRAINED},
    "promoted_model": {"model_registry"},
    "published_scores": {"acquisition", "anomaly_scores", "corridor_patches", "promoted_model"},
    "detections": {"acquisition", "published_scores", "corridor_patches", "promoted_model"},
    "bulletin": {"acquisition", "detections"},
    "season_report": {"bulletin", "evaluation"},
}


@pytest.fixture
def settings_file(tmp_path):
    path = tmp_path / "avalanche.toml"
    path.write_text(minimal_settings())
    return path


def test_graph_loads_before_any_acquisition_is_known(settings_file):
    definitions = build_definitions(settings_file)
    dg.Definitions.validate_loadable(definitions)


def test_lineage_is_the_flow(settings_file):
    graph = build_definitions(settings_file).resolve_asset_graph()
    for name, parents in FLOW.items():
        found = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys}
        assert found == parents, name


def test_every_asset_tells_a_person_what_it_is(settings_file):
    for spec in build_definitions(settings_file).resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.code_version or spec.key == dg.AssetKey("acquisition"), spec.key
        assert spec.group_name[0].isdigit(), spec.key
        assert spec.tags["avalanche/made"] in ("once", "each_date", "each_season"), spec.key


def test_groups_are_listed_in_flow_order(settings_file):
    groups = {spec.group_name for spec in build_definitions(settings_file).resolve_all_asset_specs()}
    flow = ["acquisition", "terrain", "inventory", "backscatter", "patches", "learning", "detection"]
    assert sorted(groups) == [f"{number}_{name}" for number, name in enumerate(flow, 1)]


def test_every_job_sensor_and_check_tells_a_person_what_it_does(settings_file):
    repository = build_definitions(settings_file).get_repository_def()
    spoken = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for definition in [*spoken, *repository.sensor_defs, *repository.schedule_defs]:
        assert definition.description, definition.name
    for check in repository.asset_checks_defs_by_key.values():
        assert all(spec.description for spec in check.check_specs), check


def test_a_catalogue_that_is_not_asked_any_more_is_overdue(settings_file):
    def policies():
        specs = build_definitions(settings_file).resolve_all_asset_specs()
        return {spec.key.to_user_string(): spec.freshness_policy for spec in specs if spec.freshness_policy}

    assert policies() == {}
    text = settings_file.read_text()
    remote = 'kind = "cdse"\norbits = "orbits"\nfolder'
    settings_file.write_text(text.replace("folder", remote, 1))
    assert set(policies()) == {"acquisition_catalogue"}


def test_every_asset_belongs_to_exactly_one_stage(settings_file):
    staged = [name for stage in STAGES for name in stage.assets]
    made = build_definitions(settings_file).resolve_asset_graph().materializable_asset_keys
    assert sorted(staged) == sorted(key.to_user_string() for key in made)


def test_loading_definitions_imports_no_heavy_library(settings_file):
    """Dagster reloads code often; torch, numba, geopandas and matplotlib load when an asset runs."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from avalanche_assets.definitions import build_definitions\n"
        f"build_definitions(Path({str(settings_file)!r}))\n"
        "heavy = {'torch', 'numba', 'matplotlib', 'sklearn', 'rasterio', 'pandas', 'geopandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_missing_settings_file_names_the_remedy(tmp_path):
    with pytest.raises(SettingsError, match="AVALANCHE_SETTINGS"):
        build_definitions(tmp_path / "none.toml")

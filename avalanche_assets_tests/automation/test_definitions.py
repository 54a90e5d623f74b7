import subprocess
import sys

import dagster as dg
import pytest

from avalanche_assets.automation.stages import STAGES
from avalanche_assets.definitions import build_definitions
from avalanche_assets.errors import SettingsError

SETTINGS = """
data_root = "data"
[source]
folder = "products"
[terrain]
dem = "dem.tif"
vertical_datum = "ellipsoidal"
[inventory]
corridors = "corridors.gpkg"
events = "events.csv"
"""

LEARNED_FROM = {"training_split", "terrain_patches", "corridor_patches", "corridor_labels"}
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
    "anomaly_scores": {"acquisition", "corridor_patches", "terrain_patches", "local_contrast", *TRAINED},
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
        "local_contrast",
        *TRAINED,
    },
    "model_registry": {"evaluation", "score_background", "thresholds", "local_contrast", *TRAINED},
    "promoted_model": {"model_registry"},
    "published_scores": {"acquisition", "anomaly_scores", "corridor_patches", "promoted_model"},
    "detections": {"acquisition", "published_scores", "corridor_patches", "promoted_model"},
    "bulletin": {"acquisition", "detections"},
    "season_report": {"bulletin", "evaluation"},
}


@pytest.fixture
def settings_file(tmp_path):
    path = tmp_path / "avalanche.toml"
    path.write_text(SETTINGS)
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
        assert spec.group_name != "default", spec.key


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
        "print(sorted({'torch', 'numba', 'matplotlib', 'sklearn', 'rasterio'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_missing_settings_file_names_the_remedy(tmp_path):
    with pytest.raises(SettingsError, match="AVALANCHE_SETTINGS"):
        build_definitions(tmp_path / "none.toml")

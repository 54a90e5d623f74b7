"""The whole graph with its data root in a bucket gives the same bytes as in a folder."""

import shutil

import dagster as dg
import pytest
from finished_season import INSTANCE_FILE, Deployment
from stored_roots import names

from avalanche_assets.files import sha256

pytestmark = pytest.mark.integration

DATE = "2018-03-04"
DATED = ("fetch_products", "compute_sigma0", "cut_patches", "score", "detect")


@pytest.fixture(scope="module")
def in_bucket(tiny_season, store_process, tmp_path_factory):
    """The same season, products and all, made once more into a bucket."""
    folder = tmp_path_factory.mktemp("bucket_home")
    shutil.copy(INSTANCE_FILE, folder)
    settings_file = tiny_season.folder / "bucket.toml"  # beside the other: products are named by their path
    text = tiny_season.settings_file.read_text()
    assert 'data_root = "data"' in text
    settings_file.write_text(text.replace('data_root = "data"', 'data_root = "s3://season/tiny"'))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store_process.environment.items():
            patch.setenv(name, value)
        store_process.owner.create_bucket(Bucket="season")
        deployment = Deployment(settings_file, dg.DagsterInstance.from_config(str(folder)))
        report = deployment.run()
        assert report.failures == {}
        yield deployment
    settings_file.unlink()


def test_every_asset_is_made(in_bucket):
    assert in_bucket.materialised() == set(in_bucket.expected())


def test_every_file_has_the_same_bytes_as_in_a_folder(in_bucket, tiny_season):
    root = in_bucket.layout.root
    stored = {name: sha256(root / name) for name in names(root)}
    expected = {name: digest for name, digest in tiny_season.hashes().items() if not name.endswith(".lock")}
    assert stored.keys() == expected.keys()
    assert {name for name in stored if stored[name] != expected[name]} == set()
    assert len(stored) > 150


def test_a_date_is_made_again_without_listing_more_than_single_folders(in_bucket, store_process):
    begun = len(store_process.asked())
    for stage in DATED:
        assert in_bucket.materialise(stage, DATE) == ""
    asked = store_process.asked()[begun:]
    listed = [address for _, address in asked if "list-type" in address]
    print(f"{len(asked)} requests for a date, {len(listed)} of them lists of at most a folder")
    assert all("delimiter=/" in address for address in listed)
    # Whether something is there that is not is asked as a list of at most one name.
    assert len([address for address in listed if "max-keys=1" not in address]) < 20

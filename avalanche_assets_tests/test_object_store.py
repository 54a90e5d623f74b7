"""What only a bucket has: uploads cut short, locks, keys and policies, and what goes over the network."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
from loopback.server import Answer, LoopbackServer
from stored_roots import Meter, names

from avalanche_assets.errors import StorageError, TableError, TransientError
from avalanche_assets.files import atomic_path, exclusive, write_text
from avalanche_assets.grid import Grid, Window
from avalanche_assets.object_store import ObjectStore, lease, try_out
from avalanche_assets.rasters import read_bands, write_cog
from avalanche_assets.readable import unreadable_files
from avalanche_assets.stored_path import bucket_path, gdal_name, gdal_options, link, local_folder

pytestmark = pytest.mark.integration

SECURITY_PAGE = Path(__file__).resolve().parents[1] / "docs" / "security.md"
LARGE = 110_000_000
"""Bytes of a file that is uploaded in parts (of 50 MB)."""
WRITER = """
import os, signal, sys
from avalanche_assets.files import atomic_path
from avalanche_assets.object_store import ObjectStore
from avalanche_assets.stored_path import bucket_path

url, size, before, after = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
ask = ObjectStore._call_s3

async def killed(self, method, *args, **kwargs):
    if method == before:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = await ask(self, method, *args, **kwargs)
    if method == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

ObjectStore._call_s3 = killed
with atomic_path(bucket_path(url)) as temporary:
    with temporary.open("wb") as file:
        file.truncate(size)
    if before == "the upload":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("size", "before", "after"),
    [
        (1000, "the upload", ""),
        (1000, "put_object", ""),
        (LARGE, "", "upload_part"),
        (LARGE, "complete_multipart_upload", ""),
    ],
)
def test_a_writer_that_is_killed_leaves_what_was_there(bucket_root, store, tmp_path, size, before, after):
    target = bucket_root / "sigma0.tif"
    target.write_bytes(b"old")
    command = [sys.executable, "-c", WRITER, str(target), str(size), before, after]
    environment = {**store.environment, "TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run(command, env=environment, timeout=120).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert names(bucket_root) == ["sigma0.tif"]
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_in_parts_arrives_whole(bucket_root, tmp_path):
    content = np.random.default_rng(0).bytes(LARGE)
    with atomic_path(bucket_root / "large.bin") as temporary:
        temporary.write_bytes(content)
    assert (bucket_root / "large.bin").read_bytes() == content


def test_one_at_a_time_is_in_the_block(root):
    counter = root / "count.txt"
    write_text(counter, "0")

    def count():
        with exclusive(root / "count.lock"):
            seen = int(counter.read_text())
            time.sleep(0.05)
            write_text(counter, str(seen + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "4"


def test_a_lock_is_free_again_after_an_error(bucket_root):
    lock = bucket_root / "a.lock"
    with pytest.raises(ValueError, match="broken off"), exclusive(lock):
        raise ValueError("broken off")
    assert names(bucket_root) == []


def test_a_lock_of_a_dead_process_is_taken_over_and_that_of_a_living_one_is_not(bucket_root):
    # The store's clock tells whole seconds: a lock of 4 s is believed for 4 to 5 s.
    lock, told = bucket_root / "a.lock", []
    write_text(lock, "of a process that was killed")
    begun = time.monotonic()
    with lease(lock, 4.0):
        assert time.monotonic() - begun > 3

        def other():
            with lease(lock, 4.0):
                told.append("other")

        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(8)
        told.append("holder")
    thread.join()
    assert told == ["holder", "other"]
    assert names(bucket_root) == []


def test_a_missing_bucket_is_named_and_never_made(store):
    root = bucket_path("s3://no-such-bucket/winter")
    (root / "folder").mkdir(parents=True, exist_ok=True)
    for use in (root.exists, lambda: write_text(root / "a", "x"), lambda: list(root.iterdir())):
        with pytest.raises(
            StorageError, match=r"s3://no-such-bucket: there is no such bucket at 127.*create"
        ):
            use()
    assert "no-such-bucket" not in [one["Name"] for one in store.owner.list_buckets()["Buckets"]]


def test_missing_keys_are_named(bucket_root, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ObjectStore.clear_instance_cache()
    with pytest.raises(StorageError, match="no keys for the object store; set AWS_ACCESS_KEY_ID"):
        bucket_path(str(bucket_root)).exists()
    ObjectStore.clear_instance_cache()


def test_a_store_that_is_away_is_worth_another_try(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"not reached at 127\.0\.0\.1:9 .*check AWS_ENDPOINT_URL_S3"):
        bucket_path("s3://data/winter").exists()


def test_a_store_in_trouble_is_asked_five_times_and_worth_another_try(store, monkeypatch):
    with LoopbackServer() as server:
        server.routes["/data"] = lambda request: Answer(500, b"<Error><Code>InternalError</Code></Error>")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        with pytest.raises(TransientError, match=r"get_object is not answered now \(InternalError\)"):
            bucket_path("s3://data/winter").fs.call_s3("get_object", Bucket="data", Key="winter/dem.tif")
        assert len(server.seen) == 5


def test_requests_are_tried_again(bucket_root, store, monkeypatch):
    grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 128, 128)
    write_cog(
        bucket_root / "dem.tif", {"elevation": np.ones(grid.shape, np.float32)}, grid, {"elevation": "m"}
    )
    with Meter(store.url, resets=2) as meter:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", meter.url)
        root = bucket_path(str(bucket_root))
        write_text(root / "note.txt", "arrived")
        assert meter.resets == 0
        assert root.exists()
        meter.resets, path = 2, root / "dem.tif"
        with rasterio.Env(**gdal_options(path)), rasterio.open(gdal_name(path)) as dataset:
            assert dataset.read().all()
        assert meter.resets == 0
    assert (bucket_root / "note.txt").read_text() == "arrived"


@pytest.fixture
def account(bucket_root, store, monkeypatch):
    """Uses the keys of a user who may do what a policy of the security page says, less some actions."""
    iam = _iam(store)

    def use(*less: str) -> None:
        policy = json.loads(re.search(r"```json\n(.*?)```", SECURITY_PAGE.read_text(), re.DOTALL)[1])
        text = json.dumps([one for one in policy["Statement"] if one["Effect"] == "Allow"])
        statements = json.loads(text.replace("avalanche-data", bucket_root.drive))
        for one in statements:
            one["Action"] = [action for action in one["Action"] if action not in less]
        document = {"Version": "2012-10-17", "Statement": [one for one in statements if one["Action"]]}
        name = f"user-{time.time_ns()}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="data", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        ObjectStore.clear_instance_cache()
        # From here on every request needs a right signature and permission.
        requests.post(f"{store.url}/moto-api/reset-auth", b"0", timeout=10).raise_for_status()

    yield use
    requests.post(f"{store.url}/moto-api/reset-auth", b"inf", timeout=10).raise_for_status()
    ObjectStore.clear_instance_cache()


def test_the_policy_of_the_security_page_is_enough(bucket_root, account):
    account()
    assert try_out(bucket_root) > 0
    with atomic_path(bucket_root / "large.bin") as temporary, temporary.open("wb") as file:
        file.truncate(LARGE)
    with exclusive(bucket_root / "a.lock"):
        grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 128, 128)
        write_cog(
            bucket_root / "dem.tif", {"elevation": np.ones(grid.shape, np.float32)}, grid, {"elevation": "m"}
        )
    assert read_bands(bucket_root / "dem.tif")["elevation"].all()
    assert names(bucket_root) == ["dem.tif", "large.bin"]


@pytest.mark.parametrize("lacking", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"])
def test_a_right_that_is_lacking_is_said(bucket_root, account, lacking):
    account(lacking)
    with pytest.raises(StorageError, match=r"is denied \((403|AccessDenied)\).*policy of docs/security\.md"):
        try_out(bucket_root)


def test_wrong_keys_are_said(bucket_root, account, monkeypatch):
    account()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ObjectStore.clear_instance_cache()
    with pytest.raises(StorageError, match=r"put_object is denied \(SignatureDoesNotMatch\)"):
        try_out(bucket_path(str(bucket_root)))


def test_every_client_takes_the_keys_out_of_a_file(bucket_root, account, monkeypatch, tmp_path):
    account()
    keys = {name.lower(): os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    file = tmp_path / "credentials"
    file.write_text("\n".join(["[default]", *(f"{name} = {value}" for name, value in keys.items())]) + "\n")
    for name in keys:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    ObjectStore.clear_instance_cache()
    root = bucket_path(str(bucket_root))
    grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 128, 128)
    write_cog(root / "dem.tif", {"elevation": np.ones(grid.shape, np.float32)}, grid, {"elevation": "m"})
    assert read_bands(root / "dem.tif")["elevation"].all()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(TableError, match=r"dem\.tif: not a readable raster"):
        read_bands(root / "dem.tif")


def test_a_window_of_a_raster_is_read_without_the_rest(bucket_root, store, monkeypatch):
    grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 1536, 1536)
    noise = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    write_cog(bucket_root / "sigma0.tif", {"vv": noise, "vh": noise}, grid, {"vv": "1", "vh": "1"})
    size = (bucket_root / "sigma0.tif").stat().st_size
    window = Window(700, 700, 64, 64)
    with Meter(store.url) as meter:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", meter.url)
        seen = read_bands(bucket_root / "sigma0.tif", ["vv"], window)["vv"]
    np.testing.assert_array_equal(seen, noise[window.slices])
    assert 0 < meter.received < 0.05 * size  # four tiles of 288, and the directory


def test_looking_through_a_date_lists_folders_only(bucket_root, store):
    for day in ("2018-01-03", "2018-01-09"):
        write_text(bucket_root / "detection" / "bulletin" / f"acquisition_date={day}" / "item.json", "{}")
    before = len(store.asked())
    assert unreadable_files(bucket_root, ["2018-01-09"]) == (1, [])
    listed = [address for method, address in store.asked()[before:] if "list-type" in address]
    assert listed
    assert all("delimiter=/" in address or "acquisition_date%3D2018-01-09" in address for address in listed)


def test_a_folder_of_fetched_files_comes_and_what_is_new_is_kept(bucket_root):
    write_text(bucket_root / "tiles" / "old.tif", "old")

    def fetch() -> None:
        with local_folder(bucket_root / "tiles") as folder:
            assert (folder / "old.tif").read_text() == "old"
            (folder / "new.tif").write_text("new")
            (folder / ".half.tif.part").write_text("half")
            raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        fetch()
    assert names(bucket_root) == ["tiles/new.tif", "tiles/old.tif"]


def test_pages_link_to_each_other_as_in_a_folder(bucket_root, tmp_path):
    for root in (bucket_root, tmp_path):
        assert link(root / "a" / "b" / "x.html", root / "a" / "c") == "../b/x.html"


def _iam(store):
    import boto3

    return boto3.client(
        "iam",
        endpoint_url=store.url,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
    )

"""Paths of the data root, which is a folder or a prefix of a bucket in an object store.

A path in a bucket is a `UPath`: it has the methods of `pathlib.Path` that the pipeline uses and is annotated
as one. Only libraries that open files by name have to know where a file really is; what they need is here.
Writing goes through `files.atomic_path` alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import fsspec
from pydantic import PlainSerializer, WrapValidator
from upath import UPath

SCHEME = "s3://"
BLOCK_BYTES = 8_000_000
"""What is read at once of an object that is read piece by piece, beyond the piece asked for."""
ATTEMPTS = 5
"""Of a request that an object store did not answer, or asked to send again later."""

# A name alone: neither the class nor its libraries are loaded unless a data root is in a bucket.
fsspec.register_implementation(
    "s3",
    "avalanche_assets.object_store.ObjectStore",
    clobber=True,
    errtxt="a data_root of s3:// needs the extra s3: pip install 'avalanche-assets[s3]'",
)


def _stored_path(value: Any, local: Any) -> Path:
    if isinstance(value, str) and value.startswith(SCHEME):
        return bucket_path(value)
    if isinstance(value, str) and "://" in value:
        raise ValueError(f"{value!r} is neither a folder nor s3://bucket/prefix")
    return value if in_bucket(value) else local(value)  # type: ignore[no-any-return]


def bucket_path(url: str) -> Path:
    """The path of ``s3://bucket/prefix`` in the store that the environment names.

    Raises:
        ValueError: There is no bucket in the URL, or more than bucket and prefix.
    """
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not s3://bucket/prefix; keys and endpoint come from the environment")
    path = UPath(
        url.rstrip("/"),
        endpoint_url=endpoint(),
        default_block_size=BLOCK_BYTES,
        use_listings_cache=False,  # other processes write too
        config_kwargs={"retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}},
    )
    return cast(Path, path)


DataRoot = Annotated[Path, WrapValidator(_stored_path), PlainSerializer(str, when_used="json")]
"""A folder, or ``s3://bucket/prefix``."""


def endpoint() -> str | None:
    """The object store's address by the variables that all its clients share; None for that of AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def in_bucket(path: object) -> UPath | None:
    """The path as what it is, when it is in a bucket."""
    return path if isinstance(path, UPath) else None


def gdal_name(path: Path) -> str:
    """The name by which GDAL opens a file."""
    remote = in_bucket(path)
    return str(path) if remote is None else f"/vsis3/{remote.path}"


def gdal_options(path: Path) -> dict[str, Any]:
    """What `rasterio.Env` has to know to read `path`; GDAL itself finds the keys, like every client."""
    if in_bucket(path) is None:
        return {}
    from rasterio.session import DummySession

    options: dict[str, Any] = {
        "session": DummySession(),  # rasterio's own would hand over keys that expire
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # it would list all that lies beside a file
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",  # a date may have been made again since
        "GDAL_HTTP_MAX_RETRY": ATTEMPTS,
        "GDAL_HTTP_RETRY_DELAY": 0.5,
    }
    if file := os.environ.get("AWS_SHARED_CREDENTIALS_FILE"):
        options["CPL_AWS_CREDENTIALS_FILE"] = file
    if url := endpoint():
        parts = urlsplit(url)
        options |= {
            "AWS_S3_ENDPOINT": parts.netloc + parts.path.rstrip("/"),
            "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }
    return options


def arrow_file(path: Path) -> tuple[str, Any]:
    """Name and file system by which pyarrow opens a file; no file system for a local one."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    remote = in_bucket(path)
    return (str(path), None) if remote is None else (remote.path, PyFileSystem(FSSpecHandler(remote.fs)))


@contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """A file on this machine's disk with the content of `path`, for libraries that read nothing else."""
    remote = in_bucket(path)
    if remote is None:
        yield path
        return
    with TemporaryDirectory(prefix="avalanche-") as scratch:
        copy = Path(scratch) / path.name
        remote.fs.get_file(remote.path, str(copy))
        yield copy


@contextmanager
def local_folder(folder: Path) -> Iterator[Path]:
    """A folder on this machine's disk with the files of `folder`; those that are new are stored at the end.

    For collections of fetched files that never change once they are whole.
    """
    remote = in_bucket(folder)
    if remote is None:
        yield folder
        return
    with TemporaryDirectory(prefix="avalanche-") as scratch:
        known = set()
        for path in remote.glob("*"):
            remote.fs.get_file(path.path, str(Path(scratch) / path.name))
            known.add(path.name)
        try:
            yield Path(scratch)
        finally:
            for file in sorted(Path(scratch).iterdir()):
                if file.is_file() and file.name not in known and not file.name.startswith("."):
                    remote.fs.put_file(str(file), f"{remote.path}/{file.name}")


def link(target: Path, folder: Path) -> str:
    """Address of a file or folder of the data root relative to another folder of it."""
    return os.path.relpath(target.as_posix(), folder.as_posix())

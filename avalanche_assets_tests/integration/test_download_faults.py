"""200 downloads with faults at random places: each ends verified or with the right error."""

import hashlib
import logging
import random
import time
import traceback
import zipfile
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from loopback.fake_cdse import MARK, PASSWORD, TOKEN_PATH, USERNAME, FakeCdse
from loopback.full_disk import fill_disk_after
from loopback.server import Fault
from pydantic import SecretStr
from sentinel1.tiny_safe import write_tiny_safe

from avalanche_assets.catalogue.cdse.token import CdseToken
from avalanche_assets.catalogue.verification import fetch_product, is_verified
from avalanche_assets.errors import AccountError, AvalancheError, CatalogueError, DiskError, TransientError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.settings import TransferSettings

pytestmark = pytest.mark.integration

DOWNLOADS, SEED = 200, 139
ATTEMPTS = 8
SETTINGS = TransferSettings(
    attempts=ATTEMPTS, first_wait_s=0, longest_wait_s=0, stalled_s=0.25, keep_free_gb=0
)
VARIABLES = "CDSE_USERNAME and CDSE_PASSWORD"
BROKEN = ("reset", "stall", "truncate", "whole")
WRONG = ("flip", "shorter", "longer")
STATUSES = (404, 408, 429, 500, 502, 503, 504)
LASTING = {
    "401 for good": (AccountError, f"credentials refused .401.; check {VARIABLES}"),
    "403": (AccountError, "403.: no permission or quota"),
    "404 for good": (CatalogueError, f"not found .404. in {ATTEMPTS} tries"),
    "429 for good": (TransientError, f"answered 429; given up after {ATTEMPTS} tries"),
    "503 for good": (TransientError, f"answered 503; given up after {ATTEMPTS} tries"),
    "stall for good": (TransientError, f"said nothing for too long; given up after {ATTEMPTS} tries"),
    "flip for good": (CatalogueError, "fetched 3 times"),
    "longer for good": (CatalogueError, "bytes instead of .*fetched 3 times"),
    "disk full": (DiskError, "No space left on device"),
}
"""What no number of tries heals, with the error that has to come."""


@dataclass
class Plan:
    """One download: what is fetched, what goes wrong, and what has to come of it."""

    number: int
    content: bytes
    md5: str
    faults: list[Fault]
    lasting: str | None = None
    room: int | None = None

    @property
    def product_id(self):
        return f"00000000-0000-4000-8000-{self.number:012d}"

    @property
    def name(self):
        return f"S1B_IW_GRDH_1SDV_20171203T054300_20171203T054325_008565_0FFFFF_{self.number:04X}.zip"


@dataclass
class Outcome:
    """What came of all of them."""

    verified: int = 0
    right_errors: int = 0
    wrong: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Valid products of 10 to 500 kB; their pixels hardly compress."""
    folder, rng = tmp_path_factory.mktemp("products"), np.random.default_rng(SEED)
    shapes = [(20, 30), (40, 60), (80, 100), (120, 150), (200, 200), (250, 300), (300, 400)]
    paths = [
        write_tiny_safe(folder, rng.integers(0, 60_000, shape), name=f"P{shape[0]}", zipped=True)
        for shape in shapes
    ]
    return [path.read_bytes() for path in paths]


def place(rng, content):
    return rng.randrange(len(content))


def make_plan(rng, number, products):
    content = rng.choice(products)
    md5 = hashlib.md5(content).hexdigest() if rng.random() < 0.5 else ""
    lasting = rng.choice(sorted(LASTING)) if rng.random() < 0.2 else None
    faults = []
    for _ in range(rng.randint(1, 4)):
        # Before what lasts nothing may happen that lets the whole file through.
        family = rng.choice(["broken", "status"] if lasting else ["broken", "status", "token", "wrong"])
        if family == "broken":
            faults.append(Fault(rng.choice(BROKEN[:-1] if lasting else BROKEN), at=place(rng, content)))
        elif family == "status":
            headers = (("Retry-After", "0"),) if rng.random() < 0.5 else ()
            faults.append(Fault("status", status=rng.choice(STATUSES), headers=headers))
        elif family == "token":
            # In the middle of the download: the stream breaks, and the token is no longer good.
            faults += [
                Fault("truncate", at=place(rng, content)),
                Fault(rng.choice(["expire", "end session"])),
            ]
        elif sum(fault.kind in WRONG for fault in faults) < 2:
            faults.append(Fault(rng.choice(WRONG), at=place(rng, content)))
    room = None
    if lasting == "disk full":
        faults, room = [], place(rng, content)
    elif lasting:
        word = lasting.split()[0]
        if lasting in ("flip for good", "longer for good"):
            faults = []
        if not word.isdigit():
            # A byte in the middle of an image, which the manifest's checksum covers.
            at = len(content) // 2 if word == "flip" else rng.randrange(1000)
        last = Fault("status", status=int(word)) if word.isdigit() else Fault(word, at=at)
        faults += [last] * 60
    return Plan(number, content, md5, faults, lasting, room)


def fetch(cdse, service, folder, plan, md5):
    remote = Remote(cdse.product_url(plan.product_id), plan.name, len(plan.content), md5)
    return fetch_product(service, remote, folder, lambda transferred: None, plan.product_id)


def run(cdse, service, folder, plan, outcome):
    """One download, and afterwards, where it had to fail, another one without faults."""
    final = folder / plan.name
    try:
        with pytest.MonkeyPatch.context() as patch:
            if plan.room is not None:
                fill_disk_after(patch, plan.room)
            fetch(cdse, service, folder, plan, plan.md5)
    except AvalancheError as error:
        outcome.texts.append("".join(traceback.format_exception(error)))
        kind, says = LASTING.get(plan.lasting, (None, ""))
        right = type(error) is kind and pytest.raises(kind, match=says).matches(error)
        outcome.right_errors += right
        if not right or final.exists():
            outcome.wrong.append(f"{plan.number} {plan.lasting}: {error}")
        return
    whole = final.read_bytes() == plan.content if plan.md5 else same_members(final, plan.content, folder)
    outcome.verified += whole and plan.lasting is None
    if not whole or plan.lasting:
        outcome.wrong.append(f"{plan.number} {plan.lasting}: accepted, whole: {whole}")


def same_members(path, content, folder):
    """Whether two zips hold the same files: what can be known before the catalogue has an MD5."""
    other = folder / ".sought"
    other.write_bytes(content)
    with zipfile.ZipFile(path) as found, zipfile.ZipFile(other) as sought:
        same = found.namelist() == sought.namelist() and all(
            found.read(name) == sought.read(name) for name in sought.namelist()
        )
    other.unlink()
    return same


def test_every_download_ends_verified_or_with_the_right_error(products, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    rng, outcome, begun = random.Random(SEED), Outcome(), time.monotonic()
    plans = [make_plan(rng, number, products) for number in range(DOWNLOADS)]
    account = Account(SecretStr(USERNAME), SecretStr(PASSWORD), VARIABLES)
    with FakeCdse() as cdse:
        cdse.on_fault["end session"] = cdse.end_sessions
        token = CdseToken(HttpService(SETTINGS), cdse.token_url, account)
        service = HttpService(SETTINGS, token, VARIABLES)
        for plan in plans:
            cdse.files[plan.product_id] = plan.content
            queue = cdse.faults[cdse.product_path(plan.product_id)]
            queue.extend(plan.faults)
            if rng.random() < 0.2:
                cdse.faults[TOKEN_PATH].append(
                    rng.choice([Fault("status", status=503), Fault("reset", at=9)])
                )
            run(cdse, service, tmp_path, plan, outcome)
            met = plan.faults[: len(plan.faults) - len(queue)]
            outcome.kinds.update(fault.kind if not fault.status else str(fault.status) for fault in met)
            outcome.kinds.update(["full disk"] * (plan.room is not None))
            queue.clear()
        unlike = sum(
            (tmp_path / plan.name).read_bytes() != plan.content
            for plan in plans
            if (tmp_path / plan.name).exists()
        )
        # Once faults are over and every MD5 is known, every file is there byte by byte: what failed is
        # resumed, what was verified without MD5 is checked again.
        for plan in plans:
            path = fetch(cdse, service, tmp_path, plan, hashlib.md5(plan.content).hexdigest())
            assert path.read_bytes() == plan.content
            assert is_verified(path, len(plan.content), hashlib.md5(plan.content).hexdigest())
    printed = "".join(capfd.readouterr())
    headers = [
        f"{name}: {value}"
        for request in cdse.seen
        for name, value in request.headers.items()
        if name != "authorization"
    ]
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*")}
    places = {
        "request lines": "\n".join(request.line for request in cdse.seen),
        "headers other than Authorization": "\n".join(headers),
        "logs": caplog.text,
        "errors": "\n".join(outcome.texts),
        "terminal": printed,
        "files": "\n".join(name for name, content in files.items() if MARK.encode() in content),
        "representations": repr(service) + repr(token) + repr(vars(token)) + repr(account),
    }
    leaks = {name: text.count(MARK) for name, text in places.items()}
    summary = (
        f"{DOWNLOADS} downloads, {sum(outcome.kinds.values())} faults {dict(sorted(outcome.kinds.items()))}: "
        f"{outcome.verified} verified, {outcome.right_errors} right errors, {len(outcome.wrong)} wrong ends, "
        f"{unlike} zips without MD5 with changed bytes outside their files (refused by the later MD5), "
        f"{len(cdse.seen)} requests, {cdse.logins} logins, {cdse.refreshes} refreshes, leaks {leaks}, "
        f"{time.monotonic() - begun:.0f} s"
    )
    print(summary)
    assert outcome.verified + outcome.right_errors == DOWNLOADS, f"{summary}\n" + "\n".join(outcome.wrong)
    assert outcome.wrong == [], summary
    assert sum(plan.lasting is not None for plan in plans) == outcome.right_errors, summary
    assert set(LASTING) == {plan.lasting for plan in plans if plan.lasting}, summary
    every = {*BROKEN, *WRONG, *map(str, STATUSES), "401", "403", "expire", "end session", "full disk"}
    assert set(outcome.kinds) == every, summary
    assert any(MARK.encode() in request.body for request in cdse.seen), (
        "the search for secrets finds none at all"
    )
    assert leaks == dict.fromkeys(places, 0), summary
    leftovers = [name for name in files if name.startswith(".")]
    assert leftovers == [], summary

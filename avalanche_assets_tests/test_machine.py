"""Threads follow the cores that a process may use."""

import os

from avalanche_assets.machine import usable_cores


def test_only_cores_the_process_is_bound_to_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert usable_cores() == 3


def test_systems_that_bind_no_process_count_all_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7

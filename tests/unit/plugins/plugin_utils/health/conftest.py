# SPDX-License-Identifier: MIT
"""What nodes say of themselves, and what is told of them."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health.standard import Standard

RUN = "20260101_000000"
FREE = {"held": False, "state": "released", "run": "old", "owner": "me@x:1/b", "epoch": 4, "ttl_s": 180.0,
        "expires_in_s": 0.0, "shared": False, "holders": [], "previous": None}  # fmt: skip
HOLDER = {"run": RUN, "owner": "me@box:7/boot-1", "epoch": 4, "shared": False, "expires_in_s": 165.2, "age_s": 14.8}
HELD = {**FREE, **HOLDER, "held": True, "state": "held", "holders": [HOLDER]}
OTHER = {**HOLDER, "run": "20260101_000009", "owner": "you@box:8/boot-1", "epoch": 5, "shared": True}
SHARED = {**HELD, "shared": True, "holders": [{**HOLDER, "shared": True}, OTHER]}
SERVICE = {
    "run": RUN, "scenario": "s", "case": "", "service": "router", "container": "p-router-1", "image": "x:1",
    "state": "running", "health": "healthy", "exit_code": None, "oom": False, "restarts": 0, "age_s": 61.0,
    "up_s": 60.0, "ports": [8000],
}  # fmt: skip
FACTS = {
    "hostname": "box", "user": "root", "kernel": "6", "architecture": "x86_64", "python": "3.11.2", "cpus": 4,
    "memory_bytes": 1 << 33, "time_unix": 1000.0, "answered_unix": 1000.3, "boot_id": "b",
    "engine": {"ok": True, "version": "20.10", "api": "1.41", "error": "", "root_dir": "/var/lib/docker", "runtimes": []},
    "compose": [{"kind": "plugin", "argv": ["docker", "compose"], "version": "2.26"}],
    "disks": [{"path": "/var", "free_bytes": 3 << 30, "total_bytes": 9 << 30, "free_inodes": 10, "error": ""}],
    "gpus": [], "gpu_error": "", "listening": [], "lease": FREE, "services": [], "services_error": "",
    "leftovers": [], "leftovers_error": "", "memory": {"quarantine": None, "blames": []}, "wants": {"binds": {}, "networks": {}, "volumes": {}},
}  # fmt: skip


@pytest.fixture
def said():
    """Return a function that gives the facts of a healthy node with some of them changed."""
    return lambda **changes: {**FACTS, **changes}


@pytest.fixture
def told():
    """Return a function that gives what is told of a node with these facts, held against these cases."""

    def of(facts=FACTS, *cases, name="n1", dead=()):
        asking = document.Asking(1000.0, 0.3)
        return document.of_answer(name, facts, asking, Standard(cases, 1 << 30), lambda owner: owner in dead)

    return of


@pytest.fixture
def entry():
    """Return the parts that facts are made of: a service, a lease that is held, one that is free, one that two runs share."""
    return {"service": SERVICE, "held": HELD, "free": FREE, "shared": SHARED, "other": OTHER, "run": RUN}

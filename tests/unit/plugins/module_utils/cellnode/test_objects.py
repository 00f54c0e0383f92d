# SPDX-License-Identifier: MIT
"""The engine's records as this program sees them."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import objects
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

RECORD = {
    "Id": "c1",
    "Names": ["/p-web-1"],
    "Image": "img:1",
    "ImageID": "sha256:1",
    "State": "running",
    "Status": "Up 2 seconds (health: starting)",
    "Created": 100,
    "Labels": {"com.docker.compose.service": "web"},
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080},
        {"IP": "::", "PublicPort": 8080},
        {"PrivatePort": 9},
    ],
}


def test_a_container_is_read_from_the_list():
    found = objects.parse_container(RECORD)
    assert (found.service, found.name, found.state, found.health) == ("web", "p-web-1", "running", "starting")
    assert found.ports == (("0.0.0.0", 8080), ("::", 8080))


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 5 minutes", ""),
        ("Up 5 minutes (healthy)", "healthy"),
        ("Up 5 minutes (unhealthy)", "unhealthy"),
        ("Up 5 minutes (Paused)", ""),
        ("Exited (137) 2 seconds ago", ""),
    ],
)
def test_health_is_read_from_the_status_text(status, health):
    assert objects.parse_container({**RECORD, "Status": status}).health == health


INSPECTED = {
    "Id": "c1",
    "Name": "/p-web-1",
    "Image": "sha256:1",
    "Created": "1970-01-01T00:01:40Z",
    "Config": {"Image": "img:1", "Labels": {"com.docker.compose.service": "web"}},
    "State": {"Status": "running", "Health": {"Status": "starting"}, "StartedAt": "1970-01-01T00:02:00.5Z"},
    "NetworkSettings": {
        "Ports": {
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "9/tcp": None,
        }
    },
}


def test_an_inspected_container_is_read_as_the_list_would_show_it():
    assert objects.parse_record(INSPECTED) == objects.parse_container(RECORD)


@pytest.mark.parametrize(
    ("health", "expected"),
    [({"Status": "none"}, ""), (None, ""), ({"Status": "unhealthy"}, "unhealthy"), ({"Status": "healthy"}, "healthy")],
)
def test_health_is_read_from_the_record(health, expected):
    assert objects.parse_record({"Id": "c", "State": {"Health": health}}).health == expected


@pytest.mark.parametrize(
    ("record", "started"), [(INSPECTED, 120.5), ({"State": {"StartedAt": "0001-01-01T00:00:00Z"}}, None), ({}, None)]
)
def test_the_last_start_is_read_from_the_record(record, started):
    assert objects.started_at(record) == started


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/var/lib/docker/containers/9f/resolv.conf", "/var/lib/docker"),
        ("/data/containers/1000.1000/containers/9f/resolv.conf", "/data/containers/1000.1000"),
        ("/run/containers/storage/overlay-containers/9f/userdata/resolv.conf", ""),
        ("", ""),
        (None, ""),
    ],
    ids=["usual", "moved-with-user-namespaces", "of-another-engine", "never-started", "not-told"],
)
def test_the_engine_s_folder_is_read_from_the_record(path, folder):
    assert objects.engine_folder({"ResolvConfPath": path}) == folder


def test_a_record_without_labels_and_names_is_no_accident():
    found = objects.parse_container({"Id": "c", "Labels": None, "Ports": None})
    assert (found.service, found.name, found.ports) == ("", "", ())


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:01.123456789+01:00", 1.123456789),
        ("1969-12-31T19:00:01-05:00", 1.0),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_engine_stamps_become_seconds(stamp, seconds):
    assert objects.unix_time(stamp) == seconds


@pytest.mark.parametrize(
    ("code", "oom", "error", "text"),
    [
        (3, False, "", "container x exited with code 3"),
        (137, True, "", "container x exited with code 137 (killed for memory)"),
        (137, False, "", "container x exited with code 137 (killed)"),
        (127, False, 'exec: "nope"', 'container x exited with code 127 (command not found): exec: "nope"'),
        (139, False, "", "container x exited with code 139 (crashed)"),
    ],
)
def test_an_end_is_told_in_words(code, oom, error, text):
    assert objects.describe_end("x", code, oom, error) == text


class Engine:
    """An engine whose container ended; each look at it takes the next record, the last one stays."""

    def __init__(self, *states: dict, memory: int = 1 << 20) -> None:
        self.states = list(states)
        self.memory = memory

    def inspect(self, _container):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"Id": "c1", "State": state, "Config": {"Tty": False}, "HostConfig": {"Memory": self.memory}}

    def log_tail(self, _container, _tty, lines):
        return ["last"][:lines]


def test_a_kill_is_looked_at_again_since_memory_is_told_later():
    slept: list[float] = []
    engine = Engine({"ExitCode": 137}, {"ExitCode": 137}, {"ExitCode": 137, "OOMKilled": True})
    end = objects.death(engine, objects.parse_container(RECORD), Clock(sleep=slept.append))
    assert (end.error_kind, end.exit_code, end.oom, end.log_tail) == ("container_oom", 137, True, ("last",))
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("code", "memory"), [pytest.param(1, 1 << 20, id="no-kill"), pytest.param(137, 0, id="no-limit-of-memory")]
)
def test_other_ends_are_told_at_once(code, memory):
    def no_sleep(_seconds):
        raise AssertionError("waited for nothing")

    engine = Engine({"ExitCode": code}, memory=memory)
    end = objects.death(engine, objects.parse_container(RECORD), Clock(sleep=no_sleep))
    assert (end.error_kind, end.exit_code) == ("container_exited", code)


def test_a_container_that_is_gone_is_an_end_too():
    class Gone(Engine):
        def inspect(self, _container):
            raise CellError("container_gone", "No such container: c1")

    assert objects.death(Gone({}), objects.parse_container(RECORD), Clock()).error_kind == "container_gone"


def test_a_log_that_cannot_be_read_says_so_in_its_place():
    class Mute(Engine):
        def log_tail(self, _container, _tty, lines):
            raise CellError("docker_timeout", "no answer")

    end = objects.death(Mute({"ExitCode": 1}), objects.parse_container(RECORD), Clock())
    assert end.log_tail == ("[testcell: the log cannot be read: no answer]",)


def test_filters_name_run_scenario_and_case_exactly():
    run = RunRef("r1", "001_x", "")
    assert objects.of_run(run) == ["testcell.run=r1"]
    assert objects.of_case(run) == ["testcell.run=r1", "testcell.scenario=001_x", "testcell.case="]

# SPDX-License-Identifier: MIT
"""Evidence: every container's end, and for each piece that could not be kept the reason."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import evidence
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


def record(name="a", status="exited", code=0, **more):
    state = {"Status": status, "ExitCode": code, "Running": status == "running", "StartedAt": "1970-01-01T00:00:05Z"}
    state["FinishedAt"] = "1970-01-01T00:00:09Z"
    return {
        "Id": f"id-{name}",
        "Name": f"/p-{name}-1",
        "Created": "1970-01-01T00:00:04Z",
        "Image": "sha256:1",
        "RestartCount": 2,
        "Config": {"Image": "img:1", "Labels": {"com.docker.compose.service": name}, "Env": ["HF_TOKEN=hunter2"]},
        "State": {**state, **more},
    }


def test_an_ended_container_is_told_with_code_times_and_restarts():
    state = evidence.state_of(record(code=137, OOMKilled=True, Health={"Status": "unhealthy"}))
    assert (state["service"], state["container"], state["exit_code"], state["oom"]) == ("a", "p-a-1", 137, True)
    assert (state["started_unix"], state["finished_unix"], state["restart_count"]) == (5.0, 9.0, 2)
    assert state["health"] == "unhealthy"


@pytest.mark.parametrize("status", ["running", "created"])
def test_a_container_that_did_not_end_has_no_exit_code(status):
    assert evidence.state_of(record(status=status))["exit_code"] is None


@pytest.mark.parametrize(
    ("more", "bad"),
    [
        ({"code": 0}, False),
        ({"code": 1}, True),
        ({"OOMKilled": True}, True),
        ({"Error": "no such file"}, True),
        ({"status": "running"}, False),
        ({"status": "running", "Health": {"Status": "unhealthy"}}, True),
    ],
)
def test_bad_news_is_known(more, bad):
    assert evidence.ended_badly(evidence.state_of(record(**more))) is bad


def test_every_container_has_a_file_of_its_own():
    states = [{"service": name, "container": "p-x"} for name in ("a", "a", "b", "", "../a")]
    assert evidence.file_names(states) == ["a", "a.2", "b", "p-x", ".._a"]


class Engine:
    """An engine with two containers, one of which has lost its log."""

    def containers(self, labels):
        assert labels == ["testcell.run=r1"]
        return [{"Id": "id-b"}, {"Id": "id-a"}]

    def inspect(self, name):
        return record(name.removeprefix("id-"), code=1)

    def logs(self, name, _tty):
        yield b"first\n"
        if name == "id-b":
            raise CellError("docker_timeout", "the engine did not answer in time")
        yield b"last\n"

    def events(self, *_args):
        yield {"Action": "start"}
        yield {"Action": "exec_start: sh -c curl"}
        yield {"Action": "die", "Actor": {"Attributes": {"API_KEY": "hunter2"}}}

    def call(self, _method, _path, timeout):
        assert timeout > 0
        raise CellError("docker_timeout", "no info")


@pytest.fixture
def ask(monkeypatch, tmp_path):
    def run(engine, mode="standard", check=False, secrets=(), **args):
        monkeypatch.setattr(evidence, "engine_of", lambda ctx: engine)
        context = Context(tmp_path, RunRef("r1", "s"), check=check, environ={"PATH": "/nonexistent"}, secrets=secrets)
        answer = evidence.evidence(context, {"mode": mode, **args})
        base = context.case_dir / "evidence"
        return answer, {str(path.relative_to(base)): path.read_text() for path in base.rglob("*") if path.is_file()}

    return run


def test_a_log_that_breaks_off_is_kept_as_far_as_it_came(ask):
    answer, kept = ask(Engine())
    assert (kept["services/a.log"], kept["services/b.log"]) == ("first\nlast\n", "first\n")
    assert [one["what"] for one in answer["missing"]] == ["services/b.log (the rest)"]
    assert [state["service"] for state in json.loads(kept["state.json"])["containers"]] == ["a", "b"]


def test_no_secret_is_kept(ask):
    kept = ask(Engine())[1]
    assert not [name for name, text in kept.items() if "hunter2" in text]
    assert [json.loads(line)["Action"] for line in kept["services/events.jsonl"].splitlines()] == ["start", "die"]


@pytest.mark.parametrize(("look", "seen"), [(False, None), (True, {"cards": [], "error": ""})])
def test_the_cards_are_looked_at_where_that_is_asked_for(ask, look, seen):
    assert ask(Engine(), look=look)[0]["gpus"] == seen


class Talking(Engine):
    """An engine whose services write their secrets and another's, in pieces that cut them."""

    def logs(self, name, _tty):
        text = f"{name} has hunter2! and other-one and c2VjcmV0LXRoaW5n ".encode() * 400 + b"\nlast line\n"
        for at in range(0, len(text), 7):
            yield text[at : at + 7]

    def inspect(self, name):
        found = super().inspect(name)
        found["Config"]["Env"] = ["HF_TOKEN=hunter2!", "MODEL=other-one"]
        found["State"]["Health"] = {"Status": "unhealthy", "Log": [{"Output": "called with hunter2!"}]}
        return found


def test_logs_and_records_are_without_the_secrets_that_are_known(ask):
    answer, kept = ask(Talking(), secrets=("secret-thing",))
    text = "".join(kept.values())
    assert "hunter2!" not in text
    assert "c2VjcmV0LXRoaW5n" not in text
    assert kept["services/a.log"].startswith("id-a has *** and other-one and *** id-a")
    assert answer["hidden"]["services/a.log"] == 800
    assert json.loads(kept["hidden.json"]) == answer["hidden"]


def test_logs_are_kept_as_they_are_where_that_is_asked_for(ask):
    answer, kept = ask(Talking(), raw=True)
    assert "id-a has hunter2! and" in kept["services/a.log"]
    assert "hunter2!" not in kept["services/a.inspect.json"]
    assert "services/a.log" not in answer["hidden"]


def test_a_log_that_is_cut_shows_no_half_of_a_secret(ask):
    class Long(Talking):
        def logs(self, _name, _tty):
            for number in range(3000):
                yield b"%d it is hunter2! and no more\n" % number

    for cap in range(4096, 4096 + 31):
        log = ask(Long(), log_cap_bytes=cap)[1]["services/a.log"]
        first, _, last = log.partition("\n[testcell: ")
        lines = [*first.splitlines(), *last.splitlines()[1:]]
        assert {line.partition(" ")[2] for line in lines} == {"it is *** and no more"}
        assert last.endswith("2999 it is *** and no more\n")


def test_what_the_machine_does_not_say_is_missing_with_its_reason(ask):
    answer, kept = ask(Engine(), "comprehensive")
    assert "system/meminfo.txt" in kept
    reasons = {one["what"]: one["why"] for one in answer["missing"]}
    assert reasons["system/docker_info.json"] == "no info"
    assert "system/nvidia-smi.txt" in reasons


def test_an_engine_that_is_down_costs_its_pieces_only(ask):
    class Down(Engine):
        def containers(self, _labels):
            raise CellError("docker_daemon_down", "no engine answers")

    answer, kept = ask(Down(), "comprehensive")
    assert answer["containers"] == []
    assert answer["missing"][0] == {"what": "containers", "why": "docker_daemon_down: no engine answers"}
    assert "system/meminfo.txt" in kept


def test_events_that_the_engine_forgot_are_missing(ask):
    class Forgetful(Engine):
        def events(self, *_args):
            return iter(())

    answer, kept = ask(Forgetful())
    assert "services/events.jsonl" not in kept
    assert "services/events.jsonl" in {one["what"] for one in answer["missing"]}


def test_a_check_writes_nothing(ask):
    answer, kept = ask(Engine(), check=True)
    assert len(answer["containers"]) == 2
    assert kept == {}


def test_a_link_in_place_of_the_folder_is_not_followed(ask, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    case = tmp_path / "runs/r1/s/a1"
    case.mkdir(parents=True)
    (case / "evidence").symlink_to(outside)
    answer, _ = ask(Engine())
    assert list(outside.iterdir()) == []
    assert "artifact_unsafe_path" in answer["missing"][0]["why"]


class Streaming(Engine):
    """An engine that gives what its services wrote by stream."""

    def logs(self, name, _tty, stdout="1", stderr="1"):
        which = {("1", "1"): b"both\n", ("1", "0"): b"fine\nhalf", ("0", "1"): b"HF_TOKEN=hunter2-long\nbad\n"}
        yield from (which[stdout, stderr][at : at + 3] for at in range(0, 30, 3))

    def inspect(self, name):
        found = super().inspect(name)
        found["Config"]["Env"] = ["HF_TOKEN=hunter2-long"]
        return found


def test_what_services_wrote_is_kept_by_stream_for_a_soak(ask, tmp_path):
    ask(Streaming(), streams="soak/")
    kept = {path.name: path.read_text() for path in tmp_path.rglob("soak/*")}
    assert kept["stdout.log"] == "a | fine\na | half\nb | fine\nb | half\n"
    assert kept["stderr.log"] == "a | HF_TOKEN=***\na | bad\nb | HF_TOKEN=***\nb | bad\n"


def test_without_a_soak_there_are_no_streams(ask, tmp_path):
    ask(Streaming())
    assert not list(tmp_path.rglob("stdout.log"))

# SPDX-License-Identifier: MIT
"""The operation `compose` against an engine and a Compose that are scripts of the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import compose
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

LABELS = {"testcell.run": "r1", "testcell.scenario": "s", "testcell.case": "", "com.docker.compose.service": "a"}
SCRIPT = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  version) echo Docker Compose version v2.30.0; exit 0;;
  *"config --format json") echo '{{"services": {{"a": {{"image": "x:1"}}}}}}'; exit 0;;
  *" config") [ ! -e {bad} ] && exit 0; echo 'the file is bad' >&2; exit 15;;
  *"pull --quiet slow") exec sleep 20;;
  *"pull --quiet a") touch {pulled}; exit 0;;
  *"up --no-start --no-deps --no-build a") [ ! -e {slow} ] || sleep 1.5; echo 'WARN[0000] mind the gap' >&2; exit 0;;
esac
echo "unexpected: $*" >&2; exit 64
"""


class Engine:
    """An engine with one image, which is there from the start or once it was pulled, and one made container."""

    path = "/run/engine.sock"

    def __init__(self, pulled: Path | None = None, networks=(), mounts=()) -> None:
        self.pulled = pulled
        self._networks = list(networks)
        self.mounts = list(mounts)
        self.removed: list[tuple[str, str]] = []

    def image(self, _name):
        there = self.pulled is None or self.pulled.exists()
        return {"Id": "sha256:1", "RepoDigests": ["x:1@sha256:2"]} if there else None

    def containers(self, _labels, _timeout=None):
        return [{"Id": "c1", "Names": ["/p-a-1"], "Labels": LABELS, "Image": "x:1", "ImageID": "sha256:1"}]

    def networks(self, _labels):
        return self._networks

    def volumes(self, _labels):
        return []

    def inspect(self, _container):
        return {"Mounts": self.mounts}

    def remove(self, kind, name):
        self.removed.append((kind, name))


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask for one service; the answer comes with the commands that Compose was given."""
    folder = tmp_path / "root/runs/r1/s/a1/scenario"
    folder.mkdir(parents=True)
    log, program = tmp_path / "log", tmp_path / "compose"
    program.write_text(SCRIPT.format(log=log, pulled=tmp_path / "pulled", bad=tmp_path / "bad", slow=tmp_path / "slow"))
    program.chmod(0o755)

    def run(engine, check=False, **more):
        monkeypatch.setattr(compose, "connect", lambda _environ: engine)
        context = Context(tmp_path / "root", RunRef("r1", "s", "", 1, None), check=check)
        args = {
            "project": "testcell-r1-s",
            "dir_rel": "scenario",
            "files": ["c.yml"],
            "services": ["a"],
            "override": {"x": "ü"},
        }
        answer = compose.compose(context, {**args, "argv": [str(program)], **more})
        words = [line.split(str(folder / compose.OVERRIDE), 1)[-1].split() for line in log.read_text().splitlines()]
        return answer, [line[0] for line in words]

    run.folder = folder
    run.pulled = tmp_path / "pulled"
    run.bad = tmp_path / "bad"
    run.slow = tmp_path / "slow"
    run.program = str(program)
    return run


def test_containers_are_made_with_the_override_beside_the_files(ask):
    answer, commands = ask(Engine())
    assert commands == ["version", "config", "up"]
    assert answer["containers"] == [
        {"service": "a", "id": "c1", "name": "p-a-1", "image": "x:1", "image_id": "sha256:1"}
    ]
    assert answer["images"] == [{"service": "a", "image": "x:1", "id": "sha256:1", "digest": "x:1@sha256:2"}]
    assert answer["warnings"] == ["mind the gap"]
    written = (ask.folder / compose.OVERRIDE).read_text(encoding="utf-8")
    assert json.loads(written) == {"x": "ü"}
    assert "ü" in written, "escapes of JSON are not all escapes of YAML"


def test_known_images_save_the_question_to_compose(ask):
    assert ask(Engine(), images={"a": "x:1"})[1] == ["version", "up"]


def test_a_compose_that_facts_have_found_is_not_asked_who_it_is(ask):
    found = {"kind": "plugin", "argv": [ask.program], "version": "2.30.0"}
    answer, commands = ask(Engine(), images={"a": "x:1"}, compose=found)
    assert commands == ["up"]
    assert answer["compose"] == found


def test_a_missing_image_is_pulled_and_looked_for_again(ask):
    assert ask(Engine(ask.pulled), images={"a": "x:1"})[1] == ["version", "pull", "up"]


def test_an_image_that_cannot_be_pulled_is_named_with_its_service(ask):
    with pytest.raises(CellError, match=r"^image y:1 \(service b\) was not pulled: compose pull failed") as caught:
        ask(Engine(ask.pulled), services=["b"], images={"b": "y:1"})
    assert caught.value.detail["images"] == ["y:1"] and "unexpected" in caught.value.detail["stderr"]


def test_a_pull_that_takes_too_long_is_the_registry_s_and_not_the_engine_s(ask):
    """Else the third of a day would quarantine the node."""
    with pytest.raises(CellError, match=r"compose pull did not end within 1 s; raise deployment_timeout") as caught:
        ask(Engine(ask.pulled), services=["slow"], images={"slow": "z:1"}, timeout_s=1)
    assert caught.value.kind == "registry_unreachable"


def test_the_making_has_its_time_however_long_the_pull_took(ask):
    ask.slow.touch()
    assert ask(Engine(), images={"a": "x:1"}, timeout_s=1)[1][-1] == "up"


def test_a_pull_can_be_asked_for_always(ask):
    assert ask(Engine(), images={"a": "x:1"}, pull="always")[1] == ["version", "pull", "up"]


def test_a_missing_image_is_an_error_when_pulling_is_off(ask):
    with pytest.raises(CellError, match=r"x:1 \(service a\) is not on this node") as caught:
        ask(Engine(ask.pulled), images={"a": "x:1"}, pull="never")
    assert caught.value.kind == "image_not_found"


def test_an_object_without_our_label_is_removed_and_told(ask):
    engine = Engine(networks=[{"Id": "n1", "Name": "testcell-r1-s_other", "Labels": {}}])
    with pytest.raises(CellError, match="network testcell-r1-s_other"):
        ask(engine)
    assert engine.removed == [("networks", "n1")]


@pytest.mark.parametrize(
    ("mount", "ok"),
    [
        pytest.param({"Type": "bind", "Source": "/nonexistent/data"}, False, id="B51-absent"),
        pytest.param({"Type": "bind", "Source": "/tmp"}, True, id="there"),
        pytest.param({"Type": "bind", "Source": "{case}/scenario/new"}, True, id="inside-the-case"),
        pytest.param({"Type": "volume", "Source": "/nonexistent"}, True, id="volume"),
    ],
)
def test_a_bind_mount_of_nothing_is_refused(ask, mount, ok):
    source = mount["Source"].format(case=ask.folder.parent)
    engine = Engine(mounts=[{**mount, "Source": source}])
    if ok:
        assert ask(engine)[0]["containers"]
    else:
        with pytest.raises(CellError, match="service a binds /nonexistent/data") as caught:
            ask(engine)
        assert caught.value.kind == "mount_invalid"


def test_a_service_that_compose_did_not_make_is_told(ask):
    with pytest.raises(CellError) as caught:
        ask(Engine(), services=["a", "b"], images={"a": "x:1", "b": "x:1"})
    assert "unexpected" in caught.value.detail["stderr"]
    assert (caught.value.kind, caught.value.detail["exit_code"]) == ("unknown", 64)


def test_a_failure_that_the_files_are_to_blame_for_is_told_as_such(ask):
    ask.bad.touch()
    with pytest.raises(CellError, match="compose config failed with exit code 15: the file is bad") as caught:
        ask(Engine(), services=["a", "b"], images={"a": "x:1", "b": "x:1"})
    assert caught.value.kind == "compose_invalid"


def test_a_check_makes_and_writes_nothing(ask):
    answer, commands = ask(Engine(), check=True)
    assert commands == ["version"]
    assert answer["would_run"][-1] == "a"
    assert not (ask.folder / compose.OVERRIDE).exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"project": "Testcell-R1"}, "args.project is 'Testcell-R1'"),
        ({"project": "-x"}, "args.project"),
        ({"files": []}, "args.files"),
        ({"services": []}, "args.services"),
        ({"files": ["../c.yml"]}, "climbs with `..`"),
        ({"dir_rel": "/etc"}, "is absolute"),
        ({"pull": "sometimes"}, "allowed: missing, never, always"),
        ({"override": []}, "args.override"),
        ({"timeout_s": 0}, "args.timeout_s"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(ask, args, words):
    with pytest.raises(CellError) as caught:
        ask(Engine(), **args)
    assert words in caught.value.message

# SPDX-License-Identifier: MIT
"""What Compose says when it cannot make the containers, as error kinds: V1 and the plugin say it in other words."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

A = "services:\n  a:\n    image: IMAGE\n"

REFUSALS = [
    pytest.param(A + "    comand: x\n", "compose_invalid", "comand", id="B42-unknown-key"),
    pytest.param("services:\n  a:\n   image: x\n    y: [\n", "compose_invalid", "mapping values", id="B40-yaml"),
    pytest.param(A + "    depends_on: [zz]\n", "compose_invalid", "zz", id="undefined-dependency"),
    pytest.param(A + "    command: '${X:?say X}'\n", "compose_invalid", "say X", id="B45-mandatory"),
    pytest.param(A + "    ports: ['99999:80']\n", "compose_invalid", "99999", id="B43-port"),
    pytest.param(
        A + "    networks: [ext]\nnetworks:\n  ext:\n    external: true\n", "compose_invalid", "ext", id="B48-network"
    ),
    pytest.param(
        A + "    volumes: ['ev:/x']\nvolumes:\n  ev:\n    external: true\n", "compose_invalid", "ev", id="B48-volume"
    ),
    pytest.param(A + "    mem_limit: 1m\n", "compose_invalid", "6MB", id="57-memory"),
    pytest.param(A + "    runtime: nvidia-of-tests\n", "gpu_runtime_missing", "nvidia-of-tests", id="48-runtime"),
    pytest.param(
        A + "    volumes: [{type: bind, source: /nope-of-tests/x, target: /x}]\n",
        "mount_invalid",
        "/nope-of-tests/x",
        id="49-bind",
    ),
    pytest.param(
        A + "    volumes: ['/nope-of-tests/y:/y']\n", "mount_invalid", "/nope-of-tests/y", id="B51-short-bind"
    ),
    pytest.param("services:\n  a:\n    build: .\n", "image_not_found", "", id="not-built"),
]


@pytest.mark.parametrize(("text", "kind", "words"), REFUSALS)
def test_a_bad_compose_file_has_a_kind_and_the_words_that_help(cell, compose, refused, nothing, text, kind, words):
    with pytest.raises(refused) as caught:
        cell.compose(text, compose, services=["a"], override=_override(cell, text))
    assert caught.value.kind == kind
    assert words in caught.value.message
    assert cell.call("clean")["errors"] == []
    assert cell.left() == nothing


def _override(cell, text: str) -> dict:
    """Return an override for files that may not even parse."""
    marks = {
        "testcell.run": cell.run["id"],
        "testcell.scenario": cell.run["scenario"],
        "testcell.case": "",
        "testcell.epoch": "1",
    }
    return {"services": {"a": {"labels": marks}}, "networks": {"default": {"labels": marks}}}


def test_an_absent_image_is_named_with_its_service(cell, compose, refused):
    with pytest.raises(refused) as caught:
        cell.compose("services:\n  a:\n    image: testcell-test/absent:1\n", compose, pull="never")
    assert caught.value.kind == "image_not_found"
    assert "testcell-test/absent:1 (service a)" in caught.value.message
    assert caught.value.detail["images"] == ["testcell-test/absent:1"]


def test_a_pull_that_cannot_work_is_not_taken_for_success(cell, compose, refused):
    with pytest.raises(refused) as caught:
        cell.compose("services:\n  a:\n    image: 127.0.0.1:9/absent/image:1\n", compose)
    assert caught.value.kind in ("registry_unreachable", "image_not_found")
    assert caught.value.detail["images"] == ["127.0.0.1:9/absent/image:1"]


def test_a_name_in_use_is_a_name_conflict(cell, compose, decoys, refused):
    name = f"decoy-{decoys.mark[:12]}"
    decoys.container(name)
    with pytest.raises(refused) as caught:
        cell.compose(A + f"    container_name: {name}\n", compose)
    assert (caught.value.kind, name in caught.value.message) == ("name_conflict", True)
    assert len(decoys.there()["containers"]) == 1


def test_an_override_without_labels_is_refused_and_nothing_stays(cell, compose, refused, docker_cli):
    with pytest.raises(refused) as caught:
        cell.compose(A + "    command: sleep 60\n", compose, override={"services": {"a": {"restart": "no"}}})
    assert caught.value.kind == "internal_error"
    assert len(caught.value.detail["objects"]) == 2
    assert docker_cli("ps", "-aq", "--filter", f"label=com.docker.compose.project={cell.project}") == ""
    assert docker_cli("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={cell.project}") == ""


def test_an_engine_that_is_not_there_is_told(cell, any_compose, refused):
    cell.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    with pytest.raises(refused) as caught:
        cell.compose(A, any_compose)
    assert caught.value.kind == "docker_daemon_down"
    assert cell.call("facts")["engine"]["error_kind"] == "docker_daemon_down"
    verdict = cell.call("verify", before={})
    assert not verdict["clean"]
    assert {error["error_kind"] for error in verdict["errors"]} == {"docker_daemon_down"}
    assert cell.call("clean")["errors"][0]["error_kind"] == "docker_daemon_down"


def test_a_compose_that_does_not_end_is_stopped_at_the_limit(cell, refused, tmp_path):
    (tmp_path / "slow").write_text(
        "#!/bin/sh\n[ \"$1\" = version ] && { echo 'Docker Compose version v2.30.0'; exit; }\nexec sleep 300\n"
    )
    (tmp_path / "slow").chmod(0o755)
    with pytest.raises(refused) as caught:
        cell.compose(A, [str(tmp_path / "slow")], timeout_s=1)
    assert caught.value.kind == "docker_timeout"


def test_a_check_writes_and_makes_nothing(cell, any_compose, nothing):
    data_before = sorted(path.name for path in cell.root.glob("**/*"))
    answer = cell.call(
        "compose",
        check=True,
        project=cell.project,
        dir_rel="scenario",
        files=["docker-compose.yml"],
        services=["a"],
        override={},
        argv=any_compose,
    )
    assert answer["would_run"][-5:] == ["up", "--no-start", "--no-deps", "--no-build", "a"]
    assert sorted(path.name for path in cell.root.glob("**/*")) == data_before
    assert cell.left() == nothing

# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.compose_services import read_all
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.port_clashes import port_clashes

ONE_NODE = {"a": "n1", "b": "n1"}


def said(folder: Path, nodes: dict[str, str], *files: str) -> list[str]:
    names = [f"c{number}.yml" for number in range(len(files))]
    for name, text in zip(names, files, strict=True):
        (folder / name).write_text(text)
    found = read_all(folder, names, environ={})
    clashes = port_clashes(found.published, nodes, found.replicas)
    return [problem.render().replace(f"{folder}/", "") for problem in clashes]


def service(name: str, *ports: str, more: str = "") -> str:
    listed = "".join(f"\n      - {port}" for port in ports)
    return f"  {name}:\n    image: r/{name}:1{more}\n    ports:{listed}\n"


def compose(*services: str) -> str:
    return "services:\n" + "".join(services)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            compose(service("a", '"8000:1"', '"8000:2"')),
            "c0.yml:6:9: services.a.ports[1]: host port 8000 is taken by service a of line 5 already",
            id="B43-twice",
        ),
        pytest.param(
            compose(service("a", '"8000-8002:1-3"', '"8001:9"')),
            "c0.yml:6:9: services.a.ports[1]: host port 8001 is taken by service a of line 5 already",
            id="B43-in-range",
        ),
        pytest.param(
            compose(service("a", '"127.0.0.1:80:1"', '"80:2"')),
            "c0.yml:6:9: services.a.ports[1]: host port 80 is taken by service a of line 5 already",
            id="B43-any-address",
        ),
        pytest.param(
            compose(service("a", "bad", '"80:1"', '"80:2"')),
            "c0.yml:7:9: services.a.ports[2]: host port 80 is taken by service a of line 6 already",
            id="B43-after-a-bad-one",
        ),
        pytest.param(
            compose(service("a", '"8000:1"'), service("b", '"8000:1"')),
            "c0.yml:9:9: services.b.ports[0]: host port 8000 is taken by service a of line 5 already;"
            " both are placed on node 'n1'",
            id="B43-two-services",
        ),
        pytest.param(
            compose(service("a", '"8000:1"', more="\n    deploy: {replicas: 2}")),
            "c0.yml:6:9: services.a.ports[0]: host port 8000 is wanted by each of the 2 replicas",
            id="B43-replicas",
        ),
    ],
)
def test_a_host_port_wanted_twice_is_named_with_both_lines(text: str, expected: str, tmp_path: Path) -> None:
    assert said(tmp_path, ONE_NODE, text) == [expected]


@pytest.mark.parametrize(
    ("nodes", "errors", "warnings"),
    [
        pytest.param({"a": "n1", "b": "n1"}, 1, 0, id="B43-same-node"),
        pytest.param({"a": "n1", "b": "n2"}, 0, 0, id="B43-other-node"),
        pytest.param({"a": "auto", "b": "auto"}, 0, 1, id="B43-placed-later"),
        pytest.param({"a": "auto", "b": "n1"}, 0, 1, id="B43-one-placed-later"),
        pytest.param({}, 0, 1, id="B43-nobody-knows"),
    ],
)
@pytest.mark.parametrize("files", [1, 2])
def test_ports_clash_only_on_one_node(
    nodes: dict[str, str], errors: int, warnings: int, files: int, tmp_path: Path
) -> None:
    one, two = service("a", '"8000:1"'), service("b", '"8000:1"')
    texts = (compose(one, two),) if files == 1 else (compose(one), compose(two))
    lines = said(tmp_path, nodes, *texts)
    assert sum(": warning: " in line for line in lines) == warnings
    assert len(lines) == errors + warnings
    assert all("host port 8000" in line for line in lines)


def test_a_clash_across_files_names_both_files(tmp_path: Path) -> None:
    """B43"""
    (line,) = said(tmp_path, ONE_NODE, compose(service("a", '"80:1"')), compose(service("b", '"80:1"')))
    assert line.startswith("c1.yml:5:9: services.b.ports[0]: host port 80 is taken by service a of ")
    assert "c0.yml:5 already; both are placed on node 'n1'" in line


@pytest.mark.parametrize(
    "ports",
    [
        ('"80:1/tcp"', '"80:1/udp"'),
        ('"127.0.0.1:80:1"', '"127.0.0.2:80:1"'),
        ('"80"', '"80"'),
        ('"0:80"', '"0:81"'),
        ('"[::1]:80:80"', '"[::2]:80:80"'),
        ('"8000-8001:1-2"', '"8002:3"'),
        ('"${TESTCELL_PORT}:80"', '"${P:-81}:80"'),
        ("8080", "9090"),
    ],
)
def test_ports_that_do_not_meet_are_fine(ports: tuple[str, str], tmp_path: Path) -> None:
    assert said(tmp_path, ONE_NODE, compose(service("a", *ports))) == []

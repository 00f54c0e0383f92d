# SPDX-License-Identifier: MIT
"""Whole runs on a node that lacks Compose. Its apt is offered one package, made on the node, so that no mirror is needed."""

from __future__ import annotations

import json

import pytest
from cellruns import leavings, on_node, run_site

pytestmark = [pytest.mark.docker, pytest.mark.lab]

NODE = "node3"  # its Compose is a package of Debian
OFFER = r"""
set -eu
mkdir -p /opt/offer/deb/DEBIAN
cd /opt/offer
dpkg-query -s docker-compose | sed '/^Status:/d' >deb/DEBIAN/control
for script in postinst prerm; do cp /var/lib/dpkg/info/docker-compose.$script deb/DEBIAN/ 2>/dev/null || true; done
dpkg-query -L docker-compose | while read -r file; do if [ -f "$file" ] || [ -L "$file" ]; then echo "$file"; fi; done |
  tar -cPT - | tar -xC deb
dpkg-deb -Zgzip -b deb docker-compose.deb >/dev/null
{ cat deb/DEBIAN/control
  printf 'Filename: ./docker-compose.deb\nSize: %s\n' "$(stat -c %s docker-compose.deb)"
  printf 'SHA256: %s\n' "$(sha256sum docker-compose.deb | cut -d ' ' -f 1)"; } >Packages
echo 'deb [trusted=yes] file:/opt/offer ./' >sources.list
cat >/etc/apt/apt.conf.d/99offer <<'END'
Dir::Etc::SourceList "/opt/offer/sources.list";
Dir::Etc::SourceParts "-";
END
"""
WITHDRAW = r"""
set -eu
command -v docker-compose >/dev/null || dpkg -i /opt/offer/docker-compose.deb >/dev/null
rm -rf /etc/apt/apt.conf.d/99offer /opt/offer /var/lib/apt/lists/*
"""


@pytest.fixture(scope="module")
def offer(lab):
    """The lab, with the package of Compose on offer to the node; the node has it again at the end."""
    try:
        on_node(NODE, OFFER)
        yield lab
    finally:
        on_node(NODE, WITHDRAW)


@pytest.fixture
def run(offer, project, results):
    """Remove Compose from the node; run(...) runs a scenario there, its test too, and proves that nothing of it is left."""
    on_node(NODE, "! command -v docker-compose >/dev/null || dpkg -r docker-compose >/dev/null")
    folder = project(node=NODE)
    meta = folder / "scenarios" / "probe" / "metadata.yml"
    meta.write_text(meta.read_text().replace("node: local", f"node: {NODE}"))

    def start(**variables):
        ended = run_site(offer, results, testcell_project_dir=folder, scenario="probe", **variables)
        assert leavings(NODE) == []
        return ended

    return start


def has_compose():
    return on_node(NODE, "command -v docker-compose || true") != ""


def installs(ended):
    """Return the tasks of installing that were done on the node."""
    entries = [json.loads(line) for line in (ended.folder / "events.jsonl").read_text().splitlines()]
    done = [e for e in entries if e.get("host") == NODE and e.get("status") != "skipped"]
    return [e["task"].partition("install | ")[2] for e in done if "install | " in e["task"]]


def test_without_leave_a_node_that_lacks_compose_is_named_and_nothing_is_installed(run):
    ended = run()
    assert (ended.summary["verdict"], ended.summary["exit_code"]) == ("error", 5), ended.screen
    failure = ended.case()["failure"]
    assert (failure["step"], failure["node"]) == ("prep", NODE)
    assert "Docker Compose is absent" in failure["message"]
    assert "testcell_install=true would install compose" in failure["message"]
    assert installs(ended) == [] and not has_compose()


def test_what_cannot_be_installed_is_named_with_the_reason(run):
    ended = run(testcell_install=True, testcell_install_packages={"compose": ["no-such-package"]})
    assert (ended.summary["verdict"], ended.summary["exit_code"]) == ("error", 5), ended.screen
    failure = ended.case()["failure"]
    assert (failure["step"], failure["node"]) == ("prep", NODE)
    assert "Docker Compose is absent" in failure["message"] and "'no-such-package'" in failure["message"]


def test_with_leave_compose_is_installed_and_stays_and_a_second_run_installs_nothing(run):
    first = run(testcell_install=True)
    assert first.summary["verdict"] == "pass", first.screen
    assert has_compose()
    warnings = json.loads(first.file("result_summary.json"))["warnings"]
    assert any("node3: installed docker-compose" in line and "stays there" in line for line in warnings)
    assert installs(first)[-1] == "Keep what was installed"
    second = run(testcell_install=True)
    assert second.summary["verdict"] == "pass", second.screen
    assert installs(second) == ["Take the node and ask what it lacks"]

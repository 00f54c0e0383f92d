# SPDX-License-Identifier: MIT
"""The action in a playbook of anybody: over ssh, in a container, on this machine, and as another user."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[3]
# Above what goes over whole commands at once, so that these need several.
LARGE = 9_000_000
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - enginelab.testcell.fetch_artifacts:
        src: "{{ src }}"
        dest: "{{ dest }}/{{ place | default(inventory_hostname) }}"
        patterns: "{{ patterns | default(['**']) }}"
      become: "{{ user is defined }}"
      become_user: "{{ user | default(omit) }}"
      become_method: ansible.builtin.su
      register: fetched
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ fetched | to_json }}"
        dest: "{{ dest }}/{{ inventory_hostname }}.result"
        mode: "0644"
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_become: false}
      check_mode: false
"""


@pytest.fixture
def hosts(make_node, tmp_path):
    """One node reached by ssh and by docker exec, and this machine; each has the same files: (inventory, folder, content)."""
    node = make_node()
    source = node.folder / "files"
    content = {"a": b"x\n", "d/large": os.urandom(LARGE), "d/e": b""}
    for path, data in content.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    common = f"-F /dev/null -o UserKnownHostsFile={node.known_hosts} -o GlobalKnownHostsFile=/dev/null"
    here = f"testcell_node_root={tmp_path}/root"
    inventory = tmp_path / "hosts"
    inventory.write_text(
        f"ssh ansible_host={node.host} ansible_port={node.port} ansible_user=root src=/node/files "
        f'ansible_ssh_private_key_file={node.key} ansible_ssh_common_args="{common}"\n'
        f"container ansible_connection=by_exec ansible_host={node._name} src=/node/files\n"
        f"here ansible_connection=local src={source} {here}\n"
    )
    return inventory, source, content


@pytest.fixture
def fetch(hosts, tmp_path):
    """Return a function that runs the action with variables and returns host -> result."""
    play, dest = tmp_path / "play.yml", tmp_path / "home"
    play.write_text(PLAY)
    dest.mkdir()

    def run(*words, **variables):
        command = [
            ROOT / ".venv/bin/ansible-playbook",
            "-i",
            hosts[0],
            play,
            "-e",
            json.dumps({"dest": str(dest), **variables}),
        ]
        env = {**os.environ, "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests/support/connection")}
        done = subprocess.run(
            [*command, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {path.stem: json.loads(path.read_text()) for path in dest.glob("*.result")}

    return run


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CARRIERS = {"ssh": "stream", "container": "commands", "here": "copy"}


def test_a_folder_comes_home_over_every_connection_and_only_once(hosts, fetch, tmp_path):
    _, source, content = hosts
    foreseen = fetch("--check")
    size = sum(map(len, content.values()))
    assert {name: (one["files"], one["bytes"], one["changed"]) for name, one in foreseen.items()} == dict.fromkeys(
        CARRIERS, (3, size, True)
    )
    assert [path.name for path in (tmp_path / "home").iterdir() if path.suffix != ".result"] == []
    found = fetch()
    for name, carrier in CARRIERS.items():
        one = found[name]
        assert not one.get("failed") and one["changed"], one
        assert tree(tmp_path / "home" / name) == content
        assert (one["files"], one["bytes"], one["refused"], one["missing"]) == (3, size, [], [])
        assert set(one["transfer"]["carrier"].split("+")) == {carrier}
        listed = {entry["path"]: entry for entry in json.loads(Path(one["manifest"]).read_text())["files"]}
        algorithm, digest = listed["a"]["digest"].split(":")
        assert algorithm in ("sha256", "blake2b") and digest == hashlib.new(algorithm, content["a"]).hexdigest()
    assert {name: one["changed"] for name, one in fetch("--check").items()} == dict.fromkeys(CARRIERS, False)
    (source / "a").write_bytes(b"other\n")
    assert {name: one["changed"] for name, one in fetch("--check").items()} == dict.fromkeys(CARRIERS, True)
    assert {
        name: (one["changed"], one["transfer"]["sent_bytes"] < 100_000) for name, one in fetch().items()
    } == dict.fromkeys(CARRIERS, (True, True))
    assert {name: tree(tmp_path / "home" / name)["a"] for name in CARRIERS} == dict.fromkeys(CARRIERS, b"other\n")
    assert {name: one["changed"] for name, one in fetch().items()} == dict.fromkeys(CARRIERS, False)


def test_b80_check_mode_names_what_is_refused_and_fails_for_what_is_missing(hosts, fetch):
    """A link among the files, and a pattern that nothing matches."""
    (hosts[1] / "link").symlink_to("a")
    for one in fetch("--check", patterns=["*", "absent/"]).values():
        assert [(entry["path"], entry["kind"]) for entry in one["refused"]] == [("link", "artifact_unsafe_path")]
        assert (one["failed"], one["error_kind"], one["missing"]) == (True, "artifact_missing", ["absent/**"])


def test_nodes_that_are_given_one_place_do_not_mix_their_files(hosts, fetch, tmp_path):
    """Whoever comes first has it, also in the next play; the others are refused, and nothing of theirs is there."""
    for _ in range(2):
        found = fetch(place="one")
        refused = {name: one["error_kind"] for name, one in found.items() if one.get("failed")}
        assert len(refused) >= 2 and set(refused.values()) <= {"lock_held", "config_invalid"}, found
        listed = json.loads((tmp_path / "home/one.manifest.json").read_text())
        (first,) = set(found) - set(refused)
        assert listed["node"] == first
        assert tree(tmp_path / "home/one") == hosts[2]
    assert [path.name for path in (tmp_path / "home").iterdir() if path.name.startswith(".")] == []


def test_b86_b88_another_user_reads_what_it_may_and_what_is_absent_is_named(hosts, fetch, tmp_path):
    """Over docker exec and ssh, as a user who may not read one of the files."""
    source = hosts[1]
    for folder in (source.parent, *source.parent.parents[: len(source.parent.parts) - 2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (source / "a").chmod(0o600)
    found = fetch(
        "--limit", "ssh,container", user="nobody", ansible_become_flags="-s /bin/sh", patterns=["a", "d/", "absent/"]
    )
    assert set(found) == {"ssh", "container"}
    for name, one in found.items():
        assert [(entry["path"], entry["kind"]) for entry in one["refused"]] == [("a", "privilege")], one["msg"]
        assert one["failed"] and one["error_kind"] == "artifact_missing" and one["missing"] == ["absent/**"]
        assert "no file of /node/files on the node matches 'absent/**'" in one["msg"]
        assert set(tree(tmp_path / "home" / name)) == {"d/large", "d/e"}

# SPDX-License-Identifier: MIT
"""Key pair, known hosts and inventory on the controller."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab import files
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.model import Link, Wanted, nodes_of

SUBNET = IPv4Network("172.31.5.0/24")


def test_inventory_has_all_that_any_ansible_needs(wanted: Wanted, tmp_path: Path) -> None:
    text = files.inventory_text(
        replace(wanted, nodes=2), nodes_of(replace(wanted, nodes=2), Link(SUBNET, 22), "i", "k")
    )
    assert text.splitlines()[1:] == [
        "[lab]",
        "node1 ansible_host=127.0.0.11 testcell_address=172.31.5.11",
        "node2 ansible_host=127.0.0.12 testcell_address=172.31.5.12",
        "",
        "[lab:vars]",
        "ansible_port=22",
        "ansible_user=root",
        f"ansible_ssh_private_key_file={tmp_path}/.lab/id_ed25519",
        f"ansible_ssh_common_args=-o UserKnownHostsFile={tmp_path}/.lab/known_hosts -o GlobalKnownHostsFile=/dev/null"
        " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        "ansible_python_interpreter=/usr/bin/python3",
    ]


def test_path_with_a_space_stays_one_file_for_ssh(wanted: Wanted) -> None:
    spaced = replace(wanted, state_dir=Path("/a b/.lab"))
    assert files.ssh_arguments(spaced).startswith("""-o 'UserKnownHostsFile="/a b/.lab/known_hosts"' -o """)


@pytest.mark.parametrize(("port", "where"), [(22, "127.0.0.11"), (2222, "[127.0.0.11]:2222")])
def test_host_key_is_known_where_ssh_looks_for_it(wanted: Wanted, port: int, where: str) -> None:
    node = nodes_of(wanted, Link(SUBNET, port), "i", "k")[0]
    assert files.known_hosts_text([node], {"node1": "ssh-ed25519 AAAA"}) == f"{where} ssh-ed25519 AAAA\n"


def test_key_pair_is_made_once_and_private(wanted: Wanted) -> None:
    assert files.public_key(wanted) == ""
    made = files.make_key_pair(wanted)
    assert made.startswith("ssh-ed25519 ")
    assert files.public_key(wanted) == made
    assert wanted.key_file.stat().st_mode & 0o777 == 0o600
    assert wanted.state_dir.stat().st_mode & 0o777 == 0o700


def test_half_a_key_pair_counts_as_none(wanted: Wanted) -> None:
    files.make_key_pair(wanted)
    wanted.key_file.unlink()
    assert files.public_key(wanted) == ""


def test_equal_text_is_not_written_again(tmp_path: Path) -> None:
    assert files.write(tmp_path / "folder" / "file", "text")
    assert not files.write(tmp_path / "folder" / "file", "text")
    assert files.write(tmp_path / "folder" / "file", "other")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_inventory_of_somebody_else_is_refused(wanted: Wanted) -> None:
    wanted.inventory.parent.mkdir(parents=True)
    wanted.inventory.write_text("[mine]\nhost1\n")
    with pytest.raises(LabError, match="was not written by Testcell; move it away"):
        files.refuse_foreign_inventory(wanted)


def test_removal_takes_the_files_and_the_empty_folders(wanted: Wanted, tmp_path: Path) -> None:
    files.make_key_pair(wanted)
    files.write(wanted.inventory, files.MARK)
    files.remove(wanted)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inventories"]


def test_removal_leaves_what_others_put_beside(wanted: Wanted) -> None:
    files.make_key_pair(wanted)
    other = wanted.state_dir / "notes.txt"
    other.write_text("mine")
    files.remove(wanted)
    assert [*wanted.state_dir.iterdir()] == [other]

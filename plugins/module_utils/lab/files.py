# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a lab on the controller: key pair, known host keys, inventory; how they are made and removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import LabError
from .model import Node, Wanted

MARK = "# Written by Testcell for its lab"


def inventory_text(wanted: Wanted, nodes: Sequence[Node]) -> str:
    """Return the inventory of the lab in INI form, with everything that any Ansible needs to reach the nodes."""
    lines = [f"{MARK}; taking the lab down removes it.", f"[{wanted.name}]"]
    lines += [f"{node.name} ansible_host={node.host} testcell_address={node.address}" for node in nodes]
    lines += ["", f"[{wanted.name}:vars]"]
    lines += [f"ansible_port={nodes[0].port}", "ansible_user=root"]
    lines += [f"ansible_ssh_private_key_file={wanted.key_file}", f"ansible_ssh_common_args={ssh_arguments(wanted)}"]
    lines += ["ansible_python_interpreter=/usr/bin/python3"]
    return "\n".join(lines) + "\n"


def ssh_arguments(wanted: Wanted) -> str:
    """Return the options of ssh by which a node's host key is really checked."""
    options = {
        "UserKnownHostsFile": f'"{wanted.known_hosts}"' if " " in str(wanted.known_hosts) else str(wanted.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
    }
    return " ".join(f"-o '{key}={value}'" if " " in value else f"-o {key}={value}" for key, value in options.items())


def known_hosts_text(nodes: Sequence[Node], host_keys: Mapping[str, str]) -> str:
    """Return the known host keys, a port other than 22 as ssh looks for it. host_keys: node -> type and key."""
    where = {node.name: node.host if node.port == 22 else f"[{node.host}]:{node.port}" for node in nodes}
    return "".join(f"{where[node.name]} {host_keys[node.name]}\n" for node in nodes)


def public_key(wanted: Wanted) -> str:
    """Return the public key of the pair, empty when there is no whole pair."""
    public = wanted.key_file.with_suffix(".pub")
    return public.read_text().strip() if public.is_file() and wanted.key_file.is_file() else ""


def make_key_pair(wanted: Wanted) -> str:
    """Make a key pair without a passphrase and return its public key."""
    wanted.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in (wanted.key_file, wanted.key_file.with_suffix(".pub")):
        file.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", wanted.network, "-f", str(wanted.key_file)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        raise LabError("the ssh client is absent; install it: apt-get install openssh-client") from None
    if done.returncode != 0:
        raise LabError(f"ssh-keygen ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return public_key(wanted)


def write(path: Path, text: str) -> bool:
    """Write text to path in one step unless it stands there already; return whether it was written."""
    if path.is_file() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with open(new, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
    return True


def refuse_foreign_inventory(wanted: Wanted) -> None:
    """Raise LabError when the inventory is there and somebody else wrote it."""
    path = wanted.inventory
    if path.is_file() and not path.read_text(errors="replace").startswith(MARK):
        raise LabError(f"{path} was not written by Testcell; move it away, or name another inventory")


def present(wanted: Wanted) -> tuple[Path, ...]:
    """Return the lab's files that are there."""
    key = wanted.key_file
    files = (wanted.inventory, wanted.known_hosts, key, key.with_suffix(".pub"))
    return tuple(path for path in files if path.is_file())


def remove(wanted: Wanted) -> None:
    """Remove the lab's files, and their folders when nothing else is in them."""
    for path in present(wanted):
        path.unlink()
    for folder in (wanted.state_dir, wanted.inventory.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

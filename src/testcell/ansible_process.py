# SPDX-License-Identifier: MIT

"""What a process of Ansible is started with: program, environment, and the inventory it prints as JSON."""

from __future__ import annotations

import configparser
import json
import locale
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.places import VARIABLE

from testcell.project import Project, collections_path

OURS = "TESTCELL_"
# Each of these would change what our playbooks or the runner read; the rest of the user's ANSIBLE_* stays.
REPLACED = (
    "ANSIBLE_STDOUT_CALLBACK",
    "ANSIBLE_LOAD_CALLBACK_PLUGINS",
    "ANSIBLE_CHECK_MODE_MARKERS",
    "AD_HOC_COMMAND_ID",
)
UTF8_LOCALE = "C.UTF-8"
INVENTORY_TIMEOUT_S = 60
SHOWN_LINES = 6


class AnsibleError(Exception):
    """A program of Ansible could not be started or did not do its work; the text is for a person."""


def environment(project: Project, home: Path) -> dict[str, str]:
    """Return the variables that a process of Ansible gets over the user's own. home: used where the user has none."""
    found = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_COLLECTIONS_PATH": collections_path(project),
        "ANSIBLE_HOST_KEY_CHECKING": os.environ.get("ANSIBLE_HOST_KEY_CHECKING") or _host_key_checking(project),
        "HOME": os.environ.get("HOME") or _home(home),
        "TERM": os.environ.get("TERM") or "dumb",
    }
    config = project.root / "ansible.cfg"
    if config.is_file():
        found["ANSIBLE_CONFIG"] = str(config)
    if not _is_utf8():
        found["LC_ALL"] = UTF8_LOCALE
    return found


@contextmanager
def clean_environ() -> Iterator[None]:
    """Take variables that are not for Ansible out of this process while its child is started."""
    ours = {name for name in os.environ if name.startswith(OURS)} - {VARIABLE}
    kept = {name: value for name, value in os.environ.items() if name in ours or name in REPLACED}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def program(name: str) -> str:
    """Return the path of a program of Ansible: the one beside this interpreter, else the one on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if not found:
        raise AnsibleError(f"{name} was not found beside {sys.executable} nor on the PATH; install ansible-core")
    return found


def list_hosts(project: Project, sources: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return host -> variables in inventory order, as ansible-inventory understands the sources."""
    # The controller is listed too, for the variables that hold for all hosts.
    listed = [part for source in (*sources, "localhost,") for part in ("-i", source)]
    command = [program("ansible-inventory"), "--list", *listed]
    with clean_environ():
        variables = {**os.environ, **environment(project, project.root)}
    try:
        done = subprocess.run(
            command, env=variables, cwd=project.root, capture_output=True, timeout=INVENTORY_TIMEOUT_S,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AnsibleError(f"ansible-inventory gave no answer in {INVENTORY_TIMEOUT_S} s") from None
    said = done.stderr.decode("utf-8", "replace")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if done.returncode != 0 or not isinstance(answer, dict):
        raise AnsibleError(f"ansible-inventory failed (rc {done.returncode}): {_last_lines(said)}")
    if "Unable to parse" in said or "Failed to parse" in said:
        raise AnsibleError(f"cannot be understood: {_last_lines(said)}")
    return _ordered(answer)


def _ordered(answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    variables = answer.get("_meta", {}).get("hostvars", {})
    listed = [host for name, group in answer.items() if name != "_meta" for host in group.get("hosts", [])]
    return {host: dict(variables.get(host, {})) for host in dict.fromkeys([*listed, *variables])}


def _last_lines(text: str) -> str:
    return " ".join(" ".join(text.split("\n")[-SHOWN_LINES:]).split()) or "it said nothing"


def _host_key_checking(project: Project) -> str:
    """Return the project's own setting, since ansible-runner would switch checking off where the variable is unset."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(project.root / "ansible.cfg", encoding="utf-8")
    return parser.get("defaults", "host_key_checking", fallback="True")


def _home(fallback: Path) -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return str(fallback)


def _is_utf8() -> bool:
    """Decide whether a child that takes its locale from the environment will use UTF-8, as Ansible demands."""
    if not any(os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG")):
        return False
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        return locale.nl_langinfo(locale.CODESET).upper() == "UTF-8"
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fetch_artifacts
short_description: Fetch a folder from a node, every byte proved
description:
  - Brings the files of a folder to the controller in one stream, each with a digest that was made where it was read.
  - All or nothing. Files wait in a folder beside I(dest) until all of them are proved and on the disk, and are put in place then.
  - What a transfer that failed has proved is kept in C(DEST.partial), and the next call goes on from there.
  - What is in place already, is listed in the manifest and is as on the node is not sent again. What the node has no more stays.
  - Links, devices, files with setuid, files with names elsewhere and files that change meanwhile are refused and named, and the
    others come.
  - Works over every connection plugin and with become; ssh and local are fast, others come command by command. No run and no lease
    are needed. The node needs Python 3.8 and nothing else; a small program is left in C(/var/tmp/testcell-UID) there.
version_added: 0.1.0
author: Testcell contributors
options:
  src:
    description: The folder on the node, an absolute path.
    type: str
    required: true
  dest:
    description:
      - The folder on the controller, made when it is absent. A relative path starts from the playbook's folder.
      - Each node needs one of its own; one that has files of another node, or to which files come at this moment, is refused.
    type: str
    required: true
  patterns:
    description:
      - What to fetch, relative to I(src). C(*), C(?) and C([...]) match names, C(**) folders as well; a folder ends with C(/).
    type: list
    elements: str
    default: ["**"]
  max_files:
    description: More files than this are left out and named, 1 to 1000000.
    type: int
    default: 100000
  max_bytes:
    description: Files over this size in all are left out and named, in bytes.
    type: int
    default: 21474836480
  integrity:
    description: What proves a file. C(full) is its digest, C(size) its size only, C(off) nothing.
    type: str
    choices: [full, size, "off"]
    default: full
  compress:
    description: Whether contents are compressed on the way. C(auto) measures whether that pays.
    type: str
    choices: [auto, always, never]
    default: auto
  retries:
    description: How often a transfer that was cut or damaged is tried again, each time from where it stood, 0 to 20.
    type: int
    default: 3
  timeout:
    description:
      - Seconds without a byte from the node, after which a transfer is broken off and tried again, 1 to 86400.
      - Not for connections other than ssh and local, which have limits of their own.
    type: int
    default: 300
  fail_on_missing:
    description: Whether a pattern that matches nothing is a failure. What the others match is fetched all the same.
    type: bool
    default: true
attributes:
  check_mode:
    description:
      - Says how many files and bytes there are, what would be refused or is missing, and whether anything would come.
      - Nothing is written on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Fetch the logs of every node
  enginelab.testcell.fetch_artifacts:
    src: /var/log/engine
    dest: "logs/{{ inventory_hostname }}"
    patterns: ["*.log", "traces/"]

- name: Fetch what only root may read, and say what it took
  enginelab.testcell.fetch_artifacts:
    src: /root/results
    dest: "results/{{ inventory_hostname }}"
  become: true
  register: fetched
"""

RETURN = r"""
files:
  description: How many files there are now, those that were here before as well; in check mode those on the node.
  returned: when the node answered
  type: int
bytes:
  description: Their size together.
  returned: when the node answered
  type: int
transfer:
  description:
    - What it took, with C(files), C(bytes), C(seconds), C(mb_per_s), C(sent_bytes), C(ratio) of contents to what was sent, C(retries),
      C(resumed_files), C(carrier), C(algorithm) and C(integrity).
  returned: when the node answered, not in check mode
  type: dict
refused:
  description: What is no artifact or could not be read, each with C(path), C(kind) and C(why).
  returned: when the node answered
  type: list
  elements: dict
missing:
  description: Patterns that matched nothing.
  returned: when the node answered
  type: list
  elements: str
partial:
  description: Whether only some files came, which lie in C(DEST.partial) then.
  returned: when the node answered, not in check mode
  type: bool
manifest:
  description: The file on the controller that lists each file with size, mode, time and digest; empty when nothing came.
  returned: when the node answered, not in check mode
  type: str
error_kind:
  description: What went wrong, as the reference of failures names it.
  returned: failure
  type: str
"""

from pathlib import Path
from typing import Any

from ..plugin_utils.artifacts import alone
from ..plugin_utils.artifacts.errors import ArtifactError
from ..plugin_utils.artifacts.policy import COMPRESS, INTEGRITY, Failure, Policy
from ..plugin_utils.artifacts.transfer import Wanted
from ..plugin_utils.node.errors import NodeError
from ..plugin_utils.report.transfers import left_out, told
from ..plugin_utils.run import limits
from ._inventory import plain
from ._node import NodeAction

OPTIONS: dict[str, dict[str, Any]] = {
    "src": {"type": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "patterns": {"type": "list", "elements": "str", "default": ["**"]},
    "max_files": {"type": "int", "default": 100_000},
    "max_bytes": {"type": "int", "default": 20 << 30},
    "integrity": {"type": "str", "choices": list(INTEGRITY), "default": "full"},
    "compress": {"type": "str", "choices": list(COMPRESS), "default": "auto"},
    "retries": {"type": "int", "default": 3},
    "timeout": {"type": "int", "default": 300},
    "fail_on_missing": {"type": "bool", "default": True},
}
RANGES = {"max_files": (1, 1_000_000), "max_bytes": (0, 1 << 50), "retries": (0, 20), "timeout": (1, 86_400)}


class ActionModule(NodeAction):
    """Fetch a folder."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, checked = self.validate_argument_spec(OPTIONS)
        args = plain(checked)
        destination = Path(self._loader.path_dwim(args["dest"]))
        wrong = _wrong(args, destination)
        if wrong:
            return {"failed": True, "changed": False, "msg": wrong, "error_kind": "config_invalid"}
        variables = task_vars or {}
        patterns = tuple(f"{text}**" if text.endswith("/") else text for text in args["patterns"])
        wanted = Wanted(destination, {"base": args["src"]}, patterns, args["max_files"], args["max_bytes"])
        policy = Policy(args["retries"], args["timeout"], args["integrity"], args["compress"])
        result, failure = self._fetched(variables, wanted, policy)
        if result.get("refused"):
            result["warnings"] = [left_out(result["refused"], "`refused` in the result")]
        if failure is not None:
            return {**result, "failed": True, "msg": str(failure), "error_kind": _kind(failure)}
        if result["missing"] and args["fail_on_missing"]:
            said = alone.absent(wanted, result["missing"])
            return {**result, "failed": True, "msg": said, "error_kind": alone.MISSING}
        return result

    def _fetched(
        self, variables: dict[str, Any], wanted: Wanted, policy: Policy
    ) -> tuple[dict[str, Any], Failure | None]:
        client = self.client(variables, "fetch")
        name = str(variables["inventory_hostname"])
        try:
            if self._task.check_mode:
                return alone.preview(client, wanted, policy, name), None
            result, failure = alone.fetch(client, wanted, policy, name)
        except (NodeError, ArtifactError, OSError) as exc:
            return {"changed": False}, exc
        return {**result, "msg": told(result["transfer"])}, failure


def _wrong(args: dict[str, Any], destination: Path) -> str:
    """Return why the arguments cannot be used, "" when they can. destination: the path that dest stands for."""
    if not args["src"].startswith("/"):
        return f"src is {args['src']!r}; it must be an absolute path on the node"
    if not args["dest"].strip("/."):
        return f"dest is {args['dest']!r}; it must name a folder of its own on the controller, such as `logs/NODE`"
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        return f"dest is {args['dest']!r}, which is a link or a file; it must be a folder or absent: name another one"
    if not args["patterns"]:
        return "patterns is empty; at least one is needed"
    out = [name for name, (least, most) in RANGES.items() if not least <= args[name] <= most]
    return "; ".join(f"{name} is {args[name]}; allowed: {RANGES[name][0]}..{RANGES[name][1]}" for name in out)


def _kind(failure: Failure) -> str:
    return limits.kind_of(failure) or "io_error" if isinstance(failure, OSError) else failure.kind

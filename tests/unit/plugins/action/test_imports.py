# SPDX-License-Identifier: MIT
"""What the plugins of an ordinary run import: a fork of Ansible pays for it at each step, in time and in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ansible_collections.enginelab.testcell.plugins.action as actions

PACKAGE = actions.__name__.rpartition(".")[0]
FOLDERS = [Path(next(iter(actions.__path__))), Path(next(iter(actions.__path__))).parent / "callback"]
MODULES = [
    f"{PACKAGE}.{folder.name}.{path.stem}"
    for folder in FOLDERS
    for path in sorted(folder.glob("*.py"))
    if path.stem != "__init__"
]


def test_no_plugin_takes_what_only_a_soak_needs():
    """A library of numbers reserves more addresses than F13 leaves to a whole run."""
    assert len(MODULES) > 20
    environment = {"PYTHONPATH": ":".join(sys.path)}
    code = f"import importlib, sys; [importlib.import_module(n) for n in {MODULES!r}]; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("False", "")

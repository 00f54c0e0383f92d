# SPDX-License-Identifier: MIT
"""Maintenance without its libraries says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
LOAD = """
import sys
sys.path.insert(0, {collections!r})
sys.modules[{missing!r}] = None
from ansible_collections.enginelab.testcell.plugins.action import plan_maintenance
print(plan_maintenance.MISSING)
"""


@pytest.mark.parametrize(("missing", "said"), [("sqlalchemy", "the Python package sqlalchemy;"), ("nothing", "")])
def test_a_missing_library_is_named_with_the_file_that_names_them_all(missing, said):
    code = LOAD.format(collections=str(ROOT / "collections"), missing=missing)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout and bool(done.stdout.strip()) == bool(said)
    assert not said or "meta/execution-environment.yml" in done.stdout
    assert "sqlalchemy" in (ROOT / "meta" / "execution-environment.yml").read_text().lower()

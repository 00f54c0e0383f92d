# SPDX-License-Identifier: MIT
"""Real runs on this machine, recorded on a real server, and with a server that is not there."""

from __future__ import annotations

import os
import subprocess
import sys

import own_project
import pytest
import sqlalchemy as sa
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store

pytestmark = pytest.mark.docker


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the example of a new project, recorded at a URL."""
    project = own_project.made(tmp_path)

    def started(url):
        environ = {**os.environ, "TESTCELL_DATABASE_URL": url}
        words = [sys.executable, "-m", "testcell", "--verbose", "run", "example"]
        return subprocess.run(words, cwd=project, env=environ, capture_output=True, text=True, timeout=200, check=False)

    return started


def files_with(folder, text):
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_run_is_recorded_on_a_server_whose_password_is_nowhere(tmp_path, run, new_server):
    done = run(new_server)
    assert done.returncode == 0, done.stderr
    results, password = tmp_path / "p" / "results", new_server.partition("postgres:")[2].partition("@")[0]
    with open_store(new_server, results_dir=results) as store, store.read() as connection:
        (found,) = connection.execute(sa.select(schema.runs)).all()
        assert (found.state, found.verdict, found.exit_code) == ("finished", "pass", 0)
        count = sa.select(sa.func.count())
        assert connection.execute(count.select_from(schema.attempts)).scalar() == 1
        lines = (results / found.run_id / "events.jsonl").read_text().splitlines()
        assert connection.execute(count.select_from(schema.events)).scalar() == len(lines)
    assert len(password) == 16 and password not in done.stdout + done.stderr
    assert files_with(tmp_path, password) == []


def test_a_server_that_is_not_there_is_told_and_changes_no_verdict(tmp_path, run):
    done = run("postgresql://anna:geheim@127.0.0.1:1/cells")
    assert done.returncode == 0 and "verdict  PASS" in done.stdout
    assert "node_unreachable: postgresql://127.0.0.1:1/cells" in done.stderr + done.stdout
    with open_store(results_dir=tmp_path / "p" / "results") as store, store.read() as connection:
        assert connection.execute(sa.select(schema.runs.c["verdict"])).all() == [("pass",)]

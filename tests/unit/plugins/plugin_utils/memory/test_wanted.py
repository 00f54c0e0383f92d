# SPDX-License-Identifier: MIT
"""When a scenario was changed: by its files, not by who looks at it when."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import wanted
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inputs, opening

from testcell import starting


def scenarios(project):
    asked = opening.Asked(scenario="example", hosts={})
    return inputs.scenarios(inputs.read(asked, project), asked).scenarios


def changed_at(store):
    with store.read() as connection:
        return connection.exec_driver_sql("SELECT changed_at FROM scenario_changes").scalar_one()


@pytest.fixture
def script(tmp_path):
    starting.start(tmp_path / "project")
    return tmp_path / "project" / "scenarios" / "001_example" / "run_test.sh"


def test_a_change_is_as_old_as_the_file_that_was_changed(script, tmp_path):
    """A run between the change and the look at it ran the new files."""
    with open_store(results_dir=tmp_path / "results") as store:
        wanted.note(store, scenarios(script.parents[2]))
        assert changed_at(store) == 0.0
        script.write_text(script.read_text() + "exit 4\n")
        os.utime(script, (1.0, 1.0))  # as a copy with its times has it
        made = os.lstat(script).st_ctime
        wanted.note(store, scenarios(script.parents[2]))
        assert changed_at(store) == made
        (script.parent / "more").write_text("")
        (script.parent / "more").unlink()
        wanted.note(store, scenarios(script.parents[2]))
        assert changed_at(store) == made, "its files are the same"


def test_a_file_that_is_gone_is_a_change(script, tmp_path):
    (script.parent / "more").write_text("")
    with open_store(results_dir=tmp_path / "results") as store:
        wanted.note(store, scenarios(script.parents[2]))
        (script.parent / "more").unlink()
        wanted.note(store, scenarios(script.parents[2]))
        assert changed_at(store) == os.lstat(script.parent).st_ctime

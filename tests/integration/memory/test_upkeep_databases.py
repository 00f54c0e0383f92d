# SPDX-License-Identifier: MIT
"""What maintenance asks and writes, on PostgreSQL as on a file: the same facts, and one round at a time over all controllers."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds, survey
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import Config
from upkeep_facts import HOUR, NOW
from upkeep_store import fill

WORDS = {"a": "pass", "b": "gpu_oom", "c": "ssh_timeout@n2", "d": "disk_full@n2", "e:x": "engine_dead"}


def seen(store):
    found = survey.survey(store, Config(), (), (), ("n1", "n2", "n3"))
    decisions = [(one.case.name, one.action, one.reason, one.avoid) for one in found.decisions]
    return decisions, survey.as_document(found), dict(found.facts.nodes)


def test_postgresql_says_what_a_file_says(new_server, tmp_path):
    told = []
    for url in ("", new_server):
        with open_store(url, results_dir=tmp_path / "results", clock=lambda: NOW) as store:
            fill(store, "20231112_000000", NOW - 26 * HOUR, dict.fromkeys(WORDS, "pass"))
            fill(store, "20231113_000000", NOW - HOUR, WORDS)
            number = rounds.begin(store, rounds.MAINTAIN)
            decision = next(
                one for one in survey.survey(store, Config(), (), (), ("n1",)).decisions if one.case.name == "c"
            )
            rounds.begin_run(store, number, rounds.UpkeepRun("up@ctl", "up", tmp_path), [decision])
            fill(store, "up", NOW - 60, {"c": "ssh_timeout@n3"})
            rounds.end(store, number, rounds.DONE, "report")
            told.append((seen(store), rounds.last(store).as_dict()))
    assert told[0] == told[1]


def test_controllers_that_share_a_server_maintain_one_at_a_time(new_server, tmp_path):
    with (
        open_store(new_server, results_dir=tmp_path / "one") as one,
        open_store(new_server, results_dir=tmp_path / "two") as two,
    ):
        with rounds.alone(one), pytest.raises(rounds.BusyError, match="another controller"), rounds.alone(two):
            pass
        with rounds.alone(two):
            pass

# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import upkeep_config
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import Config
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError

GIVEN = {
    "retry_strategy": {
        "max_retries": 3, "retry_delay": 300, "backoff_multiplier": 1.5, "priority_models": ["gpt-4o", "claude-3-sonnet"],
        "skip_models": ["deprecated-model"], "retry_on_timeout": True, "retry_on_api_error": True, "retry_on_format_error": False,
    },
    "auto_retest": {
        "enabled": True, "minimum_completion_rate": 0.8, "maximum_failure_rate": 0.3, "cooldown_hours": 2, "batch_size": 5,
    },
}  # fmt: skip


def written(folder, text, name="auto_maintenance_config.json"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_file_as_people_know_it_is_taken(tmp_path):
    path = written(tmp_path, json.dumps(GIVEN))
    found = upkeep_config.load(upkeep_config.find(tmp_path))
    assert found.retry_strategy.priority_models == ("gpt-4o", "claude-3-sonnet") and found.file == str(path)
    assert (found.auto_retest, found.budget) == (Config().auto_retest, Config().budget)


def test_without_a_file_the_built_in_values_hold(tmp_path):
    assert upkeep_config.load(upkeep_config.find(tmp_path)) == Config()


def test_defaults_of_the_file_are_those_without_one(tmp_path):
    found = upkeep_config.load(written(tmp_path, "retry_strategy: {}\n", "config/auto_maintenance_config.yaml"))
    assert {name: value for name, value in vars(found).items() if name != "file"} == {
        name: value for name, value in vars(Config()).items() if name != "file"
    }


WRONG = [
    ('{"retry_strategy": {"max_retries": -1}}', "1:36: retry_strategy.max_retries: is out of range; got integer -1"),
    (
        '{"auto_retest":\n {"cooldwn_hours": 2}}',
        "2:3: auto_retest.cooldwn_hours: unknown key",
        "did you mean cooldown_hours",
    ),
    ('{"auto_retest": {"minimum_completion_rate": 80}}', "auto_retest.minimum_completion_rate: is out of range"),
    ('{"retry_strategy": {"retry_on_timeout": "yes"}}', "retry_on_timeout: must be true or false"),
    (
        '{"retry_strategy": {"priority_models": ["a"], "skip_models": ["a"]}}',
        "skip_models[0]: model 'a' is in priority_models",
    ),
    (
        '{"analysis": {"window_days": 1, "recent_hours": 48}}',
        "analysis.recent_hours: is longer than the window of 1 days",
    ),
    ('{"retry_strategy": {"max_retries": 1, "max_retries": 2}}', "duplicate key 'max_retries'"),
    ('{"budget": {"day_hours": NaN}}', "NaN is not a JSON number"),
    ("[]", "must be a mapping"),
    ("", "the file is empty"),
]


@pytest.mark.parametrize("row", WRONG, ids=[row[1][:40] for row in WRONG])
def test_what_is_wrong_is_named_with_its_place(tmp_path, row):
    text, *said = row
    with pytest.raises(InputError) as caught:
        upkeep_config.load(written(tmp_path, text))
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_two_files_are_one_too_many(tmp_path):
    written(tmp_path, "{}")
    written(tmp_path, "{}", "config/auto_maintenance_config.yml")
    with pytest.raises(InputError, match=r"is also written as config/auto_maintenance_config\.yml"):
        upkeep_config.find(tmp_path)


def test_a_file_that_everybody_may_write_is_refused(tmp_path):
    path = written(tmp_path, "{}")
    path.chmod(0o666)
    with pytest.raises(InputError, match="everybody may write"):
        upkeep_config.load(path)

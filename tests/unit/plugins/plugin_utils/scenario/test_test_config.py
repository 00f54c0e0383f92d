# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.fields import FIELDS
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import test_config as subject

GOOD = {
    "base_url": "http://127.0.0.1:18008",
    "model": "/data/model",
    "num_prompts": 1000,
    "max_concurrency": 20,
    "metadata": {"scenario": "baseline_test", "gpu_num": 4},
}


def write(folder: Path, content: object) -> Path:
    path = folder / "test_config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


def test_the_keys_of_the_seed_are_taken_as_written(tmp_path: Path) -> None:
    assert subject.load(write(tmp_path, GOOD)) == GOOD


def test_every_key_of_the_load_client_is_known() -> None:
    assert set(subject.test_config_spec().keys) == set(FIELDS)


def test_null_counts_as_not_set(tmp_path: Path) -> None:
    assert "seed" not in subject.load(write(tmp_path, {**GOOD, "seed": None}))


BAD = [
    pytest.param("", ["test_config.json: the file is empty; required keys: model"], id="B01-empty"),
    pytest.param("[1]", ["must be a mapping, the top level"], id="B02-list"),
    pytest.param('{"model": "m", "num_prompts": 5,}', ["test_config.json:1:33:", "a comma before '}'"], id="B89-syntax"),
    pytest.param('{"model": "m", "model": "n", "num_prompts": 1}', ["test_config.json:1:16: model: duplicate key"], id="B05-duplicate"),
    pytest.param('{"num_prompts": NaN}', ["NaN is not a JSON number"], id="B13-nan"),
    pytest.param({"num_prompts": 1}, ["required key 'model' is missing"], id="no-model"),
    pytest.param({"model": "m"}, ["required key 'num_prompts' (or 'duration_s') is missing"], id="no-amount"),
    pytest.param({**GOOD, "max_concurency": 4}, ["max_concurency: unknown key", "did you mean max_concurrency?"], id="B16-near"),
    pytest.param({**GOOD, "num_prompts": 0}, ["num_prompts: is out of range; got integer 0; allowed: 1..10000000"], id="range"),
    pytest.param({**GOOD, "num_prompts": "10"}, ["must be an integer without quotes", "did you mean 10?"], id="quoted-number"),
    pytest.param({**GOOD, "num_prompts": 1.5}, ["must be an integer; got number 1.5"], id="fraction"),
    pytest.param({**GOOD, "stream": "yes"}, ["stream: must be true or false"], id="B14-bool"),
    pytest.param({**GOOD, "api": "chatt"}, ["allowed: completions, chat", "did you mean chat?"], id="choice"),
    pytest.param({**GOOD, "adaptive_rate": 20}, ["adaptive_rate: must be true or false or a mapping"], id="rate-number"),
    pytest.param({**GOOD, "adaptive_rate": {"maximum": 1}}, ["adaptive_rate.maximum: unknown key"], id="rate-key"),
    pytest.param({**GOOD, "adaptive_rate": {"decrease": 1.5}}, ["adaptive_rate.decrease: is out of range"], id="rate-range"),
    pytest.param({**GOOD, "adaptive_rate": {"max_attempts": 2.5}}, ["adaptive_rate.max_attempts: must be an integer"], id="rate-whole"),
    pytest.param({**GOOD, "adaptive_rate": {"min": 5, "max": 2}}, ["adaptive_rate: min of 5 is above max of 2 requests/s"], id="rate-order"),
    pytest.param({**GOOD, "burst": True}, ["burst: must be a mapping"], id="burst-flag"),
    pytest.param({**GOOD, "burst": {"every_s": 0, "length_s": 1}}, ["burst.every_s: is out of range"], id="burst-range"),
    pytest.param({**GOOD, "burst": {"every_s": 9, "length_s": 1, "concurrency": 1.5}}, ["burst.concurrency: must be an integer"], id="burst-whole"),
    pytest.param({**GOOD, "burst": {"every_s": 9, "length_s": 1}}, ["burst: needs one of requests_per_s and concurrency"], id="burst-of-nothing"),
    pytest.param({**GOOD, "goodput": {"ttft": 1}}, ["goodput.ttft: unknown key", "did you mean ttft_ms?"], id="nested-key"),
    pytest.param({**GOOD, "goodput": {"ttft_ms": 0}}, ["goodput.ttft_ms: is out of range"], id="nested-range"),
    pytest.param({**GOOD, "extra_body": {"model": "x"}}, ["extra_body.model: is set by the load client"], id="reserved"),
    pytest.param({**GOOD, "request_rate": 2, "duration_s": 1}, ["duration_s: is shorter than the load: 1000 requests at 2 per second need 500.0 s"], id="contradiction"),
    pytest.param({**GOOD, "base_url": "file:///etc/passwd"}, ["base_url: has the scheme 'file'", "allowed: http(s)://HOST[:PORT][/PATH]"], id="B60-file"),
    pytest.param({**GOOD, "base_url": "http://169.254.169.254/"}, ["link-local, metadata"], id="B60-metadata"),
    pytest.param({**GOOD, "base_url": "http://localhost:22"}, ["port 22 of SSH"], id="B60-ssh"),
    pytest.param({**GOOD, "base_url": "http://10.9.9.9:80"}, ["allowed hosts: localhost, 10.0.0.7"], id="B60-other-host"),
    pytest.param({**GOOD, "base_url": "http://u:hunter2@10.0.0.7"}, ["user name or password", "got string (not shown)"], id="B61-credentials"),
    pytest.param({**GOOD, "base_url": "http://10.0.0.7/#a"}, ["has a '#'"], id="B61-fragment"),
    pytest.param({**GOOD, "base_url": "http://10.0.0.7/\r\nA: b"}, ["line end"], id="B61-line-end"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "parts"), BAD)
def test_every_problem_is_named(content: object, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        subject.load(write(tmp_path, content), allowed_hosts=["10.0.0.7"])
    for part in parts:
        assert part in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        subject.load(write(tmp_path, {"num_prompts": 0, "stream": 1, "base_url": "x", "foo": 1}))
    assert len(caught.value.problems) == 5


def test_a_host_listed_in_the_file_itself_is_allowed(tmp_path: Path) -> None:
    config = {**GOOD, "base_url": "http://api.lab:80", "allowed_hosts": ["api.lab"]}
    assert subject.load(write(tmp_path, config), allowed_hosts=["10.0.0.7"])["base_url"] == "http://api.lab:80"


def test_a_script_may_use_keys_of_its_own_and_known_ones_keep_their_rules(tmp_path: Path) -> None:
    own = {"base_url": "http://10.0.0.7", "batch": [1, 2], "rounds": {"n": 3}}
    assert subject.load(write(tmp_path, own), client="script") == own
    with pytest.raises(InputError, match="stream: must be true or false"):
        subject.load(write(tmp_path, {**own, "stream": "on"}), client="script")


def test_check_keeps_places_for_later_problems(tmp_path: Path) -> None:
    checked = subject.check(write(tmp_path, GOOD))
    assert checked.problems == ()
    assert checked.document.mark(("num_prompts",)) == (4, 18)

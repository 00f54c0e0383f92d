# SPDX-License-Identifier: MIT
"""test_config.json: all problems at once, each with file, key and value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import config as module
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.errors import ConfigError

SEED = {
    "base_url": "http://10.112.0.201:18008",
    "model": "/data/Qwen3-235B-A22B",
    "num_prompts": 1000,
    "max_concurrency": 20,
    "metadata": {"scenario": "baseline_test", "gpu_num": 4},
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load_(data: Any, *overrides: str, **environ: str) -> module.LoadConfig:
        file = tmp_path / "test_config.json"
        file.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return module.load(file, environ, overrides)

    return load_


def test_the_seed_file_is_a_closed_loop(load: Any) -> None:
    config = load(SEED)
    assert (config.wanted, config.max_concurrency, config.open_loop) == (1000, 20, False)
    assert (config["api"], config["stream"], config["metadata"]["gpu_num"]) == ("completions", True, 4)


def test_a_rate_makes_an_open_loop_without_a_limit(load: Any) -> None:
    config = load({"base_url": "http://h", "model": "m", "request_rate": 2.5, "duration_s": 10})
    assert (config.open_loop, config.wanted, config.max_concurrency) == (True, 25, None)


def test_a_duration_alone_leaves_the_number_open(load: Any) -> None:
    config = load({"base_url": "http://h", "model": "m", "duration_s": 10})
    assert (config.wanted, config.max_concurrency) == (None, 1)


def test_null_counts_as_left_out(load: Any) -> None:
    assert load({**SEED, "request_rate": None, "seed": None})["seed"] == 0


def test_environment_beats_the_base_url_and_stamps_the_load(load: Any) -> None:
    environ = {
        "TESTCELL_BASE_URL": "http://127.0.0.1:9",
        "TESTCELL_RUN_ID": "20260101_000000",
        "SCENARIO_NAME": "s",
        "TESTCELL_CASE": "c",
        "TESTCELL_ATTEMPT": "2",
        "TESTCELL_LABEL_PROMPT_TYPE": "short",
    }
    config = load(SEED, **environ)
    assert config.target.url == config["base_url"] == "http://127.0.0.1:9"
    assert config.stamp == module.Stamp("20260101_000000", "s", "c", 2)
    assert config.labels == {"prompt_type": "short"}


def test_overrides_are_json_or_text(load: Any) -> None:
    config = load(SEED, "max_concurrency=4", "model=other", "api=chat", 'goodput={"ttft_ms": 5}')
    assert (config.max_concurrency, config["model"], config["goodput"]) == (4, "other", {"ttft_ms": 5})


BAD_VALUES = {
    "num_prompts_zero": (
        {"num_prompts": 0},
        "num_prompts: has a wrong value; got int 0; allowed: a whole number from 1",
    ),
    "num_prompts_text": ({"num_prompts": "10"}, 'got str "10"'),
    "num_prompts_float": ({"num_prompts": 1.5}, "got float 1.5"),
    "bool_is_no_number": ({"max_concurrency": True}, "got bool true"),
    "rate_zero": ({"request_rate": 0}, "allowed: a number from 0.001 to 100000"),
    "api": ({"api": "embeddings"}, "allowed: completions, chat"),
    "stream": ({"stream": "yes"}, "allowed: true or false"),
    "goodput_key": ({"goodput": {"ttft": 5}}, "ttft_ms, tpot_ms, e2e_ms"),
    "goodput_value": ({"goodput": {"ttft_ms": 0}}, "above 0"),
    "extra_body": ({"extra_body": []}, "allowed: a mapping"),
    "extra_body_prompt": ({"extra_body": {"prompt": "x"}}, "extra_body.prompt: is set by the load client"),
    "allowed_hosts": ({"allowed_hosts": "h"}, "allowed: a list of strings"),
    "unknown_key": ({"num_prompt": 5}, "num_prompt: is not a known key; did you mean num_prompts?"),
    "model_missing": ({"model": None}, "model: is required"),
    "no_amount": ({"num_prompts": None}, "num_prompts: is required unless duration_s"),
    "too_short": ({"request_rate": 10, "duration_s": 5}, "duration_s: is shorter than the load: 1000 requests at 10"),
    "60": ({"base_url": "file:///etc/passwd"}, "base_url: has the scheme 'file'"),
    "60_missing": ({"base_url": None}, "base_url: is required"),
    "goodput_unstreamed": ({"stream": False, "goodput": {"ttft_ms": 5}}, "only e2e_ms can be measured"),
}


@pytest.mark.parametrize(("change", "message"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_value_is_named_with_file_key_and_value(load: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({**SEED, **change})
    assert message in str(caught.value)
    assert "test_config.json: " in str(caught.value)


BAD_FILES = {
    "syntax": (b'{\n "a": ,\n}', ":2:7: is not JSON"),
    "89_duplicate": (b'{"model": "a", "model": "b"}', "key 'model' is given twice"),
    "89_nan": (b'{"request_rate": NaN}', "NaN is not JSON"),
    "list": (b"[]", "must be a mapping at the top; got list"),
    "empty": (b"", "is not JSON"),
    "encoding": (b'{"model": "\xff"}', "is not UTF-8: byte 11 is 0xff"),
    "deep": (b"[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_is_named_with_its_place(load: Any, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(content)
    assert message in str(caught.value)


def test_every_problem_is_told_at_once(load: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"base_url": "http://h", "num_prompts": 0, "api": 1, "nope": 1})
    assert len(caught.value.problems) == 3


def test_secrets_in_a_url_are_not_shown(load: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load({**SEED, "base_url": "http://user:hush@h"})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("attempt", ["0", "x", "-1", "\u0661"])
def test_bad_attempt_is_named(load: Any, attempt: str) -> None:
    with pytest.raises(ConfigError, match="TESTCELL_ATTEMPT"):
        load(SEED, TESTCELL_ATTEMPT=attempt)


def test_api_key_that_breaks_the_header_is_refused_unseen(load: Any) -> None:
    with pytest.raises(ConfigError, match="TESTCELL_API_KEY") as caught:
        load(SEED, TESTCELL_API_KEY="hush\r\nX: y")
    assert "hush" not in str(caught.value)


def test_override_without_value_is_refused(load: Any) -> None:
    with pytest.raises(ConfigError, match="must be KEY=VALUE"):
        load(SEED, "seed")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        module.load(tmp_path / "nowhere.json", {})


# A value of adaptive_rate, then what is said of it; "" for a good one.
RATES: dict[str, tuple[Any, str]] = {
    "on": (True, ""),
    "off": (False, ""),
    "null": (None, ""),
    "empty": ({}, ""),
    "whole": ({"min": 1, "max": 50, "initial": 5, "increase": 0.1, "decrease": 0.7, "window_s": 2}, ""),
    "budgets": ({"max_attempts": 3, "max_wait_s": 10, "max_retry_ratio": 0.2}, ""),
    "number": (20, "adaptive_rate: has a wrong value; got int 20"),
    "unknown_key": ({"qps": 1}, "adaptive_rate: has a wrong value"),
    "window_of_nothing": ({"window_s": 0}, "adaptive_rate: has a wrong value"),
    "attempts_in_parts": ({"max_attempts": 1.5}, "adaptive_rate: has a wrong value"),
    "not_a_number": ({"max": "50"}, "adaptive_rate: has a wrong value"),
    "order": ({"min": 5, "max": 2}, "adaptive_rate: min of 5 is above max of 2 requests/s"),
    "initial": ({"max": 2, "initial": 5}, "adaptive_rate: initial of 5 is not from min of 0.1 to max of 2 requests/s"),
}


@pytest.mark.parametrize("name", RATES)
def test_an_adaptive_rate_is_checked(load: Any, name: str) -> None:
    value, wrong = RATES[name]
    if not wrong:
        assert load({**SEED, "adaptive_rate": value})["adaptive_rate"] in (value, False)
        return
    with pytest.raises(ConfigError) as caught:
        load({**SEED, "adaptive_rate": value})
    assert wrong in str(caught.value)


# A value of burst, then what is said of it; "" for a good one.
BURSTS: dict[str, tuple[Any, str]] = {
    "rate": ({"every_s": 300, "length_s": 20, "requests_per_s": 50}, ""),
    "concurrency": ({"every_s": 300, "length_s": 20.5, "concurrency": 16, "requests_per_s": None}, ""),
    "null": (None, ""),
    "flag": (True, "burst: has a wrong value; got bool true"),
    "unknown_key": ({"every_s": 9, "length_s": 1, "rate": 1}, "burst: has a wrong value"),
    "every_no_time": ({"every_s": 0, "length_s": 1, "requests_per_s": 1}, "burst: has a wrong value"),
    "half_a_request": ({"every_s": 9, "length_s": 1, "concurrency": 1.5}, "burst: has a wrong value"),
    "when": ({"length_s": 1, "concurrency": 1}, "burst: needs every_s"),
    "how_long": ({"requests_per_s": 1}, "burst: needs every_s and length_s"),
    "of_nothing": ({"every_s": 9, "length_s": 1}, "burst: needs one of requests_per_s and concurrency"),
    "both": ({"every_s": 9, "length_s": 1, "requests_per_s": 1, "concurrency": 1}, "burst: needs one of"),
    "endless": ({"every_s": 9, "length_s": 9, "concurrency": 1}, "burst: lasts 9 s and begins every 9 s"),
}


@pytest.mark.parametrize("name", BURSTS)
def test_a_burst_is_checked(load: Any, name: str) -> None:
    value, wrong = BURSTS[name]
    if not wrong:
        assert load({**SEED, "burst": value})["burst"] == value
        return
    with pytest.raises(ConfigError) as caught:
        load({**SEED, "burst": value})
    assert wrong in str(caught.value)


def test_a_soak_bounds_the_load_by_time_alone(load: Any) -> None:
    burst = {"every_s": 300, "length_s": 20, "concurrency": 2}
    config = load({**SEED, "duration_s": 5, "burst": burst}, TESTCELL_SOAK_SECONDS="1200")
    assert (config.soak_s, config.wanted, config.seconds) == (1200.0, None, 1200.0)
    assert (config.burst.every_s, config.burst.concurrency, config.burst.requests_per_s) == (300, 2, None)


@pytest.mark.parametrize("seconds", [{}, {"TESTCELL_SOAK_SECONDS": ""}])
def test_without_its_seconds_there_is_no_soak_and_no_burst(load: Any, seconds: dict[str, str]) -> None:
    burst = {"every_s": 300, "length_s": 20, "concurrency": 2}
    config = load({**SEED, "duration_s": 5, "burst": burst}, **seconds)
    assert (config.soak_s, config.wanted, config.seconds, config.burst) == (None, SEED["num_prompts"], 5, None)


@pytest.mark.parametrize("seconds", ["0", "-1", "1e3", "nan", "ten", "604801", "1 200"])
def test_bad_seconds_of_a_soak_are_named(load: Any, tmp_path: Path, seconds: str) -> None:
    with pytest.raises(ConfigError, match="environment: TESTCELL_SOAK_SECONDS: has a wrong value"):
        load(SEED, TESTCELL_SOAK_SECONDS=seconds)
    with pytest.raises(ConfigError, match="command line: --soak: has a wrong value"):
        module.load(tmp_path / "test_config.json", {"TESTCELL_SOAK_SECONDS": "5"}, soak=seconds)

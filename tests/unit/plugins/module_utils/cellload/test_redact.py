# SPDX-License-Identifier: MIT
"""Secrets by key and by value."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.redact import by_key, by_value


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWD",
        "api_key",
        "apiKey",
        "access-key",
        "Authorization",
        "token",
        "hf_token",
        "client_secret",
        "auth",
    ],
)
def test_secret_keys_are_hidden_at_any_depth(key: str) -> None:
    assert by_key({"a": [{key: "hush"}]}) == {"a": [{key: "***"}]}


@pytest.mark.parametrize(
    "key", ["max_tokens", "prompt_tokens", "tokens_per_word", "stop_token_ids", "author", "keep_alive"]
)
def test_other_keys_are_shown(key: str) -> None:
    assert by_key({key: 5}) == {key: 5}


def test_a_known_secret_is_hidden_in_text() -> None:
    assert by_value("key hush is bad", "hush") == "key *** is bad"
    assert by_value("nothing known", "") == "nothing known"

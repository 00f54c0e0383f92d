# SPDX-License-Identifier: MIT
"""Secrets are taken out of records by the names beside them; what is no secret stays readable."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.redact import HIDDEN, is_secret, redacted

SECRET = [
    "HF_TOKEN",
    "PASSWORD",
    "DB_PASS",
    "MYSQL_ROOT_PASSWORD",
    "API_KEY",
    "OPENAI_API_KEY",
    "--api-key",
    "AWS_SECRET_ACCESS_KEY",
]
SECRET += [
    "GITHUB_TOKEN",
    "Authorization",
    "private_key",
    "REGISTRY_AUTH",
    "ssh-passphrase",
    "BEARER",
    "CLIENT_SECRET",
    "SIGNING_KEY",
]
PLAIN = [
    "MAX_TOKENS",
    "--max-num-batched-tokens",
    "TOKENIZER",
    "--tokenizer-path",
    "AUTHOR",
    "PATH",
    "COMPASS",
    "BYPASS",
    "MONKEY",
]
PLAIN += ["KEYS", "--served-model-name", "com.docker.compose.service", "NUM_KEY_VALUE_HEADS"]


@pytest.mark.parametrize(("name", "expected"), [*((name, True) for name in SECRET), *((name, False) for name in PLAIN)])
def test_the_name_tells_a_secret(name, expected):
    assert is_secret(name) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(["HF_TOKEN=abc", "A=b"], [f"HF_TOKEN={HIDDEN}", "A=b"], id="environment"),
        pytest.param(["HF_TOKEN=a=b\nc"], [f"HF_TOKEN={HIDDEN}"], id="value-of-any-form"),
        pytest.param(["HF_TOKEN="], ["HF_TOKEN="], id="empty"),
        pytest.param(["--api-key", "abc", "--port", "1"], ["--api-key", HIDDEN, "--port", "1"], id="option"),
        pytest.param(["--api-key=abc"], [f"--api-key={HIDDEN}"], id="option-with-value"),
        pytest.param(["--api-key", "--port", "1"], ["--api-key", "--port", "1"], id="option-without-value"),
        pytest.param({"password": "x", "user": "y"}, {"password": HIDDEN, "user": "y"}, id="key"),
        pytest.param({"password": "", "token": 3}, {"password": "", "token": 3}, id="no-text"),
        pytest.param("http://me:pw@host/x", f"http://{HIDDEN}@host/x", id="url"),
        pytest.param({"a": [{"b": ["API_KEY=1"]}]}, {"a": [{"b": [f"API_KEY={HIDDEN}"]}]}, id="deep"),
        pytest.param([1, None, True], [1, None, True], id="other-values"),
    ],
)
def test_values_of_secrets_are_hidden(value, expected):
    assert redacted(value) == expected

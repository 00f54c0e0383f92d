# SPDX-License-Identifier: MIT
"""Which known values are looked for: those of secret names that are long enough to be told from other text."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import known


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hunter2", True),
        ("abcdef", True),
        ("abcde", False),
        ("EMPTY", False),
        ("default", False),
        ("Password", False),
        ("not-needed", False),
        ("1234567", False),
        ("12345678", True),
        ("/root/.cache/token", False),
        ("https://auth.example:8443/x", False),
        ("https://me:pw@host/x", True),
        ("two words", True),
        ("", False),
    ],
)
def test_a_value_is_worth_hiding(value, expected):
    assert known.worth_hiding(value) is expected
    assert bool(known.forms([value])) is expected


def test_values_come_by_the_names_of_their_variables():
    assert known.of_environment({"HF_TOKEN": "abcdef1", "MODEL": "abcdef2", "API_KEY": "no"}) == ("abcdef1",)


def test_values_come_from_a_container():
    record = {"Config": {"Env": ["HF_TOKEN=a=bcdef", "PATH=/bin", "BROKEN"]}}
    assert known.of_record(record) == ("a=bcdef",)
    assert known.of_record({"Config": {"Env": None}}) == known.of_record({}) == ()


def test_values_come_from_an_env_file():
    text = "# HF_TOKEN=comment\nHF_TOKEN = 'quoted one'\nexport API_KEY=\"abcdef\"\nMODEL=llama-2-7b\n\nDB_PASSWORD=x y z 1\n"
    assert known.of_env_file(text) == ("quoted one", "abcdef", "x y z 1")


@pytest.mark.parametrize("value", ["caf\xe9-s\xe9cret", "\udcff\udcfe-bytes", "\ud800-alone-1"])
def test_values_of_any_letters_are_taken(value):
    assert known.forms([value])


def test_what_is_looked_for_is_bounded():
    assert max(map(len, known.forms(["x1" * known.LONGEST]))) == known.LONGEST

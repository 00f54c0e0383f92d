# SPDX-License-Identifier: MIT
"""What answers ask for, as servers of many kinds write it."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.hints import (
    MOST_PAUSE_S,
    asked_wait_s,
    pause_s,
    retry_after_s,
)

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
HTTP_DATE = "Tue, 14 Nov 2023 22:13:50 GMT"

RETRY_AFTER = {
    "3": 3.0,
    " 3 ": 3.0,
    "0.5": 0.5,
    "0": 0.0,
    HTTP_DATE: 30.0,
    "Tuesday, 14-Nov-23 22:13:50 GMT": 30.0,
    "Tue Nov 14 22:13:50 2023": 30.0,
    "Fri, 31 Dec 1999 23:59:59 GMT": 0.0,
    "-1": None,
    "nan": None,
    "inf": None,
    "soon": None,
    "": None,
    "9" * 400: None,
    "99999999999": None,
    "Tue, 99 Nov 2023 22:13:50 GMT": None,
}


@pytest.mark.parametrize("text", RETRY_AFTER)
def test_retry_after_is_seconds_or_a_date(text: str) -> None:
    assert retry_after_s(text, NOW) == RETRY_AFTER[text]


# Headers of a refusal, then the seconds it asks for.
REFUSALS: dict[str, tuple[dict[str, str], float | None]] = {
    "nothing": ({}, None),
    "retry_after": ({"retry-after": "7"}, 7.0),
    "milliseconds_win": ({"retry-after": "1", "retry-after-ms": "40"}, 0.04),
    "a_date_by_the_server_s_own_clock": ({"retry-after": HTTP_DATE, "date": "Tue, 14 Nov 2023 22:13:40 GMT"}, 10.0),
    "openai_duration": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
    "openai_milliseconds": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
    "openai_tokens": (
        {
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "1m30.5s",
        },
        90.5,
    ),
    "anthropic_date": (
        {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:25Z"},
        5.0,
    ),
    "unix_time": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000012"}, 12.0),
    "unix_time_in_ms": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000012500"}, 12.5),
    "draft_of_the_ietf": (
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "0", "ratelimit-reset": "9"},
        9.0,
    ),
    "something_remains": ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "60"}, None),
    "reset_alone": ({"x-ratelimit-reset": "60"}, None),
    "garbage": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "6x", "retry-after": "?"}, None),
    "retry_after_wins": ({"retry-after": "2", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, 2.0),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_asks_for_a_wait(name: str) -> None:
    headers, wanted = REFUSALS[name]
    found = asked_wait_s(headers, NOW)
    assert found == (None if wanted is None else pytest.approx(wanted))


# Headers of an answer that is no refusal, then the pause.
TAKEN: dict[str, tuple[dict[str, str], float]] = {
    "nothing": ({}, 0.0),
    "something_remains": ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "60"}, 0.0),
    "next_one_of_a_known_limit": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m0s",
        },
        1.0,
    ),
    "unknown_limit": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, 2.0),
    "never_long": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "86400"}, MOST_PAUSE_S),
    "tokens_say_nothing": ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "60"}, 0.0),
}


@pytest.mark.parametrize("name", TAKEN)
def test_an_answer_that_was_taken_may_ask_for_a_short_pause(name: str) -> None:
    headers, wanted = TAKEN[name]
    assert pause_s(headers, NOW) == pytest.approx(wanted)

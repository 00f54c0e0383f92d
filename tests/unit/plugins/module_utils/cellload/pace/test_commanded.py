# SPDX-License-Identifier: MIT
"""Which commands were refused by a server, by their own words."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.commanded import Ended

NOW = 1_700_000_000.0

# Exit status, standard error, whether that is a refusal.
ENDS: dict[str, tuple[int, str, bool]] = {
    "curl": (22, "curl: (22) The requested URL returned error: 429", True),
    "curl_503": (22, "curl: (22) The requested URL returned error: 503 Service Unavailable", True),
    "wget": (8, "2026-01-01 12:00:00 ERROR 429: Too Many Requests.", True),
    "requests": (1, "requests.exceptions.HTTPError: 429 Client Error: for url: http://h/", True),
    "openai": (1, "openai.RateLimitError: Error code: 429 - {'error': {'message': 'x'}}", True),
    "httpx": (1, "HTTP/1.1 529 ", True),
    "json": (1, '{"status": 503}', True),
    "engine": (1, "The request queue is full.", True),
    "anthropic": (1, "{'type': 'overloaded_error'}", True),
    "tempfail": (75, "", True),
    "named_status": (9, "", True),
    "passed": (0, "HTTP 429 was answered twice, then 200", False),
    "a_count": (1, "429 tests failed, 503 passed", False),
    "another_status": (22, "curl: (22) The requested URL returned error: 500", False),
    "a_longer_number": (1, "error: 42901", False),
    "nothing": (1, "", False),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_refusal_is_known_by_status_or_words(name: str) -> None:
    status, told, refused = ENDS[name]
    assert Ended(status, told).is_refusal([9]) is refused


WAITS = {
    "< Retry-After: 7\r\n< Content-Length: 0\r\n": 7.0,
    "{'retry-after': '3', 'x': 1}": 3.0,
    '"Retry-After-Ms": "250"': 0.25,
    "Retry-After=2": 2.0,
    "retry after 5 seconds": None,
    "": None,
}


@pytest.mark.parametrize("told", WAITS)
def test_the_server_s_time_is_read_where_the_command_prints_it(told: str) -> None:
    assert Ended(22, told).asked_wait_s(NOW) == WAITS[told]

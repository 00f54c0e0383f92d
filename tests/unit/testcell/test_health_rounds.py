# SPDX-License-Identifier: MIT

"""When a round of a watch is whole, and what is shown of nodes that are late: by a table of what happens when."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document

from testcell.health_rounds import FIRST_LATE_S, LATE_S, Rounds

NOW = 1000.0
Node = dict[str, Any]


def well(name: str, asked: float, seconds: float = 0.1) -> Node:
    silent = document.of_silence(name, "unknown", "", document.Asking(asked, seconds))
    return {**silent, "ok": True, "state": "ok", "reachable": True, "problems": []}


def away(name: str, asked: float, seconds: float = 0.1) -> Node:
    return document.of_silence(name, "ssh_refused", "refused", document.Asking(asked, seconds))


def states(nodes: list[Node] | None) -> dict[str, str] | None:
    """Return node -> ok, away (its own answer says so) or silent (ours does)."""
    if nodes is None:
        return None
    kinds = {node["name"]: [problem["error_kind"] for problem in node["problems"]] for node in nodes}
    words = {"ssh_refused": "away", "node_unreachable": "silent"}
    return {name: words[found[0]] if found else "ok" for name, found in kinds.items()}


@pytest.fixture
def rounds() -> Rounds:
    """Return the rounds of two nodes that are asked every 5 s."""
    return Rounds(["n1", "n2"], 5.0)


def first(rounds: Rounds) -> None:
    """Take a first round in which both nodes are well."""
    heard = {name: (1, well(name, NOW)) for name in ("n1", "n2")}
    assert states(rounds.take(heard, NOW + 0.2)) == {"n1": "ok", "n2": "ok"}


def test_a_round_is_whole_when_everybody_has_answered_and_is_given_once(rounds: Rounds) -> None:
    heard = {"n1": (1, well("n1", NOW))}
    assert rounds.take({}, NOW) is None and rounds.take(heard, NOW) is None
    heard["n2"] = (1, well("n2", NOW))
    assert states(rounds.take(heard, NOW + 1)) == {"n1": "ok", "n2": "ok"}
    assert rounds.take(heard, NOW + 1.1) is None


def test_at_first_a_node_is_given_the_time_in_which_ssh_gives_up(rounds: Rounds) -> None:
    heard = {"n1": (1, well("n1", NOW))}
    assert rounds.take(heard, NOW) is None and rounds.take(heard, NOW + FIRST_LATE_S - 0.1) is None
    found = rounds.take(heard, NOW + FIRST_LATE_S)
    assert states(found) == {"n1": "ok", "n2": "silent"}
    assert found is not None and found[1]["problems"][0]["detail"] == "has given no answer yet"


def test_a_node_that_stops_answering_holds_one_round_up_and_the_next_ones_not(rounds: Rounds) -> None:
    first(rounds)
    heard = {"n1": (2, well("n1", NOW + 5)), "n2": (1, well("n2", NOW))}
    assert rounds.take(heard, NOW + 5) is None and rounds.take(heard, NOW + 5 + LATE_S - 0.1) is None
    found = rounds.take(heard, NOW + 5 + LATE_S)
    assert states(found) == {"n1": "ok", "n2": "silent"}
    assert found is not None and found[1]["problems"][0]["detail"] == "has given no answer for 10 s"
    heard["n1"] = (4, well("n1", NOW + 15))
    assert states(rounds.take(heard, NOW + 15.1)) == {"n1": "ok", "n2": "silent"}
    heard |= {"n1": (5, well("n1", NOW + 20)), "n2": (5, well("n2", NOW + 20))}
    assert states(rounds.take(heard, NOW + 20.1)) == {"n1": "ok", "n2": "ok"}, "it is back"


def test_a_node_that_was_shown_as_silent_is_not_well_again_by_its_old_answer(rounds: Rounds) -> None:
    """The others' answers of the next rounds were there before the late node was given up."""
    first(rounds)
    heard = {"n1": (2, well("n1", NOW + 0.3)), "n2": (1, well("n2", NOW))}
    assert rounds.take(heard, NOW + 0.4) is None
    heard["n1"] = (3, well("n1", NOW + 5.3))
    assert states(rounds.take(heard, NOW + 0.4 + LATE_S)) == {"n1": "ok", "n2": "silent"}
    heard["n1"] = (4, well("n1", NOW + 5.5))
    assert states(rounds.take(heard, NOW + 5.6)) == {"n1": "ok", "n2": "silent"}
    heard |= {"n1": (5, well("n1", NOW + 6)), "n2": (2, well("n2", NOW + 5.7))}
    assert states(rounds.take(heard, NOW + 6.1)) == {"n1": "ok", "n2": "ok"}, "a late answer is a new one"


def test_what_a_node_s_own_connection_says_is_shown_until_it_says_something_else(rounds: Rounds) -> None:
    first(rounds)
    heard = {"n1": (2, well("n1", NOW + 5)), "n2": (2, away("n2", NOW + 5, 19.0))}
    assert states(rounds.take(heard, NOW + 24)) == {"n1": "ok", "n2": "away"}
    heard["n1"] = (3, well("n1", NOW + 25))
    assert states(rounds.take(heard, NOW + 25.1)) == {"n1": "ok", "n2": "away"}, "and it is not waited for"


def test_a_node_that_is_slower_than_the_pace_is_shown_as_it_was_last_heard() -> None:
    rounds = Rounds(["n1", "n2"], 1.0)
    heard = {"n1": (1, well("n1", NOW)), "n2": (1, well("n2", NOW, 4.0))}
    assert states(rounds.take(heard, NOW + 4)) == {"n1": "ok", "n2": "ok"}
    heard["n1"] = (5, well("n1", NOW + 4))
    assert states(rounds.take(heard, NOW + 4.1)) == {"n1": "ok", "n2": "ok"}
    heard["n1"] = (12, well("n1", NOW + 11))
    assert states(rounds.take(heard, NOW + 11.1)) == {"n1": "ok", "n2": "silent"}, "an old answer is not believed"


def test_when_nobody_answers_any_more_that_is_shown_in_time(rounds: Rounds) -> None:
    first(rounds)
    heard = {name: (1, well(name, NOW)) for name in ("n1", "n2")}
    due = NOW + 0.2 + 5
    assert rounds.take(heard, due - 0.1) is None and rounds.take(heard, due) is None
    assert states(rounds.take(heard, due + LATE_S)) == {"n1": "silent", "n2": "silent"}


def test_a_node_that_is_turned_off_is_shown_and_never_waited_for() -> None:
    rounds = Rounds(["n1"], 5.0)
    off = document.of_disabled("n3", NOW)
    heard = {"n1": (1, well("n1", NOW)), "n3": (1, off)}
    assert [node["state"] for node in rounds.take(heard, NOW) or ()] == ["ok", "disabled"]
    heard["n1"] = (2, well("n1", NOW + 5))
    assert [node["state"] for node in rounds.take(heard, NOW + 5) or ()] == ["ok", "disabled"]


def test_a_slow_start_of_one_node_costs_no_round() -> None:
    rounds = Rounds(["n1", "n2"], 1.0)
    heard = {"n1": (2, well("n1", NOW + 1)), "n2": (1, well("n2", NOW, 1.3))}
    assert states(rounds.take(heard, NOW + 1.3)) == {"n1": "ok", "n2": "ok"}
    assert rounds.take(heard, NOW + 1.4) is None, "nothing is said twice"
    heard["n2"] = (2, well("n2", NOW + 1.3))
    assert states(rounds.take(heard, NOW + 1.5, over=True)) == {"n1": "ok", "n2": "ok"}


OVER = [
    pytest.param(False, {}, {"n1": "silent", "n2": "silent"}, id="nothing-was-heard"),
    pytest.param(False, {"n1": 1}, {"n1": "ok", "n2": "silent"}, id="half-of-the-first"),
    pytest.param(True, {"n1": 1, "n2": 1}, None, id="nothing-new"),
    pytest.param(True, {"n1": 2, "n2": 1}, {"n1": "ok", "n2": "silent"}, id="half-of-the-second"),
]


@pytest.mark.parametrize(("begun", "numbers", "wanted"), OVER)
def test_at_the_end_what_was_heard_last_is_shown(
    rounds: Rounds, begun: bool, numbers: dict[str, int], wanted: dict[str, str] | None
) -> None:
    if begun:
        first(rounds)
    heard = {name: (number, well(name, NOW + 5 * (number - 1))) for name, number in numbers.items()}
    found = rounds.take(heard, NOW + 6, over=True, why={"n2": "its worker died"})
    assert states(found) == wanted
    assert not found or "silent" not in states(found).values() or found[1]["problems"][0]["detail"] == "its worker died"  # type: ignore[union-attr]

# SPDX-License-Identifier: MIT
"""The rule of the adaptive rate: single moves as a table, and what it does to a server with a hidden limit, simulated."""

from __future__ import annotations

import json

import limited
import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace import rule
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.rule import Pace, begin, state_of
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.settings import Settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from limited import Server, constant, paced, steps

MIDDLE = 0.5  # the chance that adds no jitter


def pace(now: float = 0.0, **settings: float) -> Pace:
    chosen = Settings(**settings)  # type: ignore[arg-type]
    return Pace(chosen, begin(chosen, now))


def sends(subject: Pace, since: float, until: float, step_s: float = 0.001) -> list[float]:
    """Return when a client that always wants to send may do so; nothing is refused."""
    found, now = [], since
    while now < until:
        if subject.wait_s(now) <= 0:
            subject.take(now, MIDDLE)
            found.append(now)
        else:
            now += step_s
    return found


# --- single moves ---------------------------------------------------------------------------------------------------


def test_nothing_is_held_before_the_first_refusal() -> None:
    subject = pace()
    for _ in range(1000):
        assert subject.wait_s(0.5) == 0
        subject.take(0.5, MIDDLE)


def test_an_initial_rate_is_kept_from_the_first_request_on() -> None:
    subject = pace(initial=10, max=10)
    assert len(sends(subject, 0.0, 5.0)) == pytest.approx(50, abs=2)


def test_the_first_refusal_limits_the_rate_to_a_share_of_what_was_taken() -> None:
    subject = pace(decrease=0.8)
    for number in range(1000):
        subject.take(number / 100, MIDDLE)
    subject.refused(10.0, MIDDLE)
    assert subject.state.rate == pytest.approx(80, rel=0.05)


def test_one_window_lowers_the_rate_once_however_many_are_refused() -> None:
    subject = pace(initial=100)
    for number in range(50):
        subject.refused(0.5 + number / 1000, MIDDLE)
    assert (subject.state.cuts, subject.state.refused) == (1, 50)


def test_a_refusal_of_what_was_sent_before_the_last_decrease_lowers_nothing() -> None:
    subject = pace(initial=100)
    subject.refused(1.0, MIDDLE, sent_at=0.9)
    subject.refused(9.0, MIDDLE, sent_at=0.95)
    assert subject.state.cuts == 1
    subject.refused(9.0, MIDDLE, sent_at=8.0)
    assert subject.state.cuts == 2


def test_a_window_takes_at_most_half() -> None:
    subject = pace(initial=100)
    subject.refused(1.0, MIDDLE)
    assert subject.state.rate == 50


@pytest.mark.parametrize("asked", [0.5, 7.0, 100_000.0])
def test_nothing_goes_before_the_time_that_the_server_asked_for(asked: float) -> None:
    subject = pace(initial=1000)
    subject.refused(1.0, 0.0, asked)
    most = min(asked, rule.LONGEST_HOLD_S)
    assert subject.wait_s(1.0 + most / 2) >= most / 2 - 1e-6
    assert subject.wait_s(1.0 + most + 1e-6) <= 0.01


def test_those_who_wait_for_the_same_time_do_not_all_come_back_at_once() -> None:
    waits = []
    for chance in (0.0, 0.5, 1.0):
        subject = pace(initial=1000)
        subject.refused(1.0, chance, 5.0)
        waits.append(subject.wait_s(1.0))
    assert waits == pytest.approx([5.0, 5.25, 5.5])


def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    subject = pace()
    subject.refused(1.0, 0.0, 10.0)
    subject.refused(2.0, 0.0, 1.0)
    assert subject.wait_s(2.0) == pytest.approx(9.0)


def test_what_a_taken_request_is_told_holds_too() -> None:
    subject = pace()
    subject.taken(1.0, pause_s=2.0)
    assert subject.wait_s(1.0) == pytest.approx(2.0)
    assert subject.state.rate is None


def test_a_rate_that_nobody_waits_for_does_not_grow() -> None:
    subject = pace(initial=100)
    for number in range(200):
        assert subject.wait_s(number * 0.1) == 0
        subject.take(number * 0.1, MIDDLE)
    assert subject.state.rate == 100


def test_idle_time_is_no_time_of_growth() -> None:
    subject = pace(initial=10, window_s=1.0)
    sends(subject, 0.0, 1.0)
    before = subject.state.rate or 0
    assert subject.wait_s(3600.0) == 0
    assert 10 < before <= (subject.state.rate or 0) <= 2 * before


def test_a_rate_at_which_everything_is_refused_does_not_grow() -> None:
    subject = pace(initial=8)
    subject.refused(0.1, MIDDLE)
    lowered = subject.state.rate
    for number in range(100):
        subject.wait_s(0.2 + number)
    assert subject.state.rate == lowered


@pytest.mark.parametrize("late_s", [0.0, 0.004, 0.009])
def test_late_timers_do_not_slow_the_rate_down(late_s: float) -> None:
    subject, now, count = pace(initial=100, max=100), 0.0, 0
    while now < 10:
        wait = subject.wait_s(now)
        if wait > 0:
            now += wait + late_s
        else:
            subject.take(now, MIDDLE)
            count += 1
    assert count == pytest.approx(1000, rel=0.01)


def test_retries_have_a_budget_in_all() -> None:
    subject = pace(max_retry_ratio=0.5)
    for _ in range(100):
        subject.take(0.0, MIDDLE)
    allowed = sum(subject.may_retry() for _ in range(1000))
    assert allowed == rule.FREE_RETRIES + 50
    assert subject.state.retries == allowed


def test_a_request_waits_longer_after_each_refusal_and_never_without_bound() -> None:
    subject = pace(window_s=1.0)
    waits = [subject.backoff_s(attempts, 1.0) for attempts in (1, 2, 3, 4, 1000)]
    assert waits == [1.0, 2.0, 4.0, 8.0, rule.MOST_BACKOFF_WINDOWS]
    assert subject.backoff_s(1, 0.0) == 0.5


def test_a_server_is_given_up_when_it_refused_everything_for_long() -> None:
    subject = pace(max_wait_s=10)
    subject.refused(1.0, MIDDLE)
    assert not subject.stalled(10.9)
    assert subject.stalled(11.0)
    subject.taken(11.5)
    assert not subject.stalled(30.0)


def test_the_state_survives_a_file() -> None:
    subject = pace(initial=10)
    sends(subject, 0.0, 2.0)
    subject.refused(2.0, MIDDLE, 1.0)
    again = state_of(json.loads(json.dumps(subject.state.as_dict(), allow_nan=False)))
    assert again == subject.state


WHOLE = begin(Settings(), 0.0).as_dict()


@pytest.mark.parametrize(
    "data", [{}, None, [], {"at": 1}, "x", {**WHOLE, "rate": "20"}, {**WHOLE, "at": []}, {**WHOLE, "series": None}]
)
def test_a_strange_state_is_an_error(data: object) -> None:
    with pytest.raises((TypeError, KeyError)):
        state_of(data)  # type: ignore[arg-type]


def test_the_series_is_small_and_covers_the_whole_time() -> None:
    subject = pace(initial=1)
    for number in range(20_000):
        subject.wait_s(number * 0.5)
    series = subject.state.series
    assert len(series) <= rule.POINTS
    assert series[0][0] == 0
    assert (series[-1][0] or 0) > 0.9 * 10_000
    times = [t or 0 for t, _ in series]
    assert times == sorted(times)


# --- a server with a hidden limit -----------------------------------------------------------------------------------

# Limit (requests/s), burst, workers. The first half of the time is for finding the limit.
SERVERS = {
    "one_in_two_seconds": (0.5, 2, 8),
    "one_a_second": (1, 5, 8),
    "five": (5, 5, 64),
    "twenty": (20, 20, 64),
    "twenty_with_a_large_burst": (20, 100, 64),
    "two_hundred": (200, 50, 64),
    "thousand": (1000, 1000, 512),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("initial", [None, 10.0])
def test_converges_to_the_limit_of_the_server(name: str, initial: float | None) -> None:
    limit, burst, workers = SERVERS[name]
    seconds = 240 if limit < 5 else 60
    course = paced(Server(constant(limit), burst), seconds, workers, Settings(initial=initial))
    assert 0.8 * limit <= course.goodput(seconds / 2, seconds) <= 1.02 * limit
    assert course.refused_share(seconds / 2, seconds) < 0.06
    rates = course.rates_between(seconds / 2, seconds)
    assert 0.6 * limit <= min(rates) and max(rates) <= 1.8 * limit, "the rate swings"


def test_a_server_that_allows_no_burst_is_not_starved() -> None:
    course = paced(Server(constant(50), 1), 60, 64, Settings())
    assert course.goodput(30, 60) >= 0.8 * 50


def test_every_stretch_of_time_gets_its_share() -> None:
    course = paced(Server(constant(40), 10), 90, 64, Settings())
    assert min(limited.windows(course, 30, 90, 5)) >= 0.8 * 40


def test_slow_answers_do_not_mislead_it() -> None:
    course = paced(Server(constant(2), 4, service_s=20.0), 240, 128, Settings())
    assert course.goodput(80, 240) >= 0.8 * 2
    assert course.refused_share(80, 240) < 0.1


@pytest.mark.parametrize("to", [60, 400])
def test_recovers_after_the_limit_rises(to: float) -> None:
    course = paced(Server(steps((40, 20), (120, to)), 10), 120, 512, Settings())
    assert course.goodput(20, 40) <= 1.1 * 20
    assert course.goodput(80, 120) >= 0.8 * to


def test_follows_a_limit_that_falls() -> None:
    course = paced(Server(steps((40, 200), (120, 10)), 10), 120, 64, Settings())
    assert course.refused_share(60, 120) < 0.06
    assert course.goodput(60, 120) >= 0.8 * 10


def test_leaves_a_dead_server_nearly_alone_and_comes_back() -> None:
    course = paced(Server(steps((30, 20), (90, 1e-9), (150, 20)), 5), 150, 64, Settings())
    assert sum(50 <= t < 90 for t in course.refused) <= 30
    assert course.goodput(130, 150) >= 0.8 * 20


def test_honours_a_retry_after_of_each_refusal() -> None:
    course = paced(Server(constant(20), 20, retry_after_s=2.0), 120, 64, Settings())
    sent = sorted(course.taken + course.refused)
    for at in course.refused:
        known = at + limited.REFUSAL_S + limited.GRAIN_S
        assert not [t for t in sent if known < t < at + 2.0]
    assert course.goodput(60, 120) >= 0.75 * 20


RATES = st.floats(0.5, 500)


@hypothesis_settings(deadline=None, max_examples=40)
@given(
    limit=RATES,
    low=st.floats(0.01, 5),
    high=st.floats(5, 300),
    decrease=st.floats(0.3, 0.95),
    increase=st.floats(0.01, 0.5),
    burst=st.integers(1, 50),
    asked=st.sampled_from([None, 0.0, 0.3, 3.0]),
)
def test_the_rate_never_leaves_its_bounds(
    limit: float, low: float, high: float, decrease: float, increase: float, burst: int, asked: float | None
) -> None:
    settings = Settings(min=low, max=high, initial=high, decrease=decrease, increase=increase)
    course = paced(Server(constant(limit), burst, asked), 20, 16, settings)
    assert all(low <= rate <= high for rate in course.rates_between(0, 20))
    for at in range(20):
        sent = sum(at <= t < at + 1 for t in course.taken + course.refused)
        assert sent <= high * (1 + 2 * rule.JITTER) + 2, "more was sent than max allows"


@hypothesis_settings(deadline=None, max_examples=25)
@given(limit=RATES, burst=st.integers(2, 50), seed=st.integers(0, 1000))
def test_any_limit_is_found(limit: float, burst: int, seed: int) -> None:
    seconds = 60 + 120 / limit
    course = paced(Server(constant(limit), burst), seconds, 256, Settings(), seed)
    late = course.goodput(seconds / 2, seconds) / limit
    assert 0.8 <= late <= 1.0 + burst / (limit * seconds / 2) + 0.02

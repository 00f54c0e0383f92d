# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from engine_sim.fault_catalogue import CATALOGUE, PROCESS_FAULTS, REQUEST_FAULTS, ROLES, describe
from engine_sim.faults import Fault, FaultError, FaultPlan, parse
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("error_after=5", Fault("error_after", "", 1.0, 0, "", 5.0, 0.0)),
        ("error_after@decode=5", Fault("error_after", "decode", 1.0, 0, "", 5.0, 0.0)),
        ("error_after@decode-2%0.1=5", Fault("error_after", "decode-2", 0.1, 0, "", 5.0, 0.0)),
        ("error_after%0.1#7=5", Fault("error_after", "", 0.1, 7, "", 5.0, 0.0)),
        ("slow_start=2.5", Fault("slow_start", "", 1.0, 0, "", 2.5, 0.0)),
        ("zero_tokens", Fault("zero_tokens", "", 1.0, 0, "", 1.0, 0.0)),
        ("zero_tokens=1", Fault("zero_tokens", "", 1.0, 0, "", 1.0, 0.0)),
        ("overload=429:30", Fault("overload", "", 1.0, 0, "429", 0.0, 30.0)),
        ("overload=503", Fault("overload", "", 1.0, 0, "503", 0.0, 1.0)),
        ("crash_after_requests=3", Fault("crash_after_requests", "", 1.0, 0, "", 3.0, 1.0)),
        ("crash_after_s=3:139", Fault("crash_after_s", "", 1.0, 0, "", 3.0, 139.0)),
        ("leak_memory_per_request=2MiB", Fault("leak_memory_per_request", "", 1.0, 0, "", 2.0 * 1024 * 1024, 0.0)),
        ("challenge_failures=0.25", Fault("challenge_failures", "", 1.0, 0, "", 0.25, 0.0)),
        ("challenge_failures=0.25:timeout", Fault("challenge_failures", "", 1.0, 0, "", 0.25, 0.0, "timeout")),
        ("engine_dead=hang:4", Fault("engine_dead", "", 1.0, 0, "hang", 0.0, 4.0)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse(f" {text} ,") == (fault,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("zero_tokens=true", "zero_tokens"),
        ("error_after@decode-2%0.10#7=5", "error_after@decode-2%0.1#7=5"),
        ("overload=429", "overload=429:1"),
        ("crash_after_s=2.50:139", "crash_after_s=2.5:139"),
        ("challenge_failures=0.10", "challenge_failures=0.1"),
        ("challenge_failures=0.10:late-answer", "challenge_failures=0.1:late-answer"),
    ],
)
def test_a_fault_is_shown_in_the_form_it_is_written(text: str, shown: str) -> None:
    (fault,) = parse(text)
    assert str(fault) == shown
    assert parse(shown) == (fault,)


@pytest.mark.parametrize("text", ["", " ", ",,"])
def test_no_faults_is_no_fault(text: str) -> None:
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow_tft=1", "unknown fault; known: slow_start, .* did you mean slow_ttft"),
        ("error_after", "the value .tokens. must be a number at least 0, got ''"),
        ("error_after=five", "got 'five'"),
        ("error_after=-1", "got '-1'"),
        ("challenge_failures=1.5", "the value .ratio. must be a number from 0 to 1, got '1.5'"),
        ("challenge_failures=0.5:", "the reason must be a word of at most 64 .*, got ''"),
        ("challenge_failures=0.5:a b", "the reason must be a word of at most 64 .*, got 'a b'"),
        ("error_after=1.5", "must be a whole number, got '1.5'"),
        ("error_after=nan", "got 'nan'"),
        ("error_after=1:2", "takes no second value, got '2'"),
        ("error_after@router=1", "does not act in router; it acts in single, prefill, decode"),
        ("error_after%1.5=1", "the probability must be a number from 0 to 1, got '1.5'"),
        ("error_after%0.5#x=1", "the seed must be a number from 0"),
        ("zero_tokens=7", "is a switch and takes no value, got '7'"),
        ("overload=404", "must be one of 429, 503, got '404'"),
        ("overload=503:soon", "the seconds must be a number at least 0, got 'soon'"),
        ("=1", "not of the form"),
    ],
)
def test_a_bad_fault_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        parse(text)


def test_all_bad_faults_are_named_at_once() -> None:
    with pytest.raises(FaultError) as caught:
        parse("nope=1,zero_tokens,error_after=x")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("text", "role", "name", "acts"),
    [
        ("error_after=1", "decode", "decode-1", True),
        ("error_after=1", "single", "single", True),
        ("error_after=1", "prefill", "prefill-1", False),
        ("error_after=1", "router", "router", False),
        ("error_after@prefill=1", "prefill", "prefill-1", True),
        ("error_after@prefill=1", "decode", "decode-1", False),
        ("hang@decode-2=1", "decode", "decode-2", True),
        ("hang@decode-2=1", "decode", "decode-1", False),
        ("hang=1", "router", "router", True),
        ("kv_fail=200", "prefill", "p", True),
        ("kv_fail=200", "decode", "d", False),
        ("overload=503", "router", "r", True),
        ("overload=503", "decode", "d", False),
    ],
)
def test_a_fault_acts_where_its_target_says(text: str, role: str, name: str, acts: bool) -> None:
    assert bool(FaultPlan(parse(text), role, name).active) is acts


@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_a_probability_is_met_and_the_seed_repeats_it(probability: float, seed: int) -> None:
    def drawn() -> list[bool]:
        plan = FaultPlan(parse(f"zero_tokens%{probability:.4f}#{seed}"), "single", "single")
        return [plan.for_request().on("zero_tokens") for _ in range(400)]

    first = drawn()
    assert first == drawn()
    assert abs(sum(first) / 400 - probability) < 0.15


def test_another_seed_draws_other_requests() -> None:
    def drawn(seed: int) -> list[bool]:
        plan = FaultPlan(parse("garbage%0.5", seed), "single", "single")
        return [plan.for_request().on("garbage") for _ in range(64)]

    assert drawn(1) != drawn(2)


def test_process_faults_and_request_faults_are_drawn_apart() -> None:
    plan = FaultPlan(parse("slow_start=3,error_after=2"), "single", "single")
    assert plan.for_process().amount("slow_start") == 3.0
    assert plan.for_process().count("error_after") is None
    assert plan.for_request().count("error_after") == 2
    assert not plan.for_request().on("slow_start")


def test_the_last_of_two_that_act_wins() -> None:
    plan = FaultPlan(parse("error_after=2,error_after@decode-1=9"), "decode", "decode-1")
    assert plan.for_request().count("error_after") == 9


def test_asking_for_a_fault_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        FaultPlan((), "single", "single").for_request().on("eror_after")


def test_the_catalogue_is_sound() -> None:
    assert len(CATALOGUE) == len(PROCESS_FAULTS) + len(REQUEST_FAULTS)
    for spec in CATALOGUE.values():
        assert spec.effect
        assert set(spec.acts_in) <= set(spec.roles) <= set(ROLES)
        assert spec.name in describe()

# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from engine_sim.text import GARBAGE, Answer, count_tokens, cut_at, spoil, write
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("one two three", 3),
        ("one, two!", 4),
        ("extraordinarily", 2),
        ("1 22 333", 3),
        ("日本 語", 2),
    ],
)
def test_tokens_are_words_pieces_and_marks(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.text(min_size=1, max_size=200))
def test_every_text_that_is_not_empty_has_a_token(text: str) -> None:
    assert count_tokens(text) >= 1


@given(st.text(max_size=20), st.integers(1, 50))
def test_the_same_source_gives_the_same_answer(source: str, limit: int) -> None:
    answer = write(source, limit)
    assert answer == write(source, limit)
    assert len(answer.tokens) == limit
    assert answer.finish_reason == "length"


def test_a_shorter_answer_is_the_beginning_of_a_longer_one() -> None:
    assert write("s", 20).tokens[:5] == write("s", 5).tokens


def test_different_sources_give_different_answers() -> None:
    assert len({write(f"source {number}", 12).tokens for number in range(50)}) == 50


def test_an_answer_stops_by_chance_but_not_below_the_minimum() -> None:
    lengths = {len(write(f"s{number}", 100, minimum=3, end_probability=0.3).tokens) for number in range(100)}
    assert min(lengths) == 3
    assert max(lengths) < 100
    assert write("s", 100, end_probability=1.0).finish_reason == "stop"


@pytest.mark.parametrize(
    ("stops", "tokens", "reason"),
    [
        ((), (" one", " two", " three"), "length"),
        (("zero",), (" one", " two", " three"), "length"),
        ((" two",), (" one",), "stop"),
        (("wo",), (" one", " t"), "stop"),
        (("three", "one"), (" ",), "stop"),
        ((" one",), (), "stop"),
    ],
)
def test_an_answer_is_cut_at_its_first_stop_string(
    stops: tuple[str, ...], tokens: tuple[str, ...], reason: str
) -> None:
    assert cut_at(Answer((" one", " two", " three"), "length"), stops) == Answer(tokens, reason)


def test_a_spoiled_answer_keeps_its_length_and_no_word() -> None:
    answer = write("s", 30)
    spoiled = spoil(answer, "s")
    assert len(spoiled.tokens) == 30
    assert set(spoiled.tokens) <= set(GARBAGE)

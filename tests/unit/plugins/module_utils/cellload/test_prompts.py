# SPDX-License-Identifier: MIT
"""Synthetic prompts."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.prompts import WORDS, PromptMaker


@pytest.mark.parametrize("words", [3, 4, 128, 9000])
def test_prompt_has_the_wanted_length(words: int) -> None:
    assert len(PromptMaker(1, words).text("load", 7).split()) == words


def test_prompt_is_never_shorter_than_its_number() -> None:
    assert len(PromptMaker(1, 1).text("load", 7).split()) == 3


def test_seed_and_index_decide_the_text() -> None:
    assert PromptMaker(1, 50).text("load", 3) == PromptMaker(1, 50).text("load", 3)
    assert PromptMaker(1, 50).text("load", 3) != PromptMaker(2, 50).text("load", 3)


def test_no_two_requests_begin_alike_so_that_no_prefix_cache_helps() -> None:
    maker = PromptMaker(5, 20)
    starts = {tuple(maker.text(stream, index).split()[:3]) for index in range(3000) for stream in ("load", "warmup")}
    assert len(starts) == 6000


def test_words_are_different_and_plain() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert all(word.isascii() and word.islower() and word.isalpha() for word in WORDS)

# SPDX-License-Identifier: MIT
"""Tokens: how many a text has, and which ones the engine answers with."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_PIECE = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s+")

_WORDS = (
    "the a of to and in is that it for as with on by this from at are be or an was not which one all more"
    " when test cell engine node shaft valve piston torque load speed gauge oil heat air fuel spark gear"
    " belt pump fan wheel bearing mount frame wire bolt plate lamp door key hand bench floor wall room"
)
VOCABULARY = tuple(_WORDS.split())
GARBAGE = ("\ufffd", "!!!!", "\u0000", "<unk>", "\ufffd\ufffd", "!", "\u200b")


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer in order, and why it ends (`stop` or `length`)."""

    tokens: tuple[str, ...]
    finish_reason: str


def count_tokens(text: str) -> int:
    """Return how many tokens a text has: words in pieces of eight letters, and each mark by itself."""
    return sum(1 for _ in _PIECE.finditer(text))


def write(source: str, limit: int, *, minimum: int = 0, end_probability: float = 0.0) -> Answer:
    """Return the answer that follows from source: the same source and limits give the same tokens.

    end_probability is the chance, at each token after the first `minimum` ones, that the answer stops there.
    """
    rng = random.Random(source)
    tokens: list[str] = []
    while len(tokens) < limit:
        tokens.append(" " + VOCABULARY[int(rng.random() * len(VOCABULARY))])
        if len(tokens) >= minimum and rng.random() < end_probability:
            return Answer(tuple(tokens), "stop")
    return Answer(tuple(tokens), "length")


def cut_at(answer: Answer, stops: tuple[str, ...]) -> Answer:
    """Return the answer up to the first stop string, which is left out; the answer itself when none occurs."""
    text = "".join(answer.tokens)
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    if not places:
        return answer
    left = min(places)
    kept: list[str] = []
    for token in answer.tokens:
        if left <= 0:
            break
        kept.append(token[:left])
        left -= len(token)
    return Answer(tuple(kept), "stop")


def spoil(answer: Answer, source: str) -> Answer:
    """Return an answer of as many tokens that mean nothing, as an engine with broken weights gives."""
    rng = random.Random("garbage" + source)
    return Answer(tuple(GARBAGE[int(rng.random() * len(GARBAGE))] for _ in answer.tokens), answer.finish_reason)

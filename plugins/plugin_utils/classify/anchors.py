# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of which a line must have one before it is worth trying a pattern on it: what makes a search in logs fast."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SHORTEST = 3
# Words that stand in most lines of most logs; a pattern with another word is not tried on all of those.
COMMON = frozenset(
    [
        "address", "and", "application", "are", "avg", "batch", "been", "cache", "call", "cannot", "client", "code",
        "command", "connection", "container", "could", "cuda", "data", "device", "docker", "during", "engine", "error",
        "exception", "exit", "fail", "failed", "failure", "file", "for", "found", "from", "get", "gpu", "gpus", "has",
        "host", "http", "https", "id", "image", "info", "invalid", "level", "line", "load", "loading", "log", "logger",
        "loggers", "logs", "memory", "message", "model", "msg", "name", "network", "node", "not", "number", "of", "open",
        "out", "path", "pid", "post", "process", "prompt", "python", "read", "remote", "reqs", "request", "requests",
        "response", "result", "results", "return", "returned", "run", "running", "runtime", "server", "service", "shard",
        "size", "start", "started", "starting", "status", "stderr", "system", "task", "test", "text", "that", "the",
        "this", "throughput", "time", "timeout", "token", "tokens", "torch", "type", "unable", "unknown", "user",
        "using", "value", "version", "vllm", "warning", "was", "when", "while", "with", "worker", "workers", "write",
    ]
)  # fmt: skip
_LONG_ENOUGH = 12
_TOKENS = re.compile(
    r"""\.(?:\*|\{0,\d+\})                     # a gap
    | \(\?(?:[:=!]|<[=!]|P<\w+>) | [()|]   # groups
    | \\.                                     # a class, a border, an escaped character
    | \[(?:\\.|[^\]\\])*\]                    # a set
    | [?*+]\??|\{[\d,]+\}\??                  # how often
    | .                                       # anything else, one character
    """,
    re.VERBOSE | re.DOTALL,
)
_BORDERS = frozenset({r"\b", r"\s", r"\d", "^"})
_LOOKS = frozenset({"(?!", "(?<!", "(?=", "(?<="})


@dataclass(frozen=True)
class Anchor:
    """A run of letters, lower case. inside: it may also stand in the middle of a word of a line."""

    word: str
    inside: bool = False


@dataclass(frozen=True)
class Words:
    """The words of a pattern. some: the rarest of which every match has one; needed: of each set every match has one."""

    some: tuple[Anchor, ...] = ()
    needed: tuple[tuple[str, ...], ...] = ()

    def may_match(self, low: str) -> bool:
        """Tell whether a line, in lower case, has all that a match needs."""
        for words in self.needed:
            for word in words:
                if word in low:
                    break
            else:
                return False
        return True


@dataclass
class _Branch:
    """One alternative of a group as it is read: sets of words of which each match has one, and the word being read."""

    border: bool
    sets: list[tuple[Anchor, ...]] = field(default_factory=list)
    word: str = ""
    inside: bool = False

    def letter(self, letter: str) -> None:
        if not self.word:
            self.inside = not self.border
        self.word += letter.lower()

    def end(self, *, last_is_needed: bool = True, border: bool = False) -> None:
        word = self.word if last_is_needed else self.word[:-1]
        if len(word) >= SHORTEST:
            self.sets.append((Anchor(word, self.inside),))
        self.word, self.border = "", border


def of(pattern: str) -> Words:
    """Return the words that lines need for a match; without any, each line has to be tried."""
    branches = _read(iter(_TOKENS.findall(pattern)), border=True)
    return Words(_best(branches), _needed(branches[0]) if len(branches) == 1 else ())


def _worth(words: tuple[Anchor, ...]) -> tuple[bool, bool, int, int]:
    """Rank a set by its worst word, and a small set before a large one."""
    worst = min((not a.inside, a.word not in COMMON, min(len(a.word), _LONG_ENOUGH)) for a in words)
    return (*worst, -len(words))


def _best(branches: list[_Branch]) -> tuple[Anchor, ...]:
    """Return the words of a group: those of each alternative, () where one has none."""
    found = [max(branch.sets, key=_worth, default=()) for branch in branches]
    return tuple(dict.fromkeys(anchor for words in found for anchor in words)) if all(found) else ()


def _needed(branch: _Branch) -> tuple[tuple[str, ...], ...]:
    """Return the sets of words of a pattern, those that rule out most lines first."""
    sets = sorted(branch.sets, key=_worth, reverse=True)
    return tuple(dict.fromkeys(tuple(anchor.word for anchor in words) for words in sets))


def _read(tokens: Iterator[str], *, border: bool) -> list[_Branch]:
    """Read a group up to its end, and return its alternatives."""
    branches = [_Branch(border)]
    pending: tuple[Anchor, ...] = ()
    for token in tokens:
        branch = branches[-1]
        optional = token[0] in "?*{"
        if pending and not optional:
            branch.sets.append(pending)
        pending = ()
        if token == ")":
            break
        if token == "|":
            branch.end()
            branches.append(_Branch(border))
        elif token.startswith("("):
            here = branch.border and not branch.word
            branch.end()
            inner = _best(_read(tokens, border=here))
            pending = () if token in _LOOKS else inner
        elif len(token) == 1 and token.isascii() and token.isalpha():
            branch.letter(token)
        else:
            plain = (len(token) == 1 and token not in ".?*+$") or re.fullmatch(r"\\\W", token) is not None
            branch.end(last_is_needed=not optional, border=token in _BORDERS or plain or token.startswith((".*", ".{")))
    branches[-1].end()
    if pending:
        branches[-1].sets.append(pending)
    return branches

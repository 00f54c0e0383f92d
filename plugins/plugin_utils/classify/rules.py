# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of the classifier: data in rules.yml, and in files of the user's, which come first.

rules = load([Path("mine.yml")])           # InputError names line and column of what is wrong in a file
rules.rules[0].search("No space left on device")
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ..problems import InputError, Problem, nearest, show
from ..scenario import schema
from ..scenario.schema import Bool, Choice, Key, Mapping, Name, Seq, Str
from ..scenario.strict_yaml import Document, Limits, read
from ..verdict import kinds
from . import anchors, digits
from .anchors import Words
from .reading import READERS

OWN = Path(__file__).with_name("rules.yml")
# In the order in which they say why: the cause, how a request failed, what happened, what only follows from it, nothing.
SPECIFIC, SYMPTOM, GENERIC, WRAPPER, NOISE = TIERS = ("specific", "symptom", "generic", "wrapper", "noise")
SOURCES = (
    "ansible", "bench", "chaos", "compose", "cuda", "docker", "engine", "hub", "http", "kernel", "model", "nccl", "node", "registry",
    "ssh", "state", "system", "test", "transfer",
)  # fmt: skip
LIMITS = Limits(max_bytes=4 << 20, max_values=100_000)
# No pattern looks further than this for its next part, so that none takes long on a long line.
LONGEST_GAP = 300
# More digits count nothing.
MOST_DIGITS = 18
_BORDER = "(?<![A-Za-z])"
# A number in a pattern, which is no part of a word and none of its counts; what leaves open whether a part of the
# pattern stands in the line.
_NUMBER = re.compile(r"(?<![{,\dA-Za-z])\d+(?![\d,]*\}|[A-Za-z])")
_CLASSES = re.compile(r"\\[A-Za-z]")
_CHOICE = re.compile(r"[|?*\[]")
_GAPS = re.compile(r"(?P<escaped>\\)?\.(?:\*|\{0,(?P<longest>\d+)\})")


def _bad_pattern(text: str) -> str:
    try:
        compiled(text)
    except re.error as exc:
        return f"is no pattern: {exc}"
    return "matches an empty line" if compiled(text).search("") else ""


def _file(pattern: Str) -> Mapping:
    """Return what a file of rules may hold."""
    patterns = Seq(pattern, min=1, one=True)
    rule = Mapping(
        {
            "id": Key(Name(), required=True),
            "kind": Key(Str()),
            "tier": Key(Choice(*TIERS), default=SPECIFIC),
            "source": Key(Choice(*SOURCES), default="system"),
            "patterns": Key(patterns, required=True),
            "near": Key(patterns, default=[]),
            "fewer_than": Key(patterns, default=[]),
            "unless": Key(patterns, default=[]),
            "in_noise": Key(Bool(), default=False),
            "reads": Key(Choice(*READERS)),
            "retriable": Key(Bool()),
            "hint": Key(Str(), default=""),
        }
    )
    return Mapping({"rules": Key(Seq(rule, min=1, max=5000), required=True)})


LONGEST_PATTERN = 600
FILE = _file(Str(max=LONGEST_PATTERN, test=_bad_pattern))
# Each of our patterns is tried by a test: to try thousands of them whenever something fails would take a second.
OWN_FILE = _file(Str(max=LONGEST_PATTERN))


def level(tier: str, *, calm: bool = False) -> tuple[bool, bool, int]:
    """Return how little a match says of a cause; calm: the logger itself calls its line no error.

    What a logger calls no error comes after all that it calls one; a wrapper comes last, calm or not.
    """
    return tier == WRAPPER, calm, TIERS.index(tier)


@lru_cache(maxsize=8192)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern that begins where a word begins, in upper or lower case, with gaps that have an end."""
    return re.compile(_expression(pattern), re.IGNORECASE)


def _expression(pattern: str) -> str:
    return _BORDER + f"(?:{_GAPS.sub(_gap, pattern)})"


def _gap(found: re.Match[str]) -> str:
    """Return a gap that has an end, and behind which a word does not begin in its middle."""
    if found["escaped"]:
        return found[0]
    longest = found["longest"] or LONGEST_GAP
    return f".{{0,{longest}}}(?:{_BORDER}|(?![A-Za-z]))"


@dataclass(frozen=True)
class Rule:
    """One rule: what a line that matches one of its patterns means.

    near: one of these stands on the line or close to it; unless: none of these does on the line itself.
    fewer_than: so does one of these, and its group `count` is larger than that of the match.
    in_noise: a match counts in what is noise to other rules, too, as the frames of a traceback are.
    reads: how the kind follows from the match, "" where it is always the same; retriable: None for the kind's own rule.
    """

    id: str
    kind: str
    tier: str
    source: str
    patterns: tuple[str, ...]
    near: tuple[str, ...] = ()
    fewer_than: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    in_noise: bool = False
    reads: str = ""
    retriable: bool | None = None
    hint: str = ""

    def search(self, line: str) -> str | None:
        """Return the kind that a plain line shows, None when it does not match; "" for noise."""
        for pattern in self.patterns:
            found = compiled(pattern).search(line)
            kind = self.kind_of(found, line) if found else None
            if kind is not None:
                return kind
        return None

    def kind_of(self, found: re.Match[str], line: str) -> str | None:
        """Return the kind that a match of a pattern shows, None where the line says that it means something else."""
        if any(compiled(other).search(line) for other in self.unless):
            return None
        return READERS[self.reads](found, self.kind) if self.reads else self.kind

    def cut(self, line: str) -> str:
        """Return a line without what the rule matches."""
        for pattern in self.patterns:
            line = compiled(pattern).sub("", line)
        return line

    def is_near(self, lines: Iterable[str]) -> bool:
        """Tell whether the lines around a match are such as the rule wants them."""
        return not self.near or any(compiled(pattern).search(line) for line in lines for pattern in self.near)

    def is_fewer(self, found: re.Match[str], lines: Iterable[str]) -> bool:
        """Tell whether a match counts fewer than the lines around it, where the rule wants that."""
        if not self.fewer_than:
            return True
        others = (other for line in lines for pattern in self.fewer_than for other in compiled(pattern).finditer(line))
        counted = _counted(found)
        return counted is not None and any((_counted(other) or 0) > counted for other in others)


def _counted(found: re.Match[str]) -> int | None:
    """Return the number that a match's group `count` holds, None when it is none; a user's pattern may match any text."""
    text = found["count"] or ""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


@dataclass(frozen=True)
class Unit:
    """One pattern of a rule. rank: that of its rule; words: what a line needs before the pattern is worth a try."""

    rule: Rule
    rank: int
    pattern: str
    words: Words

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Return numbers that a line needs; () where a part of the pattern may be left out."""
        return () if _CHOICE.search(self.pattern) else tuple(_NUMBER.findall(_CLASSES.sub(" ", self.pattern)))

    @cached_property
    def loose(self) -> re.Pattern[str] | None:
        """Return what finds something on all lines that differ from a match in their digits; None: the pattern does."""
        whole = _expression(self.pattern)
        loose = digits.loosened(whole)
        return None if loose == whole else re.compile(loose, re.IGNORECASE)

    def may_match(self, low: str) -> bool:
        """Tell whether a line, in lower case, has all that a match needs."""
        return all(number in low for number in self.numbers) and self.words.may_match(low)

    def find(self, line: str, low: str, across: int = 0) -> re.Match[str] | None:
        """Return the match on a plain line. low: the line in lower case.

        across: where two lines were joined: only what begins before and ends behind that place is a match.
        """
        if not self.may_match(low):
            return None
        found = compiled(self.pattern).search(line)
        return None if found is None or (across and not found.start() < across < found.end()) else found


@dataclass(frozen=True)
class Rules:
    """Rules by their rank: at one place, an earlier one beats a later one. users: how many are a user's; they come first."""

    rules: tuple[Rule, ...]
    users: int = 0

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """Return the patterns of all rules but noise, in order of rank; those of a user's rules are below 0."""
        return tuple(
            Unit(rule, rank, pattern, anchors.of(pattern))
            for rank, rule in enumerate(self.rules, -self.users)
            if rule.tier != NOISE
            for pattern in rule.patterns
        )

    @cached_property
    def noise(self) -> tuple[Rule, ...]:
        """Return the rules whose matches are evidence for nothing."""
        return tuple(rule for rule in self.rules if rule.tier == NOISE)

    @cached_property
    def of_rank(self) -> dict[int, frozenset[int]]:
        """Return the positions of the units of each rule."""
        found: dict[int, set[int]] = {}
        for position, unit in enumerate(self.units):
            found.setdefault(unit.rank, set()).add(position)
        return {rank: frozenset(positions) for rank, positions in found.items()}

    def by_word(self, *, inside: bool) -> dict[str, frozenset[int]]:
        """Return the words with which a word of a line begins, or which stand inside of one, and the units that need them."""
        found: dict[str, set[int]] = {}
        for position, unit in enumerate(self.units):
            for anchor in unit.words.some:
                if anchor.inside == inside:
                    found.setdefault(anchor.word, set()).add(position)
        return {word: frozenset(positions) for word, positions in found.items()}

    @cached_property
    def always(self) -> frozenset[int]:
        """Return the units that any line may match."""
        return frozenset(position for position, unit in enumerate(self.units) if not unit.words.some)


@lru_cache(maxsize=1)
def own() -> Rules:
    """Return the rules that come with Testcell."""
    return Rules(_read(OWN, OWN_FILE))


def load(files: Sequence[Path] = ()) -> Rules:
    """Return the user's rules, in the order of their files, and then ours; raise InputError with all problems."""
    if not files:
        return own()
    problems: list[Problem] = []
    found: list[Rule] = []
    for path in files:
        try:
            found += _read(path)
        except InputError as exc:
            problems += exc.problems
    if problems:
        raise InputError(problems)
    return Rules((*found, *own().rules), users=len(found))


def _read(path: Path, file: Mapping = FILE) -> tuple[Rule, ...]:
    document = read(path, LIMITS)
    checked = schema.check(document, file)
    entries = checked.data.get("rules", []) if not checked.errors else []
    problems = [*checked.problems, *_contradictions(document, entries)]
    if any(problem.is_error for problem in problems):
        raise InputError(problems)
    return tuple(_rule(entry) for entry in entries)


def _contradictions(document: Document, entries: Sequence[dict[str, Any]]) -> list[Problem]:
    """Return what is wrong with rules whose keys are well formed."""
    found: list[Problem] = []
    lines: dict[str, int] = {}
    for index, entry in enumerate(entries):
        path = ("rules", index)
        twin = lines.setdefault(entry["id"], document.mark((*path, "id"))[0])
        if twin != document.mark((*path, "id"))[0]:
            found.append(
                document.problem((*path, "id"), f"is given twice; first at line {twin}", got=show(entry["id"]))
            )
        found += _kind_problems(document, path, entry)
        found += _count_problems(document, path, entry)
    return found


def _count_problems(document: Document, path: tuple[str | int, ...], entry: dict[str, Any]) -> list[Problem]:
    keys = ("patterns", "fewer_than") if entry["fewer_than"] else ()
    return [
        document.problem(
            (*path, key), "a rule with fewer_than needs (?P<count>\\d+) in each pattern", got=show(pattern)
        )
        for key in keys
        for pattern in entry[key]
        if "count" not in compiled(pattern).groupindex
    ]


def _kind_problems(document: Document, path: tuple[str | int, ...], entry: dict[str, Any]) -> list[Problem]:
    name, noise = entry.get("kind"), entry["tier"] == NOISE
    if name is None:
        return [] if noise else [document.problem(path, "the key kind is missing; only noise has none")]
    where = (*path, "kind")
    if noise:
        return [document.problem(where, "noise is evidence for nothing; leave the kind out", got=show(name))]
    if name not in kinds.KINDS:
        near = nearest(name, kinds.KINDS)
        return [document.problem(where, "unknown error kind", got=show(name), suggestion=near)]
    kind, said = kinds.get(name), entry.get("retriable")
    if said is not None and said != kind.retriable and not kind.depends:
        message = f"{name} is {'' if kind.retriable else 'not '}retriable, whatever the case"
        return [document.problem((*path, "retriable"), message, got=show(said))]
    return []


def _rule(entry: dict[str, Any]) -> Rule:
    return Rule(
        id=entry["id"],
        kind=entry.get("kind", ""),
        tier=entry["tier"],
        source=entry["source"],
        patterns=tuple(entry["patterns"]),
        near=tuple(entry["near"]),
        fewer_than=tuple(entry["fewer_than"]),
        unless=tuple(entry["unless"]),
        in_noise=entry["in_noise"],
        reads=entry.get("reads", ""),
        retriable=entry.get("retriable"),
        hint=entry["hint"],
    )

# SPDX-License-Identifier: MIT
"""Which faults are on: `NAME[@TARGET][%PROBABILITY[#SEED]][=VALUE[:SECOND]]`, joined by commas, read and drawn."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine_sim.fault_catalogue import CATALOGUE, PROCESS_FAULTS, REQUEST_FAULTS, ROLES, FaultSpec

_ITEM = re.compile(
    r"(?P<name>[^@%=#]+)(?:@(?P<target>[^%=#]+))?(?:%(?P<probability>[^=#]+)(?:#(?P<seed>[^=]+))?)?(?:=(?P<value>.*))?"
)
_NUMBER = re.compile(r"(?P<amount>\d+(?:\.\d+)?)(?P<unit>KiB|MiB|GiB)?")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNITS = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class FaultError(ValueError):
    """The faults asked for cannot be read; `problems` has a sentence for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True)
class Fault:
    """One fault as asked for: `word` or `amount` is its value, by what the catalogue says."""

    name: str
    target: str
    probability: float
    seed: int
    word: str
    amount: float
    second: float
    second_word: str = ""

    def __str__(self) -> str:
        spec = CATALOGUE[self.name]
        target = f"@{self.target}" if self.target else ""
        chance = f"%{self.probability:g}#{self.seed}" if self.probability < 1 else ""
        value = f"={self.word or f'{self.amount:g}'}" if spec.value else ""
        second = self.second_word if spec.second_is_word else f"{self.second:g}" if spec.second else ""
        return f"{self.name}{target}{chance}{value}" + (f":{second}" if second else "")

    def acts_in(self, role: str, service: str) -> bool:
        """Say whether the fault acts in a service of this role and name."""
        return self.target in (role, service) if self.target else role in CATALOGUE[self.name].acts_in

    def happens(self, turn: int) -> bool:
        """Draw whether the fault happens at a turn (0, 1, ...): the same seed and turn give the same answer."""
        if self.probability >= 1.0:
            return True
        drawn = hashlib.sha256(f"{self.name}:{self.seed}:{turn}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") / 2**64 < self.probability


def parse(text: str, default_seed: int = 0) -> tuple[Fault, ...]:
    """Return the faults of a list such as `error_after@decode%0.1=5,slow_start=3`; FaultError names all problems."""
    faults: list[Fault] = []
    problems: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            faults.append(_parse_item(item, default_seed))
        except ValueError as error:
            problems.append(f"{item!r}: {error}")
    if problems:
        raise FaultError(problems)
    return tuple(faults)


def _parse_item(item: str, default_seed: int) -> Fault:
    """Return one fault; ValueError says what is wrong with it."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError("not of the form NAME[@TARGET][%PROBABILITY[#SEED]][=VALUE[:SECOND]]")
    spec = _spec(match["name"].strip())
    target = match["target"] or ""
    if target in ROLES and target not in spec.roles:
        raise ValueError(f"does not act in {target}; it acts in {', '.join(spec.roles)}")
    first, second, second_word = _second(spec, match["value"])
    word, amount = _first(spec, first)
    probability = _between(match["probability"] or "1", 0.0, 1.0, "the probability")
    seed = int(_between(match["seed"] or str(default_seed), 0, 2**63, "the seed"))
    return Fault(spec.name, target, probability, seed, word, amount, second, second_word)


def _spec(name: str) -> FaultSpec:
    """Return what the catalogue says of a name, or say what is known."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"unknown fault; known: {', '.join(CATALOGUE)}{hint}")


def _second(spec: FaultSpec, text: str | None) -> tuple[str | None, float, str]:
    """Return the text before the colon, and the second value as a number or as a word, by the fault's entry."""
    if text is None:
        return None, spec.second_default, ""
    first, colon, second = text.partition(":")
    if colon and not spec.second:
        raise ValueError(f"takes no second value, got {second!r}")
    if not colon:
        return first, spec.second_default, ""
    if not spec.second_is_word:
        return first, _between(second, 0, math.inf, f"the {spec.second}"), ""
    if not _WORD.fullmatch(second):
        raise ValueError(f"the {spec.second} must be a word of at most 64 letters, digits, '_' and '-', got {second!r}")
    return first, spec.second_default, second


def _first(spec: FaultSpec, text: str | None) -> tuple[str, float]:
    """Return the value of a fault as a word or as an amount, by its entry in the catalogue."""
    first = text or ""
    if spec.words:
        if first not in spec.words:
            raise ValueError(f"the value must be one of {', '.join(spec.words)}, got {first!r}")
        return first, 0.0
    if not spec.value:
        if text not in (None, "1", "true"):
            raise ValueError(f"is a switch and takes no value, got {text!r}")
        return "", 1.0
    amount = _between(first, 0, spec.high, f"the value ({spec.value})")
    if spec.whole and amount != int(amount):
        raise ValueError(f"the value ({spec.value}) must be a whole number, got {first!r}")
    return "", amount


def _between(text: str, low: float, high: float, what: str) -> float:
    """Return a number within bounds; sizes may carry KiB, MiB or GiB."""
    match = _NUMBER.fullmatch(text.strip())
    value = float(match["amount"]) * _UNITS[match["unit"]] if match else math.nan
    if not low <= value <= high:
        bound = "at least 0" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{what} must be a number {bound}, got {text!r}")
    return value


@dataclass(frozen=True)
class Drawn:
    """The faults that were drawn, by name; asking for a name that the catalogue lacks is a KeyError."""

    faults: Mapping[str, Fault]

    def get(self, name: str) -> Fault | None:
        """Return a fault that is on, else None."""
        return self.faults.get(CATALOGUE[name].name)

    def on(self, name: str) -> bool:
        """Say whether a fault is on."""
        return self.get(name) is not None

    def amount(self, name: str) -> float:
        """Return the number of a fault that is on, else 0."""
        fault = self.get(name)
        return fault.amount if fault else 0.0

    def count(self, name: str) -> int | None:
        """Return the whole number of a fault that is on, else None."""
        fault = self.get(name)
        return int(fault.amount) if fault else None

    def word(self, name: str) -> str:
        """Return the word of a fault that is on, else an empty one."""
        fault = self.get(name)
        return fault.word if fault else ""


class FaultPlan:
    """The faults that act in one service, ready to be drawn: once for the process, and for each request."""

    def __init__(self, faults: Iterable[Fault], role: str, service: str) -> None:
        self.active = tuple(fault for fault in faults if fault.acts_in(role, service))
        self._turn = 0

    def for_process(self) -> Drawn:
        """Return the faults of the process as a whole."""
        return self._draw(PROCESS_FAULTS, 0)

    def for_request(self) -> Drawn:
        """Return the faults that the next request meets; each is drawn by itself."""
        turn, self._turn = self._turn, self._turn + 1
        return self._draw(REQUEST_FAULTS, turn)

    def _draw(self, specs: tuple[FaultSpec, ...], turn: int) -> Drawn:
        names = {spec.name for spec in specs}
        return Drawn({fault.name: fault for fault in self.active if fault.name in names and fault.happens(turn)})

# SPDX-License-Identifier: MIT
"""The gates of a soak, each broken in one place of its source: what a test of the gates must notice.

A comparison turns round, a branch is gone, a function says always the same, a limit is ten times as high, a constant too.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils import soak

PACKAGE = soak.__name__
FOLDER = Path(next(iter(soak.__path__)))
# In the order in which they import one another.
WHOLE = (
    *("judgement", "spans", "trust", "saying", "bursts", "shelf", "fit"),
    *("gates_chaos", "gates_load", "gates_reports", "gates_resources", "gates"),
)
# Those that decide something; the others are types and wording.
BROKEN = tuple(part for part in WHOLE if part not in ("judgement", "saying"))
TURNED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
# What a function says that always says the same, by what it is declared to return.
SAME: Mapping[str, str] = {
    "str": "''", "float": "0.0", "bool": "False", "list[Span]": "[]", "list[float]": "[]", "Gate | None": "None",
    "Iterator[Gate]": "iter(())", "Slope | None": "Slope(0.0, 0.0, 0.0, 1, 0.0, 1.0)",
}  # fmt: skip
LIMITS = ("limits.max_", "limits.min_", "what.limit")
TIMES = 10
# Changes after which every answer is the same, and why.
SAME_ANSWERS: Mapping[str, str] = {
    "spans.py: branch 'span[1] - span[0] <= best[0]' gone": "it only ends a search early",
    "fit.py: branch 'not len(slopes)' gone": "numpy warns, and the next branch says the same",
    "fit.py: LAST = 20 times 10": "fewer samples are as good an end where they are no spikes",
    "fit.py: ROUNDING = 1e-09 times 10": "any very small share will do",
    "fit.py: ROUNDING = 1e-09 times 0.1": "any very small share will do",
    "fit.py: BLOCKS = 120 times 10": "finer blocks cost more time",
}
# What only words a sentence; the unit tests have the sentences.
WORDING = ("_because", "_state", "_how_late", "_span")


@dataclass(frozen=True)
class Gates:
    """What is tried of a package: `judge` of its gates, and `slope` of its fit."""

    judge: Callable[..., Any]
    slope: Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """One broken place. how: what was done there."""

    module: str
    line: int
    how: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.module}.py:{self.line}: {self.how}"

    def gates(self) -> Gates:
        """Return what a copy of the package does in which this place is broken."""
        return loaded({self.module: self.tree})


def loaded(changed: Mapping[str, ast.Module]) -> Gates:
    """Return a copy of the package with other sources for some modules; the types of evidence are the real ones."""
    name = PACKAGE + "_mutant"
    package = ModuleType(name)
    package.__path__ = []
    for old in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
        del sys.modules[old]
    sys.modules[name] = package
    for part in ("histogram", "model"):
        sys.modules[f"{name}.{part}"] = importlib.import_module(f"{PACKAGE}.{part}")
    module = package
    for part in WHOLE:
        module = ModuleType(f"{name}.{part}")
        module.__package__ = name
        sys.modules[module.__name__] = module
        setattr(package, part, module)
        tree = changed.get(part) or parsed(part)
        exec(compile(tree, f"{part}.py", "exec"), vars(module))
    return Gates(vars(module)["judge"], vars(sys.modules[f"{name}.fit"])["slope"])


def parsed(part: str) -> ast.Module:
    """Return the source of a module of the package."""
    return ast.parse((FOLDER / f"{part}.py").read_text(encoding="utf-8"))


def mutants() -> list[Mutant]:
    """Return all mutants that answer otherwise, in the order of the source."""
    return [one for part in BROKEN for one in _of(part) if f"{one.module}.py: {one.how}" not in SAME_ANSWERS]


def _of(part: str) -> Iterator[Mutant]:
    tree = parsed(part)
    silent = _silent(tree)
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in silent:
            continue
        for how, change in _changes(node):
            copy = deepcopy(tree)
            place = next(found for number, found in enumerate(ast.walk(copy)) if number == index)
            broken = _Exchange(place, change(place)).visit(copy)
            yield Mutant(part, getattr(node, "lineno", 0), how, ast.fix_missing_locations(broken))


def _silent(tree: ast.Module) -> set[int]:
    """Return the ids of nodes that are not broken: those that only word a sentence, and what is held against None."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in WORDING:
            found |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot):
            found.add(id(node.left))  # a limit that is wider is there as well
    return found


class _Exchange(ast.NodeTransformer):
    """Puts another node in the place of one."""

    def __init__(self, place: ast.AST, other: ast.AST) -> None:
        self.place, self.other = place, other

    def visit(self, node: ast.AST) -> Any:
        """Return what stands in the place of a node."""
        return self.other if node is self.place else self.generic_visit(node)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """Yield what can be broken at a node: how that is called, and what makes the broken one of it."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if type(operator) in TURNED:
                yield f"comparison {number + 1} of {ast.unparse(node)!r} turned", partial(_turned, number)
    elif isinstance(node, ast.If) and not node.orelse:
        yield f"branch {ast.unparse(node.test)!r} gone", _never
    elif isinstance(node, ast.FunctionDef) and node.returns is not None:
        same = SAME.get(ast.unparse(node.returns))
        if same is not None and not node.name.startswith("__"):
            yield f"{node.name}() says always {same}", partial(_always, same)
    elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith(LIMITS):
        yield f"{ast.unparse(node)} {TIMES} times as wide", _widened
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple):
        numbers = [one for one in ast.walk(node.value) if _is_number(one)]
        if numbers and ast.unparse(node.targets[0]).replace(", ", "").replace("(", "").replace(")", "").isupper():
            for factor in (TIMES, 1 / TIMES):
                yield f"{ast.unparse(node)} times {factor:g}", partial(_scaled, factor)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool)


def _turned(number: int, node: ast.Compare) -> ast.AST:
    node.ops[number] = TURNED[type(node.ops[number])]()
    return node


def _never(node: ast.If) -> ast.AST:
    node.test = ast.Constant(False)
    return node


def _always(same: str, node: ast.FunctionDef) -> ast.AST:
    node.body = [ast.Return(ast.parse(same, mode="eval").body)]
    return node


def _widened(node: ast.Attribute) -> ast.AST:
    """Return a limit that is wider: the least that must be reached is a tenth, the most that may be ten times as much."""
    factor = 1 / TIMES if node.attr.startswith("min_") else TIMES
    text = ast.unparse(node)
    return ast.parse(f"None if {text} is None else {text} * {factor}", mode="eval").body


def _scaled(factor: float, node: ast.Assign) -> ast.AST:
    for one in ast.walk(node.value):
        if _is_number(one):
            one.value *= factor  # type: ignore[attr-defined]
    return node

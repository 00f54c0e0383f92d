# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.patterns import Patterns


def _matches(pattern: str, path: str) -> bool:
    patterns = Patterns([pattern])
    states = patterns.start()
    for name in path.split("/"):
        step = patterns.step(states, name)
        assert patterns.settled(states) in (None, step)
        states = step.states
    return bool(patterns.matched(states))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b", "ab", "b/a"]),
        ("results/", ["results/x", "results/d/x"], ["result", "x/results"]),
        ("*.csv", ["a.csv", ".csv", "a\nb.csv"], ["a.csvx", "d/a.csv"]),
        ("a/*.csv", ["a/b.csv"], ["a/b/c.csv", "b.csv"]),
        ("**/*.json", ["a.json", "d/a.json", "d/e/a.json"], ["a.jsonl", "d/a"]),
        ("d/**", ["d/a", "d/e/a"], ["e/a"]),
        ("d/**/x", ["d/x", "d/e/x", "d/e/f/x"], ["x", "d/e"]),
        ("**", ["a", "a/b"], []),
        (".", ["a", "a/b"], []),
        ("run_?/[ab].txt", ["run_1/a.txt"], ["run_12/a.txt", "run_1/c.txt"]),
        ("A", ["A"], ["a"]),
        ("*", ["\udcff", "-rf", "%s"], []),
    ],
)
def test_pattern_matches_names_and_all_below(pattern, yes, no):
    assert [path for path in yes if not _matches(pattern, path)] == []
    assert [path for path in no if _matches(pattern, path)] == []


@pytest.mark.parametrize(
    ("texts", "settled"),
    [(["**"], True), (["."], True), (["**", "."], True), (["*.csv"], False), (["**/a"], False), ([], False)],
)
def test_names_are_not_looked_at_where_all_of_them_match(texts, settled):
    patterns = Patterns(texts)
    assert (patterns.settled(patterns.start()) is not None) == settled


@pytest.mark.parametrize("pattern", ["/etc/*", "../x", "a//b", "a/../b", "a\\b", "a/./b"])
def test_pattern_that_could_leave_the_base_is_refused_B80(pattern):
    with pytest.raises(CellError) as caught:
        Patterns([pattern])
    assert caught.value.kind == "artifact_unsafe_path"


def test_every_pattern_that_matches_is_named():
    patterns = Patterns(["*.csv", "a*", "z"])
    assert patterns.matched(patterns.step(patterns.start(), "a.csv").states) == {0, 1}

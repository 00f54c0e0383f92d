# SPDX-License-Identifier: MIT
from __future__ import annotations

import re

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import anchors, decide, facts, reading, rules
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.anchors import Anchor
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import read
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

OWN = rules.own().rules


def test_every_kind_can_be_found():
    by_text = {rule.kind for rule in OWN}
    by_reading = {reading.of_status(status) for status in range(300, 600)} | {
        reading.of_exit(code) for code in (1, 124)
    }
    by_fact = {kind for kind, _tier in facts._EXCEPTIONS.values()} | set(facts.ERRNO_KINDS.values())
    assert set(kinds.KINDS) - by_text - by_reading - by_fact == {decide.UNKNOWN}
    assert decide.classify("").error_kind == decide.UNKNOWN


def test_ids_are_not_given_twice_and_kinds_are_known():
    assert len({rule.id for rule in OWN}) == len(OWN)
    assert {rule.kind for rule in OWN if rule.kind} <= set(kinds.KINDS)


def test_our_own_file_is_as_a_users_must_be():
    """Every pattern can be compiled and matches no empty line, which is not tried again when they are loaded."""
    assert list(schema.check(read(rules.OWN, rules.LIMITS), rules.FILE).problems) == []


def test_no_rule_of_ours_makes_every_line_worth_a_look():
    assert [unit.pattern for unit in rules.own().units if not unit.words.some] == []


ANCHORS = {
    "no space left": (Anchor("space"),),
    r"no space left on (?:the )?device": (Anchor("space"),),
    r"(?:alpha|beta gamma) x": (Anchor("alpha"), Anchor("gamma")),
    r"alpha|beta": (Anchor("alpha"), Anchor("beta")),
    r"colou?r": (Anchor("colo"),),
    r"(?:maybe)?sure": (Anchor("sure", inside=True),),
    r"first.*second": (Anchor("second"),),
    r"\d+ apples?": (Anchor("apple"),),
    r"[a-z]+zone": (Anchor("zone", inside=True),),
    r"\bthing\.json": (Anchor("thing"),),
    r"\d+ \w+": (),
    r"(?:alpha|\d+)": (),
    r"(?!never)always": (Anchor("always", inside=True),),
}


@pytest.mark.parametrize(("pattern", "words"), ANCHORS.items(), ids=ANCHORS)
def test_the_words_that_a_match_needs_are_found(pattern, words):
    assert set(anchors.of(pattern).some) == set(words)


NUMBERS = {
    "errno 28": (True, ("28",)),
    r"(?:429|503) message": (True, ()),
    r"rank \d: dead": (False, ()),
    r"\d+ of .{0,40} failed": (False, ()),
    "p2p x509": (True, ()),
    "p2p": (True, ()),
    r"(?P<v_2>failed)": (False, ()),
    r"port \d{1,5} of 7\b": (True, ("7",)),
}


@pytest.mark.parametrize(("pattern", "minds"), NUMBERS.items(), ids=NUMBERS)
def test_which_patterns_mind_numbers_is_known(pattern, minds):
    unit = rules.Unit(OWN[0], 0, pattern, anchors.of(pattern))
    assert (unit.loose is not None, unit.numbers) == minds


def test_a_pattern_begins_where_a_word_begins_and_its_gaps_end():
    pattern = rules.compiled("cart .*horse")
    assert pattern.search("A cart before the HORSE") and not pattern.search("descart horse")
    assert not pattern.search("cart " + "x" * 400 + " horse") and not pattern.search("cart seahorse")


def write(tmp_path, text):
    path = tmp_path / "mine.yml"
    path.write_text(text)
    return path


MINE = """rules:
  - id: frob
    kind: gpu_fault
    patterns: the frobnicator (?:broke|burst)
    near: [left side]
    unless: [as planned]
    hint: get a new one
"""


def test_a_users_rule_comes_first_and_needs_what_it_says(tmp_path):
    known = rules.load([write(tmp_path, MINE + "  - {id: mine-full, kind: test_failed, patterns: [no space left]}\n")])
    found = decide.classify("left side\nThe Frobnicator burst", rules=known)
    assert (found.error_kind, found.rule, found.hint) == ("gpu_fault", "frob", "get a new one")
    assert decide.classify("right side\nthe frobnicator burst", rules=known).error_kind == "unknown"
    assert decide.classify("left side\nthe frobnicator burst as planned", rules=known).error_kind == "unknown"
    assert decide.classify("No space left on device", rules=known).rule == "mine-full"
    assert decide.classify("No space left on device").rule == "disk-full"


def test_a_users_rule_may_match_any_line(tmp_path):
    known = rules.load([write(tmp_path, "rules: [{id: a, kind: gpu_fault, patterns: ['e1234']}]\n")])
    assert decide.classify("x\n\ny E1234\nz", rules=known).error_kind == "gpu_fault"


COUNTED = {
    "fewer than were sent": ("sent: 10\nanswered: 9", "bench_partial"),
    "the line that counts all comes later": ("answered: 9\nsent: 10", "bench_partial"),
    "as many as were sent": ("sent: 10\nanswered: 10", "unknown"),
    "another count on the same line is larger": ("warm-up sent: 1, then sent: 10\nanswered: 9", "bench_partial"),
    "nothing says how many were sent": ("answered: 9", "unknown"),
    "too far away": ("sent: 10\n" + "x\n" * 6 + "answered: 9", "unknown"),
    "the same line with other numbers": ("sent: 10\nanswered: 10\n" + "x\n" * 6 + "sent: 10\nanswered: 11\nanswered: 9", "bench_partial"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), COUNTED.values(), ids=COUNTED)
def test_a_rule_may_want_a_smaller_count_than_a_line_beside_it(tmp_path, text, kind):
    rule = r"{id: a, kind: bench_partial, patterns: ['answered: (?P<count>\d+)'], fewer_than: ['sent: (?P<count>\d+)']}"
    assert decide.classify(text, rules=rules.load([write(tmp_path, f"rules: [{rule}]\n")])).error_kind == kind


def test_a_count_that_is_no_number_is_smaller_than_none(tmp_path):
    rule = (
        r"{id: a, kind: bench_partial, patterns: ['answered: (?P<count>\w+)'], fewer_than: ['sent: (?P<count>\w+)?']}"
    )
    known = rules.load([write(tmp_path, f"rules: [{rule}]\n")])
    kinds = [
        decide.classify(text, rules=known).error_kind for text in ("sent: 10\nanswered: none", "sent: \nanswered: 9")
    ]
    assert kinds == ["unknown", "unknown"]


WRONG = {
    "kind": ("rules:\n  - id: a\n    kind: gpu_om\n    patterns: [xyz]\n", r"mine\.yml:3:11: rules\[0\]\.kind: unknown error kind; got 'gpu_om'; did you mean gpu_oom\?"),
    "no kind": ("rules:\n  - id: a\n    patterns: [xyz]\n", r"mine\.yml:2:5: rules\[0\]: the key kind is missing"),
    "pattern": ("rules:\n  - id: a\n    kind: gpu_oom\n    patterns: ['x(y']\n", r"mine\.yml:4:16: rules\[0\]\.patterns\[0\]: is no pattern: "),
    "empty match": ("rules:\n  - id: a\n    kind: gpu_oom\n    patterns: ['x*']\n", r"mine\.yml:4:16: .*matches an empty line"),
    "twice": ("rules:\n  - {id: a, kind: gpu_oom, patterns: [xyz]}\n  - {id: a, kind: gpu_oom, patterns: [xyz]}\n", r"mine\.yml:3:10: .*given twice; first at line 2"),
    "retriable": ("rules:\n  - {id: a, kind: gpu_oom, patterns: [xyz], retriable: true}\n", r"mine\.yml:2:56: .*gpu_oom is not retriable, whatever the case"),
    "noise with a kind": ("rules:\n  - {id: a, kind: gpu_oom, tier: noise, patterns: [xyz]}\n", r"mine\.yml:2:19: .*noise is evidence for nothing"),
    "no count": ("rules:\n  - {id: a, kind: gpu_oom, patterns: ['n (?P<count>\\d+)'], fewer_than: ['m \\d+']}\n", r"mine\.yml:2:\d+: rules\[0\]\.fewer_than: a rule with fewer_than needs \(\?P<count>\\d\+\) in each pattern; got 'm "),
    "tier": ("rules:\n  - {id: a, kind: gpu_oom, tier: loud, patterns: [xyz]}\n", r"mine\.yml:2:\d+: rules\[0\]\.tier: "),
    "key": ("rules:\n  - {id: a, kind: gpu_oom, pattern: xyz}\n", r"did you mean patterns\?"),
    "empty": ("# nothing\n", r"mine\.yml: the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_file_of_rules_is_told_with_its_place(tmp_path, text, said):
    with pytest.raises(InputError) as refused:
        rules.load([write(tmp_path, text)])
    assert re.search(said, str(refused.value)), str(refused.value)


def test_a_kind_whose_retry_depends_may_be_said_to_be_retriable(tmp_path):
    known = rules.load(
        [write(tmp_path, "rules: [{id: ours, kind: port_conflict, patterns: [taken by ours], retriable: true}]\n")]
    )
    assert decide.classify("port taken by ours", rules=known).retriable is True


@pytest.mark.parametrize(
    ("key", "kind"), [("in_noise: true, ", "engine_dead"), ("", "unknown")], ids=["said", "not-said"]
)
def test_what_is_noise_to_other_rules_counts_where_a_rule_says_so(tmp_path, key, kind):
    """A frame of a traceback is noise: names of files and functions are no evidence, but for rules about frames."""
    text = f"rules: [{{id: ours, kind: engine_dead, {key}patterns: [our_loop]}}]\n"
    known = rules.load([write(tmp_path, text)])
    assert decide.classify('  File "a.py", line 7, in our_loop', rules=known).error_kind == kind

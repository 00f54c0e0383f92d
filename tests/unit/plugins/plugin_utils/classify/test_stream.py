# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import random
import re
import shutil
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide, digits, rules, stream
from hypothesis import given, settings
from hypothesis import strategies as st

LINES = st.sampled_from(
    [
        b"INFO ready",
        b"\x1b[31mERROR\x1b[0m CUDA out of memory",
        b"WARNING No space left on device",
        b"write /var/lib/docker/overlay2/abcdefabcdef/diff/x: no space",
        b"left on device",
        b"Engine core initialization failed.",
        b"a\\nssh: connect to host n1 port 22: Connection refused\\n",
        b"\xff\x00\xfe",
        b"x" * 9000,
        b"",
        b"10%\r20%\r",
    ]
)


def cut(content, places):
    borders = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[start:end] for start, end in zip(borders, borders[1:], strict=False)]


def read(pieces):
    scanner = stream.Scanner(rules.own())
    for piece in pieces:
        scanner.feed(piece)
    return decide.decide(scanner.finish())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000))
def test_no_bytes_are_too_odd(content):
    found = decide.classify(content)
    assert found.error_kind and len(found.evidence) <= 3


@settings(max_examples=25, deadline=None)
@given(st.lists(LINES, max_size=40), st.lists(st.integers(0, 10**6), max_size=5), st.sampled_from([64, 4096]))
def test_where_a_log_is_cut_does_not_matter(lines, places, chunk):
    content = b"\n".join(lines)
    whole = read([content])
    before, stream.CHUNK_BYTES = stream.CHUNK_BYTES, max(chunk, 1 << 14)
    try:
        assert read(cut(content, places)) == whole
    finally:
        stream.CHUNK_BYTES = before


def test_a_log_of_many_chunks_is_the_same_in_any_pieces():
    head = b"".join(b"INFO step %d of many is done, nothing to see\n" % n for n in range(20_000))
    content = head + b"RuntimeError: CUDA out of memory\n" + head + b"No space left on device\n" + head
    assert read([content]) == read([content[at : at + 70_001] for at in range(0, len(content), 70_001)])
    assert read([content]).error_kind == "gpu_oom"


def test_memory_does_not_grow_with_the_log():
    def peak(times):
        piece = b"".join(b"ERROR %d: the frobnicator has failed with an exception\n" % n for n in range(4000))
        scanner = stream.Scanner(rules.own())
        tracemalloc.start()
        for _ in range(times):
            scanner.feed(piece)
        scanner.finish()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)  # what is made once: compiled patterns, indexes
    assert peak(6) <= 1.5 * peak(2)


def test_a_line_that_never_ends_is_read_in_constant_memory():
    scanner = stream.Scanner(rules.own())
    for _ in range(64):
        scanner.feed(b"x" * 100_000)
        assert len(scanner._waiting) <= 2 * stream.CHUNK_BYTES
    scanner.feed(b" No space left on device")
    assert decide.decide(scanner.finish()).error_kind == "disk_full"


def test_a_line_that_comes_again_with_another_number_is_read():
    same = "".join(f"writer {n}: write failed: errno {n % 9 + 200}\n" for n in range(500))
    assert decide.classify(same).error_kind == "unknown"
    assert decide.classify(f"{same}writer 7: write failed: errno 28\n").error_kind == "disk_full"


def test_what_is_remembered_of_lines_has_an_end():
    scanner = stream.Scanner(rules.own())
    letters = "abcdefghijklmnop"
    words = ["".join(letters[n >> shift & 15] for shift in (0, 4, 8, 12)) for n in range(digits.MOST_BYTES // 100)]
    scanner.feed("".join(f"the {word} has failed with an error\n" for word in words).encode())
    scanner.finish()
    for known in (scanner._known, scanner._telling._shapes):
        assert 0 < len(known) < len(words) and sum(map(len, known)) < digits.MOST_BYTES


class Untiring(stream.Scanner):
    """Tries every rule to the end of the log."""

    def _settle(self):
        pass


def test_what_is_tried_no_more_would_not_have_been_chosen():
    data = Path(__file__).parent / "data" / "messages.jsonl"
    lines = [line for one in data.read_text().splitlines() for line in json.loads(one)["text"].splitlines()]
    chance = random.Random(1)
    for _ in range(60):
        text = "\n".join(chance.choices(lines, k=chance.randrange(1, 40))).encode()
        tireless = Untiring(rules.own())
        tireless.feed(text)
        whole, found = decide.decide(tireless.finish()), read([text])
        assert (found.error_kind, found.rule, found.evidence[0]) == (whole.error_kind, whole.rule, whole.evidence[0])


class Forgetful(digits.Known):
    """Knows of no line what was found out of one that was the same but for its digits."""

    def remember(self, mask, value):
        pass


def with_other_digits(chance, line):
    """Return a line with other digits: any, or those of a number that some rule wants."""
    number = chance.choice(["28", "104", "111", "124", "137", "404", "429", "500", "503", ""])
    line = re.sub(r"\d+", lambda found: (number + chance.choice("0123456789") * 9)[: len(found[0])], line)
    at = line.find(" ", stream.BROKEN_CHARACTERS)
    if at < 0 or chance.random() < 0.7:
        return line
    return line[:at] + chance.choice(["\n", "\nother words\n"]) + line[at + 1 :]


@pytest.mark.parametrize("chunk", [1 << 12, 1 << 18])
def test_a_line_with_other_digits_is_read_as_if_none_had_been_before(monkeypatch, chunk):
    monkeypatch.setattr(stream, "CHUNK_BYTES", chunk)
    data = Path(__file__).parent / "data" / "messages.jsonl"
    entries = [json.loads(one)["text"].splitlines() for one in data.read_text().splitlines()]
    entries += [
        ["the frobnicator 12345 has failed with error 123"],
        ["exit status 17 of 100", "write failed: error 42"],
    ]
    chance = random.Random(2)
    found = set()
    for _ in range(100):
        few = chance.choices(entries, k=chance.randrange(1, 4))
        # a log that is no more than one failure is searched to its end
        lines = [with_other_digits(chance, line) for _ in range(30) for line in chance.choice(few)]
        fast, slow = stream.Scanner(rules.own()), stream.Scanner(rules.own())
        slow._known, slow._telling._shapes = Forgetful(), Forgetful()
        for scanner in (fast, slow):
            for line in lines:
                scanner.feed(f"{line}\n".encode())
        seen = fast.finish()
        assert seen == slow.finish()
        found.update(hit.kind for hit in seen.hits)
    assert len(found) > 20


def test_a_line_broken_between_two_pieces_does_not_hide_the_next_one():
    first, second = b"write /var/lib/docker/overlay2/abcdefabcdef/diff/x: no space\n", b"left on device\n"
    filler = b"INFO nothing to see\n" * (stream.CHUNK_BYTES // 20 + 1)
    assert read([filler + first, second + filler, filler + first + second]).error_kind == "disk_full"


def test_a_word_behind_a_tab_that_is_written_out_is_one():
    assert decide.classify('{"log": "frob:\\\\tENOSPC"}').error_kind == "disk_full"


def test_a_program_is_no_log():
    assert decide.classify(Path(shutil.which("bash")).read_bytes()).error_kind == "unknown"


def test_a_log_with_a_hole_of_zeros_is_one():
    hole = bytes(3 * stream.CHUNK_BYTES)
    assert read([b"started\n", hole, b" No space left on device\n"]).error_kind == "disk_full"
    assert read([hole, b"No space left on device\n"]).error_kind == "disk_full"
    assert read([hole]).evidence == ()


def test_a_log_that_is_fed_at_once_is_read_in_parts():
    text = b"".join(b"step %d: read timed out\n" % number for number in range(4 * stream.CHUNK_BYTES // 20))
    sizes = []

    class Noting(stream.Scanner):
        def _take(self, raw):
            sizes.append(len(raw))
            super()._take(raw)

    scanner = Noting(rules.own())
    scanner.feed(text)
    found = scanner.finish()
    assert sum(sizes) == len(text)
    assert max(sizes) <= 2 * stream.CHUNK_BYTES
    assert [hit.kind for hit in found.hits] == ["http_timeout"]


# How a server writes while all is well, and how many patterns such a line may cost.
HEALTHY = {
    "vLLM": ("(EngineCore_0 pid=7) INFO 01-02 03:04:05 [loggers.py:118] Engine 000: Avg prompt throughput: 21.5 tokens/s, Avg generation throughput: 9.1 tokens/s, Running: 3 reqs, Waiting: 0 reqs, GPU KV cache usage: 1.2%, chatcmpl-{id}", 1),
    "SGLang": ("[2026-01-02 03:04:05 TP0] Decode batch. #running-req: 3, #token: 812, token usage: 0.01, cuda graph: True, gen throughput (token/s): 91.2, #queue-req: 0, {id}", 1),
    "access log": ('INFO:     10.0.0.7:50312 - "POST /v1/chat/completions?id={id} HTTP/1.1" 200 OK', 5),
    "llama.cpp": ("slot update_slots: id  0 | task {id} | prompt done, n_past = 12, n_tokens = 12", 1),
}  # fmt: skip


@pytest.mark.parametrize(("line", "most"), HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_log_costs_few_patterns_a_line(monkeypatch, line, most):
    tried = []
    find = rules.Unit.find
    monkeypatch.setattr(rules.Unit, "find", lambda unit, *given: tried.append(unit.pattern) or find(unit, *given))
    chance = random.Random(1)
    lines = [line.format(id=f"{chance.getrandbits(128):032x}") for _ in range(1000)]
    assert read(["\n".join(lines).encode()]).error_kind == "unknown"
    assert len(tried) < len(lines) * (most + 0.1), sorted(set(tried))

# SPDX-License-Identifier: MIT
"""Secrets in the text of logs: what is one is hidden however the text is cut, and what is none stays."""

from __future__ import annotations

import base64
import random
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import scrub
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.scrub import Scrubber, after_gap, before_gap
from hypothesis import given, settings
from hypothesis import strategies as st

KNOWN = ("S3cr3t/Value+Known", "correct horse battery", 'quo"ted-pass', "line one of it\nline two of the same")
HF = "hf_" + "AbCdEfGhIj" * 3
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4"
KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7xQ4m2" * 3 + "\nAbCdEf09+/=\n-----END RSA PRIVATE KEY-----"
)
SHA = "3f786850e387550fdab836ed7e6dc881de23001b"
BASIC = base64.b64encode(b"user:S3cr3t/Value+Known").decode()

SECRET = [
    ("hugging-face", f"token {HF} end", "token *** end"),
    ("openai", "using sk-proj-abcdefghij0123456789_x now", "using *** now"),
    ("github", f"ghp_{'a1' * 18},gho_{'b2' * 18}", "***,***"),
    ("github-fine", f"github_pat_{'a1B_' * 8}", "***"),
    ("gitlab", f"glpat-{'a1B-' * 6}", "***"),
    ("slack", "xoxb-1234567890-abcdef", "***"),
    ("aws-id", "id AKIAIOSFODNN7EXAMPLE.", "id ***."),
    ("google", "AIza" + "a1B_-" * 7, "***"),
    ("ngc", f"nvapi-{'a1B-' * 6}", "***"),
    ("docker", f"dckr_pat_{'a1B-' * 6}", "***"),
    ("jwt", f"got {JWT} back", "got *** back"),
    ("bearer-header", "Authorization: Bearer abc.def-123456789", "Authorization: Bearer ***"),
    ("basic-header", "-H 'Authorization: Basic dXNlcjpwYXNz'", "-H 'Authorization: Basic ***'"),
    ("header-in-json", '{"authorization": "Bearer xyz123456789"}', '{"authorization": "Bearer ***"}'),
    ("bearer-alone", "sent bearer a1b2c3d4e5f6g7 to it", "sent bearer *** to it"),
    ("url", "postgres://me:pa55@db:5432/x", "postgres://***@db:5432/x"),
    ("url-password-only", "redis://:pa55@cache", "redis://***@cache"),
    ("query", "GET /x?api_key=abcd1234&n=1", "GET /x?api_key=***&n=1"),
    ("assigned", "password=hunter2", "password=***"),
    ("assigned-spaces", "token = 8a7b6c5d4e3f2a1b0c9d", "token = ***"),
    ("colon", "password: hunter2, user: bob", "password: ***, user: bob"),
    ("digits", "passwd=12345678", "passwd=***"),
    ("json", r'"password": "hun\"ter2", "a": "b"', '"password": "***", "a": "b"'),
    ("json-in-json", r"{\"password\": \"hunter2\", \"a\": 1}", r"{\"password\": \"***\", \"a\": 1}"),
    ("python", "Namespace(api_key='k1', port=1)", "Namespace(api_key='***', port=1)"),
    ("python-list", "api_key=['k1', 'k2'] x=1", "api_key=[***] x=1"),
    ("option", "serve --api-key abc --port 1", "serve --api-key *** --port 1"),
    ("option-equals", "serve --hf-token=abc --port 1", "serve --hf-token=*** --port 1"),
    ("option-list", "['--api-key', 'abc', '--port']", "['--api-key', '***', '--port']"),
    ("variable", "HF_TOKEN=abc", "HF_TOKEN=***"),
    ("variable-with-spaces", "DB_PASSWORD=two words here", "DB_PASSWORD=***"),
    ("variable-exported", "export SIGNING_KEY='abc def'", "export SIGNING_KEY=***"),
    ("aws-key", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***"),
    ("private-key", f"has\n{KEY}\nthen", "has\n***\nthen"),
    ("private-key-in-json", repr(KEY), "'***'"),
    ("known", "it is S3cr3t/Value+Known.", "it is ***."),
    ("known-words", "the correct horse battery staple", "the *** staple"),
    ("known-in-url", "at S3cr3t%2FValue%2BKnown", "at ***"),
    ("known-in-json", r'"x": "quo\"ted-pass"', '"x": "***"'),
    ("known-lines", "a line one of it\nline two of the same b", "a *** b"),
    ("known-line-of-several", "> line two of the same <", "> *** <"),
    ("two-touching", f"{HF} {HF}", "*** ***"),
]
PLAIN = [
    "Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 512.7 tokens/s",
    "max_tokens=256 num_tokens: 12 tokenizer=meta-llama/Llama-3-8B tokenizer_mode: auto",
    "--max-num-batched-tokens 8192 --tokenizer /models/x --served-model-name y",
    f"commit {SHA} sha256:{SHA} key={SHA}",
    "eos_token: <|im_end|> bos_token='<s>' token=1234 token_ids=[1, 2, 3] pad_token=None",
    "next token: ' the' first token after 12.5 ms",
    "PASS: test_case_1234567 passed=12 fail=0",
    "key: model.layers.0.self_attn.q_proj.weight num_key_value_heads=8 KeyError: 'foo'",
    "Namespace(hf_token=None, api_key=None, password=null, secret: str)",
    'if token == "abc": secrets::load() -> token',
    "Bearer authentication enabled; auth: ok; author: someone12345678",
    "http://127.0.0.1:8000/v1/models and git@host:repo and a@b.c",
    "monkey=banana1234567890abc bypass: yes compass=north1234567",
    "sk-learn task-0123456789012345678901234 disk-usage hf_hub eyJ AKIA",
    "password for user: failed password from 10.0.0.1",
    "Ke\x00y \xff\xfe " + "x" * 500,
]


def scrubber():
    return Scrubber(KNOWN)


def in_parts(data, cuts, at_most=1 << 20):
    """Return what a reader gets that asks whenever more has come, and the number of secrets."""
    taker, out, start, hidden = scrubber(), b"", 0, 0
    for end in [*sorted(cuts), len(data)]:
        part = taker.part(data[start:end], at_most, ended=False)
        out, start, hidden = out + part.clean, start + part.used, hidden + part.hidden
    while start < len(data):
        part = taker.part(data[start:], at_most, ended=True)
        assert part.used > 0
        out, start, hidden = out + part.clean, start + part.used, hidden + part.hidden
    return out, hidden


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*row[1:], id=row[0]) for row in SECRET])
def test_a_secret_is_hidden_wherever_the_text_is_cut(text, expected):
    data, clean = text.encode(), expected.encode()
    assert scrubber().whole(data).clean == clean
    hidden = expected.count("***")
    for cut in range(len(data) + 1):
        assert in_parts(b"before\n" + data + b"\nafter\n", [cut + 7]) == (b"before\n" + clean + b"\nafter\n", hidden), (
            cut
        )


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text):
    data = text.encode("latin-1")
    assert scrubber().whole(data) == scrub.Part(data, len(data), 0)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_a_known_secret_is_hidden_inside_of_base64(before, after):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        data = b"x " + encode(b"abc"[:before] + KNOWN[0].encode() + b"xyz"[:after]) + b" y"
        clean = scrubber().whole(data)
        assert clean.hidden == 1
        assert len(clean.clean) <= len(b"x *** y") + 10, (
            "at most the characters shared with what stands beside it remain"
        )


LINES = st.lists(
    st.one_of(
        st.sampled_from([row[1].encode() for row in SECRET]),
        st.sampled_from([text.encode("latin-1") for text in PLAIN]),
        st.binary(max_size=30),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(LINES, st.lists(st.integers(0, 3000), max_size=8), st.sampled_from([1 << 20, 64, 7]))
def test_parts_of_any_size_give_what_the_whole_gives(lines, cuts, at_most):
    data = b"\n".join(lines) + b"\n"
    whole = scrubber().whole(data)
    out, hidden = in_parts(data, [min(cut, len(data)) for cut in cuts])
    assert (out, hidden) == (whole.clean, whole.hidden)
    assert not [value for value in KNOWN if value.encode() in in_parts(data, cuts, at_most)[0]]


def test_a_line_without_end_is_taken_in_pieces_and_no_secret_is_cut():
    data = b"".join(b"%d %s " % (number, KNOWN[0].encode()) for number in range(9000))
    out, hidden = in_parts(data, range(0, len(data), 5000))
    assert (out, hidden) == (data.replace(KNOWN[0].encode(), b"***"), 9000)


@pytest.mark.parametrize("beyond", ["", "not a key any more\n", "-----BEGIN CERTIFICATE-----\n"])
def test_a_private_key_without_an_end_is_hidden_as_far_as_its_lines_go(beyond):
    lines = [f"2026-01-02 INFO {'MIIEpAIBAAKCAQEA7xQ4m2' * 2}" for _ in range(20)]
    data = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, beyond]).encode()
    clean = scrubber().whole(data).clean
    assert b"MIIE" not in clean
    assert clean.endswith(beyond.encode())


def test_bytes_that_are_no_text_stay():
    dice = random.Random(7)
    data = dice.randbytes(3 << 20)
    assert Scrubber().whole(data).clean == data


@pytest.mark.parametrize(
    "text",
    [
        *(b"eyJ" * 80_000, b"sk-" * 80_000, b"://a:" * 50_000, b"-----BEGIN PRIVATE KEY-----" * 9_000, b"key" * 80_000),
        *(b'password="' * 25_000, b"token=[" * 35_000, b"token=x" * 35_000, b"TOKEN=" * 40_000, b"--token " * 30_000),
        *(b"-" * 250_000, b"password: \\" * 22_000),
    ],
    ids=lambda text: text[:12].decode(),
)
def test_the_time_grows_with_the_length_alone(text):
    def seconds(data):
        began = time.process_time()
        Scrubber().whole(data)
        return time.process_time() - began

    short = max(seconds(text[: len(text) // 8]), 0.02)
    assert seconds(text) < 40 * short, "eight times the text takes about eight times as long"


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        pytest.param(b"d of one\nwhole\n", 9, id="rest-of-a-line"),
        pytest.param(b"tail of it\rwhole\n", 11, id="carriage-return"),
        pytest.param(b"MIIE\n-----END PRIVATE KEY-----\nx", 30, id="rest-of-a-key"),
        pytest.param(b"a\n-----BEGIN PRIVATE KEY-----\nb\n-----END PRIVATE KEY-----\n", 2, id="a-whole-key"),
        pytest.param(b"x" * 40_000, scrub.LONGEST, id="one-long-line"),
        pytest.param(b"short", 5, id="nothing-whole"),
    ],
)
def test_after_a_gap_the_broken_line_is_left_out(text, left_out):
    assert after_gap(text) == left_out


@pytest.mark.parametrize(
    ("text", "kept"),
    [(b"one\ntwo\nthr", 8), (b"one\n", 4), (b"x" * 40_000, 40_000 - scrub.LONGEST), (b"abc", 0), (b"", 0)],
    ids=["broken-line", "whole-line", "one-long-line", "nothing-whole", "nothing"],
)
def test_before_a_gap_the_broken_line_is_left_out(text, kept):
    assert before_gap(text) == kept


def test_texts_within_values_are_cleaned_and_keys_stay():
    value = {"password": 1, "b": ["HF_TOKEN=abc", {"c": f"x {KNOWN[0]}"}, None, 2.5]}
    assert scrubber().value(value) == {"password": 1, "b": ["HF_TOKEN=***", {"c": "x ***"}, None, 2.5]}


def test_last_lines_of_a_container_are_without_the_values_of_its_environment():
    record = {"Config": {"Env": ["DB_PASSWORD=hunter2!", "MODEL=hunter3!"]}}
    said = "MIIE\n-----END PRIVATE KEY-----\nI am hunter2! and hunter3!"
    assert scrub.quoted(record, said) == "***\nI am *** and hunter3!"

# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from engine_sim.kv import Kv, KvError, KvStore, compute, digest_of, verify


def test_kv_has_a_size_by_tokens_and_bytes_by_prompt() -> None:
    first = compute("sim", "a prompt", 2, 256)
    assert len(first.data) == 512
    assert first == compute("sim", "a prompt", 2, 256)
    assert first.digest == digest_of(first.data)


@pytest.mark.parametrize(("model", "prompt"), [("sim", "another prompt"), ("other", "a prompt"), ("sim", "\ud800")])
def test_kv_of_another_prompt_or_model_differs(model: str, prompt: str) -> None:
    assert compute(model, prompt, 2, 256).digest != compute("sim", "a prompt", 2, 256).digest


def test_kv_of_another_request_is_refused_with_both_digests() -> None:
    expected, received = compute("sim", "mine", 1, 64), compute("sim", "yours, longer", 3, 64)
    verify(expected, compute("sim", "mine", 1, 64))
    with pytest.raises(KvError, match=rf"{received.digest[:12]} \(3 tokens\), expected {expected.digest[:12]} \(1 tok"):
        verify(received, expected)


def test_kv_is_given_once() -> None:
    store = KvStore(60, lambda: 0.0)
    store.put("a", Kv(3, b"abc"))
    assert store.take("a") == Kv(3, b"abc")
    with pytest.raises(KvError, match="Failed to get kvcache from prefill instance"):
        store.take("a")


def test_kv_that_nobody_claims_is_let_go() -> None:
    now = 0.0
    store = KvStore(60, lambda: now)
    store.put("old", Kv(3, b"abc"))
    now = 61.0
    store.put("new", Kv(1, b"d"))
    with pytest.raises(KvError):
        store.take("old")
    assert store.take("new") == Kv(1, b"d")

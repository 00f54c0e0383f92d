# SPDX-License-Identifier: MIT
"""The model file: its form is read back here as GGUF's own description says."""

from __future__ import annotations

import runpy
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
make_model = SimpleNamespace(**runpy.run_path(str(ROOT / "images" / "engine_llama" / "make_model.py")))


class Reader:
    """Reads GGUF values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> Any:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def text(self) -> str:
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def value(self, kind: int) -> Any:
        if kind == 8:
            return self.text()
        if kind == 9:
            element, count = self.take("IQ")
            return [self.value(element) for _ in range(count)]
        return self.take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])


@pytest.fixture(scope="module")
def model() -> SimpleNamespace:
    """The parsed file: keys, tensors (name -> shape, offset) and the place where the weights begin."""
    reader = Reader(make_model.model_bytes())
    assert reader.take("4s") == b"GGUF"
    version, tensor_count, key_count = reader.take("IQQ")
    keys = {reader.text(): reader.value(reader.take("I")) for _ in range(key_count)}
    tensors = {}
    for _ in range(tensor_count):
        name = reader.text()
        shape = [reader.take("Q") for _ in range(reader.take("I"))]
        kind, offset = reader.take("IQ")
        assert kind == 0
        tensors[name] = (shape, offset)
    begin = reader.at + -reader.at % 32
    return SimpleNamespace(version=version, keys=keys, tensors=tensors, begin=begin, data=reader.data)


def test_the_same_file_is_written_every_time(tmp_path: Path) -> None:
    assert make_model.main([str(tmp_path / "a")]) == make_model.main([str(tmp_path / "b")]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_shapes_agree_with_the_keys(model: SimpleNamespace) -> None:
    keys = model.keys
    assert model.version == 3
    assert keys["general.architecture"] == "llama"
    width, forward, vocabulary = (
        keys[f"llama.{name}"] for name in ("embedding_length", "feed_forward_length", "vocab_size")
    )
    assert (width, keys["llama.block_count"], vocabulary) == (64, 2, 261)
    assert model.tensors["token_embd.weight"][0] == model.tensors["output.weight"][0] == [width, vocabulary]
    assert model.tensors["blk.1.ffn_down.weight"][0] == [forward, width]
    assert model.tensors["blk.0.attn_q.weight"][0] == [width, width]
    assert len(model.tensors) == 3 + 2 * 9


def test_every_byte_has_a_letter_of_its_own(model: SimpleNamespace) -> None:
    tokens = model.keys["tokenizer.ggml.tokens"]
    assert len(tokens) == len(set(tokens)) == len(model.keys["tokenizer.ggml.token_type"]) == 261
    assert tokens[ord("A")] == "A"
    assert tokens[ord(" ")] == "\u0120"


def test_tensors_lie_behind_each_other_at_aligned_places(model: SimpleNamespace) -> None:
    end = 0
    for shape, offset in model.tensors.values():
        assert offset % 32 == 0
        assert offset >= end
        end = offset + 4 * (shape[0] * (shape[1] if len(shape) > 1 else 1))
    assert len(model.data) - model.begin - end < 32


def test_only_printable_ascii_can_be_said(model: SimpleNamespace) -> None:
    start = model.begin + model.tensors["output.weight"][1]
    rows = [struct.unpack_from("<64f", model.data, start + token * 256) for token in range(261)]
    assert [token for token, row in enumerate(rows) if any(row)] == list(range(ord(" "), ord("~") + 1))


def test_wrong_call_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_model.main([]) == 2
    assert "usage" in capsys.readouterr().err

# SPDX-License-Identifier: MIT
"""Write a small llama model with random weights as a GGUF file: python3 make_model.py FILE.

The model is 64 wide with 2 layers and speaks in bytes: 256 byte tokens and five special ones. Its weights come from
a fixed seed, so the same file is written everywhere. Only printable ASCII tokens have a row of weights in the output
layer, so that what it says can be read.
"""

from __future__ import annotations

import random
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 128, 4096
SPECIAL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5  # value types of GGUF
NORMAL, CONTROL = 1, 3  # token types of GGUF
F32_TENSOR = 0
ALIGNMENT = 32
# large output weights make the likely tokens stand out from the 166 tokens whose logit is always 0
OUTPUT_SCALE = 1.0


@dataclass(frozen=True)
class Tensor:
    """A named array of 32-bit floats; shape has the fastest-running dimension first, as GGUF wants it."""

    name: str
    shape: tuple[int, ...]
    values: array[float]


def byte_letters() -> list[str]:
    """Return the letter that stands for each byte in a byte-level vocabulary: itself, or one from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def tensors(rng: random.Random) -> Iterator[Tensor]:
    """Yield every tensor of the model in the order of the file."""
    vocabulary = 256 + len(SPECIAL)

    def noise(count: int, scale: float) -> array[float]:
        return array("f", (rng.uniform(-scale, scale) for _ in range(count)))

    def ones(count: int) -> array[float]:
        return array("f", [1.0]) * count

    yield Tensor("token_embd.weight", (WIDTH, vocabulary), noise(WIDTH * vocabulary, 1.0))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        yield Tensor(f"{block}.attn_norm.weight", (WIDTH,), ones(WIDTH))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield Tensor(f"{block}.{name}.weight", (WIDTH, WIDTH), noise(WIDTH * WIDTH, 0.2))
        yield Tensor(f"{block}.ffn_norm.weight", (WIDTH,), ones(WIDTH))
        for name, shape in (
            ("ffn_gate", (WIDTH, FEED_FORWARD)),
            ("ffn_up", (WIDTH, FEED_FORWARD)),
            ("ffn_down", (FEED_FORWARD, WIDTH)),
        ):
            yield Tensor(f"{block}.{name}.weight", shape, noise(WIDTH * FEED_FORWARD, 0.2))
    yield Tensor("output_norm.weight", (WIDTH,), ones(WIDTH))
    silent = array("f", [0.0]) * WIDTH
    rows = array("f")
    for token in range(vocabulary):
        rows.extend(noise(WIDTH, OUTPUT_SCALE) if ord(" ") <= token <= ord("~") else silent)
    yield Tensor("output.weight", (WIDTH, vocabulary), rows)


def text(value: str) -> bytes:
    """Return a GGUF string: its length in bytes, then the bytes."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pack(kind: int, value: object) -> bytes:
    """Return one value of a GGUF type without its type tag; an array is a pair of its element type and a list."""
    if kind == STRING:
        return text(str(value))
    if kind == ARRAY:
        assert isinstance(value, tuple)
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(pack(element, item) for item in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def metadata() -> dict[str, tuple[int, object]]:
    """Return the keys of the file: name -> (GGUF type, value)."""
    unknown, begin, end = 256, 257, 258
    return {
        "general.architecture": (STRING, "llama"),
        "general.name": (STRING, "tiny-random"),
        "general.alignment": (UINT32, ALIGNMENT),
        "general.file_type": (UINT32, 0),
        "llama.context_length": (UINT32, CONTEXT),
        "llama.embedding_length": (UINT32, WIDTH),
        "llama.block_count": (UINT32, LAYERS),
        "llama.feed_forward_length": (UINT32, FEED_FORWARD),
        "llama.attention.head_count": (UINT32, HEADS),
        "llama.attention.head_count_kv": (UINT32, HEADS),
        "llama.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-5),
        "llama.rope.dimension_count": (UINT32, WIDTH // HEADS),
        "llama.vocab_size": (UINT32, 256 + len(SPECIAL)),
        "tokenizer.ggml.model": (STRING, "gpt2"),
        "tokenizer.ggml.pre": (STRING, "default"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, [*byte_letters(), *SPECIAL])),
        "tokenizer.ggml.token_type": (ARRAY, (INT32, [NORMAL] * 256 + [CONTROL] * len(SPECIAL))),
        "tokenizer.ggml.merges": (ARRAY, (STRING, [])),
        "tokenizer.ggml.unknown_token_id": (UINT32, unknown),
        "tokenizer.ggml.bos_token_id": (UINT32, begin),
        "tokenizer.ggml.eos_token_id": (UINT32, end),
        "tokenizer.ggml.add_bos_token": (BOOL, False),
        "tokenizer.chat_template": (STRING, CHAT_TEMPLATE),
    }


def padded(data: bytes) -> bytes:
    """Return data with zero bytes up to the next multiple of the alignment."""
    return data + bytes(-len(data) % ALIGNMENT)


def model_bytes(seed: int = 1) -> bytes:
    """Return the whole file: header, keys, list of tensors, weights; the same for the same seed."""
    weights = list(tensors(random.Random(seed)))
    keys = metadata()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(keys))
    head += b"".join(text(name) + struct.pack("<I", kind) + pack(kind, value) for name, (kind, value) in keys.items())
    body = b""
    for tensor in weights:
        shape = struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        head += (
            text(tensor.name) + struct.pack("<I", len(tensor.shape)) + shape + struct.pack("<IQ", F32_TENSOR, len(body))
        )
        if sys.byteorder == "big":
            tensor.values.byteswap()
        body += padded(tensor.values.tobytes())
    return padded(head) + body


def main(arguments: list[str]) -> int:
    """Write the model to the one file named; 2 when the call is wrong."""
    if len(arguments) != 1:
        print("usage: make_model.py FILE", file=sys.stderr)
        return 2
    Path(arguments[0]).write_bytes(model_bytes())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

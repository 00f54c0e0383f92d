# SPDX-License-Identifier: MIT
"""The KV cache of a prompt: bytes that only this prompt gives, their digest, and the store of those received."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field


class KvError(Exception):
    """The KV cache of a request is not there or not its own; the message says which."""


def digest_of(data: bytes) -> str:
    """Return the digest that names KV bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Kv:
    """The KV cache of one prompt."""

    tokens: int
    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """Return the digest of the bytes."""
        return digest_of(self.data)


def compute(model: str, prompt: str, tokens: int, bytes_per_token: int) -> Kv:
    """Return the KV cache of a prompt: the same model and prompt give the same bytes, tokens give their number."""
    source = f"{model}\0{prompt}".encode("utf-8", "surrogatepass")
    return Kv(tokens, hashlib.shake_128(source).digest(tokens * bytes_per_token))


def verify(received: Kv, expected: Kv) -> None:
    """Raise KvError when the received KV is not the one that the prompt gives."""
    if received.digest != expected.digest:
        raise KvError(
            f"KV digest is {received.digest[:12]} ({received.tokens} tokens), "
            f"expected {expected.digest[:12]} ({expected.tokens} tokens): the KV is of another request"
        )


class KvStore:
    """The KV received for requests that are still to come, each kept for a while; `clock` counts seconds."""

    def __init__(self, keep_s: float, clock: Callable[[], float]) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._held: dict[str, tuple[float, Kv]] = {}

    def put(self, request_id: str, kv: Kv) -> None:
        """Hold the KV of a request, and let go of those nobody came for."""
        now = self._clock()
        expired = [held for held, (since, _) in self._held.items() if now - since > self._keep_s]
        for held in expired:
            del self._held[held]
        self._held[request_id] = (now, kv)

    def take(self, request_id: str) -> Kv:
        """Return the KV of a request and forget it; KvError when none came."""
        try:
            return self._held.pop(request_id)[1]
        except KeyError:
            raise KvError("Failed to get kvcache from prefill instance, it might be dead") from None

# SPDX-License-Identifier: MIT
"""Ways to a node's program on which bytes are damaged or cut, or something happens between them."""

from __future__ import annotations

import base64
from collections.abc import Callable

from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError


def nothing() -> None:
    """Do nothing."""


class Way:
    """A client of a served program, over one link. asked: op and arguments of each request, one list an exchange.

    spoil: makes of the bytes of a stream those that arrive; given the number of the stream, and bytes. before: number of an
    event -> what happens before it is read, once. fails: what the next exchanges raise.
    """

    line = True
    streamed = None
    same_machine = False

    def __init__(self, served) -> None:
        self.served = served
        self.asked = []
        self.reconnected = 0
        self.events = 0
        self.streams = 0
        self.before: dict[int, Callable[[], None]] = {}
        self.spoil: Callable[[int, bytes], bytes] | None = None
        self.fails: list[NodeError] = []

    def exchange(self, asked):
        self.asked.append([(one.op, one.args) for one in asked])
        if self.fails:
            raise self.fails.pop(0)
        return [self._one(one) for one in asked]

    def result(self, message):
        if "error" in message:
            raise NodeError(message["error"]["kind"], message["error"]["message"])
        return message["result"]

    def reconnect(self):
        self.reconnected += 1

    def _one(self, one):
        name = self.served.send(one.op, **one.args)
        whole = b""
        while True:
            self.before.pop(self.events, nothing)()
            message = self.served.hear()
            assert message["id"] == name
            if "event" not in message:
                break
            self.events += 1
            whole += base64.b64decode(message["event"]["stream"])
            if self.spoil is None:
                one.hear(message["event"])
        if self.spoil is not None and one.op == "send":
            self.streams += 1
            self._tell(one, self.spoil(self.streams - 1, whole))
        return message

    def _tell(self, one, data):
        for at in range(0, len(data), 5000):
            one.hear({"stream": base64.b64encode(data[at : at + 5000]).decode()})


class Scripted:
    """A node that answers `send` with ready-made bytes: base_rel -> stream."""

    line = True
    streamed = None
    same_machine = False

    def __init__(self, streams) -> None:
        self.streams = streams
        self.count = 0

    def exchange(self, asked):
        self.count += 1
        for one in asked:
            one.hear({"stream": base64.b64encode(self.streams[one.args["base_rel"]]).decode()})
        return [{"result": {}} for _ in asked]

    def result(self, message):
        return message["result"]

    def reconnect(self):
        raise AssertionError("nothing here is cured by another connection")

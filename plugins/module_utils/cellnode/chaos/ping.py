# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring a whole node's network: echo requests (ICMP) to an address outside."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import closing

ECHO, REPLY = 8, 0
HEAD = struct.Struct("!BBHHH")
BATCH = 16
SILENCE_S = 0.25
FUTILE = 48
WINDOW_S = 2.5
FIRST_S = 1.0  # hashlimit lets one second's worth pass at once
BIG = 1200


class Pinger:
    """Echo requests to one IPv4 address; answers are told from those of others by a token."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.getprotobyname("icmp"))
        self.socket.setblocking(False)
        self.address = address
        self.token = os.urandom(8)
        self.ident = struct.unpack("!H", os.urandom(2))[0]

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def send(self, number: int, size: int = 0) -> None:
        """Send one request; what a rule drops on its way out is lost without a word."""
        body = self.token + struct.pack("!I", number) + bytes(size)
        head = HEAD.pack(ECHO, 0, 0, self.ident, number & 0xFFFF)
        packet = HEAD.pack(ECHO, 0, checksum(head + body), self.ident, number & 0xFFFF) + body
        try:
            self.socket.sendto(packet, (self.address, 0))
        except OSError:
            return

    def answers(self, limit_s: float) -> list[tuple[int, int]]:
        """Return (number, bytes) of the answers that are there, waiting up to limit_s for the first."""
        found: list[tuple[int, int]] = []
        while select.select([self.socket], [], [], 0 if found else limit_s)[0]:
            try:
                packet = self.socket.recv(65535)
            except OSError:
                break
            number = parse(packet, self.token)
            if number is not None:
                found.append((number, len(packet)))
            elif not found:
                limit_s /= 2  # what others get must not hold us up for ever
        return found


def checksum(data: bytes) -> int:
    """Return the Internet checksum of a message."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def parse(packet: bytes, token: bytes) -> int | None:
    """Return the number in an echo reply (with its IPv4 header) that carries our token."""
    start = (packet[0] & 15) * 4 if packet else 0
    body = packet[start + HEAD.size :]
    if len(packet) < start + HEAD.size or packet[start] != REPLY or not body.startswith(token) or len(body) < 12:
        return None
    return int.from_bytes(body[8:12], "big")


def loss(address: str, count: int) -> float:
    """Return the share of count requests that gets no answer, in percent."""
    sent = 0
    got: set[int] = set()
    with closing(Pinger(address)) as pinger:
        while sent < count and (sent < FUTILE or got):
            upto = min(sent + BATCH, count)
            for number in range(sent, upto):
                pinger.send(number)
            sent = upto
            while len(got) < sent:
                fresh = pinger.answers(SILENCE_S)
                if not fresh:
                    break
                got.update(number for number, _ in fresh)
    return round(100.0 * (1 - len(got) / sent), 2)


def rate_kbit(address: str) -> float:
    """Return how much comes back of large requests once a first burst has passed, in kbit/s."""
    received, number, first, first_s = 0, 0, 0, 0.0
    with closing(Pinger(address)) as pinger:
        began = time.monotonic()
        while (seconds := time.monotonic() - began) < WINDOW_S:
            for _ in range(BATCH):
                pinger.send(number, BIG)
                number += 1
            received += sum(size for _, size in pinger.answers(0.02))
            if seconds < FIRST_S:
                first, first_s = received, time.monotonic() - began
        seconds = time.monotonic() - began
    return round((received - first) * 8 / 1000 / (seconds - first_s), 1)

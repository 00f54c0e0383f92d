# SPDX-License-Identifier: MIT
"""A file system that never answers: whoever looks for a file there waits inside the kernel, where no signal reaches it."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE = Path("/dev/fuse")
DEADLINE_S = 60
# FUSE's messages, as linux/fuse.h has them: one header for requests, one for answers, and the answer to the first request.
REQUEST = struct.Struct("=IIQQIIII")
ANSWER = struct.Struct("=IiQ")
LOOKUP, INIT = 1, 26
VERSION, MAX_WRITE = (7, 31), 1 << 16
ANSWER_TO_INIT = struct.Struct("=IIIIHHIIHHIIIIII")


class Unanswered:
    """The mounted file system. place: where; every path below it can be waited for without end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._device = os.open(DEVICE, os.O_RDWR)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"unanswered", os.fsencode(place), b"fuse", 0, options):
            os.close(self._device)
            raise OSError(ctypes.get_errno(), "cannot mount")
        self._greet()

    def wait_for_a_victim(self) -> None:
        """Wait until somebody looks for a file; whoever does cannot be killed from now on."""
        while self._take()[0] != LOOKUP:
            pass

    def free(self) -> None:
        """Let all who wait go on, with an error, and unmount; a second time changes nothing."""
        if self._device >= 0:
            os.close(self._device)
            self._device = -1
            subprocess.run(["umount", "-l", self.place], check=True)

    def _greet(self) -> None:
        kind, name = self._take()
        assert kind == INIT
        content = ANSWER_TO_INIT.pack(*VERSION, 0, 0, 0, 0, MAX_WRITE, *[0] * 9)
        os.write(self._device, ANSWER.pack(ANSWER.size + len(content), 0, name) + content)

    def _take(self) -> tuple[int, int]:
        """Return kind and number of the next request; a read that waits would keep the mount alive."""
        assert select.select([self._device], [], [], DEADLINE_S)[0], f"no request in {DEADLINE_S} s"
        _, kind, name, *_ = REQUEST.unpack_from(os.read(self._device, MAX_WRITE + 4096))
        return kind, name


@contextmanager
def unanswered(place: Path) -> Iterator[Unanswered]:
    """Mount at a new folder; at the end nobody waits there any more. OSError where that is not allowed."""
    place.mkdir()
    mounted = Unanswered(place)
    try:
        yield mounted
    finally:
        mounted.free()

# SPDX-License-Identifier: MIT
"""A Python interpreter for a node that notes what comes through: each start, each request, each answer.

It is called as `tollgate.py NOTES WORDS...`. Answers are held back for a moment, so that requests that were sent together
arrive before the first of them is answered: what comes after an answer was sent because of it.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time

HELD_S = 0.1
PYTHON = "/usr/bin/python3"


class Notes:
    """One JSON line for each thing that happened, in order."""

    def __init__(self, path):
        self._stream = open(path, "a", buffering=1)  # noqa: SIM115 - open as long as the process
        self._lock = threading.Lock()

    def note(self, what, **more):
        with self._lock:
            self._stream.write(json.dumps({"t": time.time(), "what": what, **more}) + "\n")


def main(path, *words):
    notes = Notes(path)
    notes.note("exec", words=words)
    if words[-1] != "serve":
        return subprocess.run([PYTHON, *words], check=False).returncode
    with subprocess.Popen([PYTHON, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        held = queue.Queue()
        threading.Thread(target=hold_back, args=(child.stdout, held), daemon=True).start()
        threading.Thread(target=hand_in, args=(child, notes), daemon=True).start()
        while (item := held.get()) is not None:
            hand_out(*item, notes)
        return child.wait()


def hold_back(stream, held):
    for line in stream:
        held.put((time.monotonic() + HELD_S, line))
    held.put(None)


def hand_in(child, notes):
    for line in sys.stdin.buffer:
        request = json.loads(line) if line.strip() else {}
        if "op" in request:
            notes.note("asked", op=request["op"])
        child.stdin.write(line)
        child.stdin.flush()
    child.stdin.close()


def hand_out(due, line, notes):
    time.sleep(max(0.0, due - time.monotonic()))
    if b'"result":' in line or b'"error":' in line:
        notes.note("answered")
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))

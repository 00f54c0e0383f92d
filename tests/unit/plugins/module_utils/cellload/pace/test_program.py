# SPDX-License-Identifier: MIT
"""The program for scripts as it lies on a node: started by a shell, shared by real processes, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.upload import programs

LIMIT_S = 60
PROCESSES = 8


class Pace:
    """The program in a case folder."""

    def __init__(self, folder: Path, settings: Any = None) -> None:
        self.folder = folder
        self.state = folder / "work" / ".testcell-pace.json"
        self.program = str(folder / "bin" / "testcell-pace")
        for place in ("bin", "work"):
            (folder / place).mkdir()
        for name, (content, mode) in programs(sys.executable, settings).items():
            (folder / "bin" / name).write_bytes(content)
            (folder / "bin" / name).chmod(mode)

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        argv = [self.program, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, env=env, check=False)

    def shown(self, key: str = "default") -> dict[str, Any]:
        return json.loads(self("show").stdout)["keys"][key]


@pytest.fixture
def pace(tmp_path: Path) -> Pace:
    return Pace(tmp_path)


def test_take_prints_nothing_and_needs_no_environment(pace: Pace) -> None:
    done = pace("take", env={})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pace.state.stat().st_mode & 0o777 == 0o600


def test_nothing_is_shown_before_the_first_word(pace: Pace) -> None:
    shown = json.loads(pace("show").stdout)
    assert shown["keys"] == {}
    assert shown["settings"]["max_wait_s"] == 60


def test_the_scenario_s_settings_are_used(tmp_path: Path) -> None:
    pace = Pace(tmp_path, {"initial": 4, "max": 4})
    began = time.monotonic()
    for _ in range(5):
        assert pace("take").returncode == 0
    assert time.monotonic() - began >= 4 / 4 * 0.9
    assert pace.shown()["rate"] == 4
    assert pace.shown()["waited_s"] > 0


@pytest.mark.parametrize("after", ["0.6", "date"])
def test_a_refusal_holds_the_next_turn_back(pace: Pace, after: str) -> None:
    if after == "date":
        # A date has whole seconds, so one that is two ahead is more than one away.
        after = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    assert pace("tell", "429", "--retry-after", after).returncode == 0
    began = time.monotonic()
    assert pace("take").returncode == 0
    assert time.monotonic() - began >= 0.3
    assert (pace.shown()["refused"], pace.shown()["decreases"]) == (1, 1)


@pytest.mark.parametrize(
    ("status", "refused"), [("200", 0), ("ok", 0), ("500", 0), ("000", 0), ("503", 1), ("529", 1), ("overloaded", 1)]
)
def test_statuses_are_told_apart(pace: Pace, status: str, refused: int) -> None:
    assert pace("tell", status).returncode == 0
    assert pace.shown()["refused"] == refused


def test_keys_have_rates_of_their_own(pace: Pace) -> None:
    pace("tell", "429", "--retry-after", "30", "--key", "api.example/v1")
    assert pace("take", "--key", "other").returncode == 0
    done = pace("take", "--key", "api.example/v1", "--max-wait", "0.2")
    assert (done.returncode, done.stdout) == (75, "")
    assert "no turn within 0.2 s" in done.stderr


def test_a_longer_wait_than_a_request_has_is_told_at_once(pace: Pace) -> None:
    pace("tell", "429", "--retry-after", "3600")
    done = pace("take")
    assert done.returncode == 75
    assert "the server asks to wait for 3" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "WORD"),
        (("tell", "teapot"), "'teapot' is no status"),
        (("take", "--key", "a b"), "'a b' is no key"),
        (("take", "--max-wait", "-1"), "is not a number of seconds"),
        (("run",), "COMMAND"),
    ],
)
def test_wrong_usage_is_named(pace: Pace, words: tuple[str, ...], told: str) -> None:
    done = pace(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"default": 7}', '{"default": {"at": 1}}', "\x00" * 100])
def test_a_damaged_state_begins_anew(pace: Pace, content: str) -> None:
    pace.state.write_text(content)
    assert pace("take").returncode == 0
    assert pace.shown()["attempts"] == 1


def test_a_state_of_the_machine_s_last_boot_begins_anew(pace: Pace) -> None:
    pace("tell", "429", "--retry-after", "50")
    known = json.loads(pace.state.read_text())
    known["default"]["at"] += 1e6
    pace.state.write_text(json.dumps(known))
    assert pace("take", "--max-wait", "1").returncode == 0


def test_a_state_that_cannot_be_written_is_said(pace: Pace) -> None:
    pace.state.mkdir()
    done = pace("take")
    assert done.returncode == 3
    assert ".testcell-pace.json" in done.stderr


def test_run_passes_status_and_output_on(pace: Pace) -> None:
    done = pace("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert pace("run", "--", "no-such-command").returncode == 127
    assert pace.shown()["refused"] == 0


def test_run_repeats_what_was_refused_and_shows_the_last_run_alone(pace: Pace, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    script = f'echo x >> {tries}; n=$(wc -l < {tries}); echo "try $n"; [ $n -ge 2 ] || {{ echo "HTTP 429, Retry-After: 0.1" >&2; exit 22; }}'
    done = pace("run", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "try 2\n", "")
    shown = pace.shown()
    assert (shown["requests"], shown["attempts"], shown["refused"], shown["retries"]) == (1, 2, 1, 1)


def test_run_ends_with_its_budget_and_the_command_s_own_status(tmp_path: Path) -> None:
    pace = Pace(tmp_path, {"max_attempts": 3, "window_s": 0.1, "min": 50})
    done = pace("run", "--status", "9", "--", "sh", "-c", "echo busy; exit 9")
    assert (done.returncode, done.stdout) == (9, "busy\n")
    assert pace.shown()["attempts"] == 3


def test_a_signal_ends_the_command_and_is_not_a_reason_to_repeat_it(pace: Pace) -> None:
    argv = [pace.program, "run", "--", "sh", "-c", "trap 'exit 5' TERM; echo up > ready; while :; do sleep 0.05; done"]
    process = subprocess.Popen(argv, cwd=pace.folder, start_new_session=True)
    limit = time.monotonic() + LIMIT_S
    while not (pace.folder / "ready").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 5


# --- many processes -------------------------------------------------------------------------------------------------

WORKER = """
import http.client, subprocess, sys
port, pace, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for _ in range(count):
    for _ in range(20):
        subprocess.run([pace, "take"], check=True)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/")
        answer = connection.getresponse()
        connection.close()
        subprocess.run([pace, "tell", str(answer.status)], check=True)
        if answer.status == 200:
            break
    else:
        sys.exit(1)
"""


class Server(ThreadingHTTPServer):
    """A server that takes so many requests a second."""

    daemon_threads = True

    def __init__(self, rate: float, burst: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, time.monotonic()
        self.counts = {200: 0, 429: 0}
        self.lock = threading.Lock()

    def status(self) -> int:
        with self.lock:
            now = time.monotonic()
            self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
            found = 200 if self.tokens >= 1 else 429
            self.tokens -= found == 200
            self.counts[found] += 1
            return found


class Handler(BaseHTTPRequestHandler):
    """Answer with the server's status."""

    server: Server

    def do_GET(self) -> None:
        self.send_response(self.server.status())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(rate=6, burst=2)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_eight_processes_share_one_rate(pace: Pace, server: Server) -> None:
    each = 3
    argv = [sys.executable, "-c", WORKER, str(server.server_port), pace.program, str(each)]
    workers = [subprocess.Popen(argv) for _ in range(PROCESSES)]
    assert [worker.wait(LIMIT_S) for worker in workers] == [0] * PROCESSES
    assert server.counts[200] == PROCESSES * each
    shown = pace.shown()
    assert shown["attempts"] == sum(server.counts.values())
    assert shown["refused"] == server.counts[429] > 0
    assert server.counts[429] <= server.counts[200], "most of what was sent was taken"


def test_processes_that_are_killed_leave_the_rate_usable(tmp_path: Path) -> None:
    pace = Pace(tmp_path, {"initial": 500, "max": 500})
    loop = 'while :; do "$0" take --key "$1"; "$0" tell 200 --key "$1"; done'
    chance = random.Random(7)
    going: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(16):
            while len(going) < PROCESSES:
                argv = ["sh", "-c", loop, pace.program, "k"]
                going.append(subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL))
            time.sleep(chance.uniform(0.02, 0.12))
            killed = going.pop(chance.randrange(PROCESSES))
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait(LIMIT_S)
            json.loads(pace.state.read_text() or "{}") if pace.state.exists() else {}
    finally:
        for process in going:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT_S)
    before = json.loads(pace.state.read_text()).get("k", {"attempts": 0})["attempts"]
    assert pace("take", "--key", "k").returncode == 0
    assert pace.shown("k")["attempts"] == before + 1
    assert {path.name for path in (tmp_path / "work").iterdir()} <= {".testcell-pace.json", ".testcell-pace.json.new"}

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervised command's own first moments: a new session, clean signals, its folder and environment, then exec."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "XDG_RUNTIME_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "LD_LIBRARY_PATH"),
)


def environment(given: Mapping[str, str], wanted: Mapping[str, str], mark: Mapping[str, str]) -> dict[str, str]:
    """Return the command's variables: the few that any program needs, then the request's, then our mark.

    The rest of the caller's environment stays behind: on the controller it holds secrets.
    """
    return {"PATH": PATH, **{name: given[name] for name in INHERITED if name in given}, **wanted, **mark}


@dataclass(frozen=True)
class Pipes:
    """The command's ends of the pipes. log: its output; go: it waits there for one byte; error: where failures go."""

    log: int
    go: int
    error: int


def start(argv: tuple[str, ...], env: Mapping[str, str], cwd_fd: int, pipes: Pipes) -> None:
    """Become the command; never return. A failure goes to the error pipe as JSON {stage, errno}."""
    stage = "prepare"
    try:
        os.setsid()
        if os.read(pipes.go, 1) != b"g":
            os._exit(1)
        _clean_signals()
        os.umask(0o022)
        _redirect(pipes.log)
        stage = "chdir"
        os.fchdir(cwd_fd)
        stage = "exec"
        os.execvpe(argv[0], list(argv), dict(env))
    except OSError as exc:
        os.write(pipes.error, json.dumps({"stage": stage, "errno": exc.errno or 0}).encode())
    finally:
        os._exit(127)


def _clean_signals() -> None:
    """Give every signal its default action and unblock it: Python ignores SIGPIPE, and nohup SIGHUP."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # the C library keeps the first real-time signals for itself
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _redirect(log_fd: int) -> None:
    """Read nothing, and write both outputs to the log pipe so that their order is kept."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)


def explain(argv0: str, cwd: Path, env: Mapping[str, str], stage: str, number: int) -> str:
    """Return a sentence that says why a command could not be started."""
    reason = os.strerror(number)
    if stage != "exec":
        return f"{argv0!r} could not be started: {reason} ({stage})"
    if "/" not in argv0:
        path = env.get("PATH", "")
        return f"{argv0!r} is not a command: {reason} (searched in PATH={path}; a file needs `./` before it)"
    return f"{argv0!r} could not be started: {_file_fault(cwd / argv0, reason, number)}"


def _file_fault(path: Path, reason: str, number: int) -> str:
    """Return what is wrong with a program file."""
    try:
        info = path.stat()
    except OSError:
        return reason
    if not stat.S_ISREG(info.st_mode):
        return "it is not a regular file"
    if not info.st_mode & 0o111:
        return f"it is not executable (mode {stat.S_IMODE(info.st_mode):04o}); chmod +x it"
    with path.open("rb") as stream:
        first = stream.readline(256).rstrip(b"\n")
    if number == errno.ENOEXEC:
        return "it is no program and has no `#!` line"
    if number == errno.ENOENT and first.startswith(b"#!"):
        hint = "; its first line ends in a carriage return" if first.endswith(b"\r") else ""
        return f"its interpreter {first[2:].decode('utf-8', 'replace').strip(' ')!r} was not found{hint}"
    return reason

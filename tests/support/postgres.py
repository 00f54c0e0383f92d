# SPDX-License-Identifier: MIT
"""A PostgreSQL server of a test's own: in a temporary folder, on a port that nobody else has, gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = "postgres"
# Whose processes the server's are where we are root, which it refuses: its own user, where its package is installed.
USERS = (USER, "nobody")
UNPACKED = ROOT / ".cache" / "postgres"
START_WITHIN_S = 60.0


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a running server, with its password; skip where PostgreSQL is not installed (make postgres)."""
    found = _programs()
    # The server refuses root, and its user cannot look into pytest's folders.
    folder = Path(tempfile.mkdtemp(prefix="testcell-postgres-"))
    password, port = secrets.token_hex(8), _free_port()
    try:
        programs = _within_reach(found, folder)
        (folder / "password").write_text(password)
        _give(folder)
        made = [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "-N",
            "--pwfile",
            folder / "password",
        ]
        subprocess.run([*_as_its_user(), *made], check=True, capture_output=True, cwd=folder)
        with _running(programs, folder, port):
            yield f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(programs: Path, folder: Path, port: int) -> Iterator[None]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 60,
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*_as_its_user(), programs / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, cwd=folder
    )
    try:
        _wait(process, folder, port)
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=30)
        log.close()


def _wait(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    """Wait until the server says that it takes connections."""
    until = time.monotonic() + START_WITHIN_S
    while b"ready to accept connections" not in (folder / "log").read_bytes():
        assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.05)


def _programs() -> Path:
    """Return the folder of the programs: the system's, else what setup/postgres has laid out."""
    on_path = shutil.which("initdb")
    for base in (Path("/"), UNPACKED):
        found = sorted(base.glob("usr/lib/postgresql/*/bin/initdb"), key=lambda path: float(path.parts[-3]))
        if found:
            return found[-1].parent
    if not on_path:
        pytest.skip("PostgreSQL is not installed; make postgres")
    return Path(on_path).parent


def _within_reach(programs: Path, folder: Path) -> Path:
    """Return programs, or a copy of what is laid out in the checkout, which the server's user may not look into."""
    if not programs.is_relative_to(UNPACKED):
        return programs
    shutil.copytree(UNPACKED / "usr", folder / "usr", symlinks=True)
    return folder / programs.relative_to(UNPACKED)


def _its_user() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def _as_its_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = _its_user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        user = _its_user()
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine itself says: kernel log, memory, disks, load, engine, GPUs. Each piece or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from .command import run, which
from .engine import Engine
from .errors import CellError

TIMEOUT_S = 10.0
KEPT = 2 << 20
COMMANDS: dict[str, tuple[str, ...]] = {
    "dmesg.txt": ("dmesg", "-T"),
    "df.txt": ("df", "-PT"),
    "df_inodes.txt": ("df", "-Pi"),
    "processes.txt": ("ps", "-eo", "pid,ppid,pgid,user,stat,etime,rss,comm"),
    "nvidia-smi.txt": ("nvidia-smi", "-q"),
}
FILES = {"meminfo.txt": "/proc/meminfo", "loadavg.txt": "/proc/loadavg", "mounts.txt": "/proc/self/mountinfo"}


def pieces(environ: Mapping[str, str], engine: Engine) -> Iterator[tuple[str, bytes | str]]:
    """Yield (file name, content) of each piece; text in place of bytes is the reason why there is no content."""
    for name, path in FILES.items():
        yield name, _file(Path(path))
    for name, argv in COMMANDS.items():
        yield name, _output(environ, argv)
    yield "docker_info.json", _info(engine)


def _file(path: Path) -> bytes | str:
    try:
        return path.read_bytes()[-KEPT:]
    except OSError as exc:
        return str(exc)


def _output(environ: Mapping[str, str], argv: tuple[str, ...]) -> bytes | str:
    if which(argv[0], environ) is None:
        return f"{argv[0]} is not installed"
    done = run(argv, dict(environ), TIMEOUT_S)
    if done.timed_out:
        return f"{argv[0]} did not end within {TIMEOUT_S:g} s"
    if not done.ok:
        return f"{argv[0]} failed with exit code {done.code}: {done.err.strip()[:300]}"
    return done.out.encode()[-KEPT:]


def _info(engine: Engine) -> bytes | str:
    try:
        return json.dumps(engine.info(), indent=1, sort_keys=True).encode()
    except CellError as exc:
        return exc.message

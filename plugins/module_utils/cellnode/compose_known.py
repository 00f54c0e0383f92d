# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Composes of this node as they were found last, as long as their programs are the same.

Asking V1 takes a quarter of a second of processor time, and every run would ask.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import compose_cli
from .beneath import FOLDER_FLAGS
from .command import which
from .compose_cli import Compose
from .durable import read_json, replace_json

FILE = "compose.json"
# Where the docker command looks for its plugins beside the user's own folder (docker/cli, cli-plugins/manager).
PLUGIN_FOLDERS = tuple(f"/usr/{place}/docker/cli-plugins" for place in ("local/lib", "local/libexec", "lib", "libexec"))
PLUGIN = "docker-compose"
LIMIT_S = 10.0


def detect(root: Path, environ: Mapping[str, str], *, keep: bool) -> tuple[Compose, ...]:
    """Return the Composes that answer, the plugin before V1. keep: what was asked may be kept in the node root."""
    programs = [_identity(path) for path in _programs(environ)]
    known = _kept(root, programs)
    if known:
        return known
    found = tuple(_direct(one, environ) for one in compose_cli.detect(environ))
    if keep and _explained(found, environ):
        _write(root, {"programs": programs, "compose": [one.as_dict() for one in found]})
    return found


def _direct(found: Compose, environ: Mapping[str, str]) -> Compose:
    """Return the plugin as a program by itself, where it is one: called by `docker` it is asked what it is before each call.

    It is the one that `docker` takes if it is the first in its folders and has the same version.
    """
    if found.argv[0] != "docker":
        return found
    first = next((path for path in _plugins(environ) if path.exists()), None)
    itself = compose_cli.probe([str(first)], environ, LIMIT_S) if first else None
    return itself if itself and itself.version == found.version else found


def _plugins(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that the plugin may be, in the order in which `docker` looks for it."""
    for folder in (_configuration(environ) / "cli-plugins", *map(Path, PLUGIN_FOLDERS)):
        yield folder / PLUGIN


def _programs(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files on which the answer depends, whether they are there or not."""
    yield _configuration(environ) / "config.json"  # it may name further folders
    yield from _plugins(environ)
    for name in ("docker", "docker-compose"):
        path = which(name, environ)
        if path:
            yield Path(path)
            yield from _interpreter(Path(path))


def _configuration(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/", ".docker"))


def _interpreter(program: Path) -> Iterator[Path]:
    """Yield the program that a script names in its first line: with another Python V1 may answer no more."""
    with suppress(OSError), program.open("rb") as stream:
        first = stream.readline(256).split()
        if first and first[0].startswith(b"#!/"):
            yield Path(os.fsdecode(first[0][2:]))


def _identity(path: Path) -> list[Any]:
    """Return what changes when the file at a path does; links are followed."""
    try:
        status = path.stat()
    except OSError:
        return [str(path), None]
    return [str(path), [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]]


def _explained(found: tuple[Compose, ...], environ: Mapping[str, str]) -> bool:
    """Return whether each answer came from files that are looked at."""
    plugged = any(path.exists() for path in _plugins(environ))
    return bool(found) and all(one.argv[0] != "docker" or plugged for one in found)


def _kept(root: Path, programs: list[Any]) -> tuple[Compose, ...]:
    """Return what was found with the same programs; empty where nothing is kept, or nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        folder = os.open(root, FOLDER_FLAGS)
        try:
            kept = read_json(folder, FILE)
        finally:
            os.close(folder)
        if kept and kept["programs"] == programs:
            return tuple(Compose(one["kind"], tuple(one["argv"]), one["version"]) for one in kept["compose"])
    return ()


def _write(root: Path, kept: dict[str, Any]) -> None:
    """Keep what was found; a full disk is for others to tell."""
    with suppress(OSError):
        folder = os.open(root, FOLDER_FLAGS)
        try:
            replace_json(folder, FILE, kept)
        finally:
            os.close(folder)

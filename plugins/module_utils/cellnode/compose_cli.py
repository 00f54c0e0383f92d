# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose as a command: which one is there (V1 or the plugin), its arguments, its environment, its words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .command import run, search_path, which
from .errors import CellError
from .messages import plain
from .params import refuse, text, texts
from .request import choice

PLUGIN, V1 = "plugin", "v1"
CANDIDATES = (("docker", "compose"), ("docker-compose",))
KEPT = ("HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")
_VERSION = re.compile(r"[Vv]ersion:?\s+v?(\d+(?:\.\d+)+[^\s,]*)")
_SHORT = re.compile(r"^v?(\d+(?:\.\d+)+[^\s,]*)$")
_WARNING = re.compile(r'level=warning msg="((?:[^"\\]|\\.)*)"|^\s*WARN(?:ING)?(?:\[\d+\]|:)\s*(.+)$')


@dataclass(frozen=True)
class Compose:
    """One Compose of this node. kind: "v1" is the Python program, "plugin" everything after it whatever its major."""

    kind: str
    argv: tuple[str, ...]
    version: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"kind": self.kind, "argv": list(self.argv), "version": self.version}


def parse_version(said: str) -> tuple[str, str] | None:
    """Return (kind, version) from what `version` printed, or None when that is no Compose."""
    for line in plain(said).splitlines():
        match = _VERSION.search(line) or _SHORT.match(line.strip())
        if match:
            version = match.group(1)
            return (V1 if version.startswith("1.") else PLUGIN), version
    return None


def detect(environ: Mapping[str, str], timeout_s: float = 10.0) -> tuple[Compose, ...]:
    """Return the Composes that answer, the plugin before V1."""
    with ThreadPoolExecutor(len(CANDIDATES)) as pool:
        found = list(pool.map(lambda argv: probe(argv, environ, timeout_s), CANDIDATES))
    return tuple(compose for compose in found if compose is not None)


def probe(argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Compose | None:
    """Return the Compose behind argv, or None when it does not answer."""
    if which(argv[0], environ) is None:
        return None
    done = run([*argv, "version"], environ, timeout_s)
    parsed = parse_version(done.out) if done.ok else None
    return None if parsed is None else Compose(parsed[0], tuple(argv), parsed[1])


def told(found: Mapping[str, Any]) -> Compose | None:
    """Return the Compose that the caller has found on this node before, as `as_dict` gives it; None for nothing."""
    if not found:
        return None
    kind, argv = choice(found, "kind", (PLUGIN, V1), ""), texts(found, "argv")
    if not argv:
        raise refuse("compose.argv", [], "at least one word")
    return Compose(kind, argv, text(found, "version", ""))


def choose(environ: Mapping[str, str], argv: Sequence[str]) -> Compose:
    """Return the Compose behind argv, or the first one that answers when argv is empty; raise when there is none."""
    candidates = (tuple(argv),) if argv else CANDIDATES
    for candidate in candidates:
        compose = probe(candidate, environ, 10.0)
        if compose is not None:
            return compose
    tried = " and ".join(" ".join(candidate) for candidate in candidates)
    raise CellError("docker_api_mismatch", f"no Compose answers on this node; tried: {tried}", tried=tried)


def environment(
    environ: Mapping[str, str], own: Mapping[str, str], socket: str, mark: str, timeout_s: float
) -> dict[str, str]:
    """Return the environment of a Compose call: own values, PATH, HOME, DOCKER_*, and the engine that we talk to.

    mark: the unit token by which a call that outlives us is found again.
    """
    env = {key: value for key, value in environ.items() if key in KEPT or key.startswith("DOCKER_")}
    env.update(own)
    env.update(PATH=search_path(environ), DOCKER_HOST=f"unix://{socket}", TESTCELL_UNIT=mark)
    env.update(COMPOSE_ANSI="never", COMPOSE_PROGRESS="plain", COMPOSE_IGNORE_ORPHANS="1", PYTHONIOENCODING="utf-8")
    env.update(COMPOSE_HTTP_TIMEOUT=str(max(60, int(timeout_s))), COMPOSE_INTERACTIVE_NO_CLI="1")
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PATH_SEPARATOR", "COMPOSE_ENV_FILES"):
        env.pop(name, None)
    return env


def images(kind: str, said: str) -> dict[str, str]:
    """Return service -> image from what `config` printed: JSON by the plugin, YAML of a fixed layout by V1."""
    if kind == PLUGIN:
        services = (json.loads(said).get("services") or {}).items()
        return {str(name): str((service or {}).get("image") or "") for name, service in services}
    found: dict[str, str] = {}
    section, service = "", ""
    for line in said.splitlines():
        indent, words = len(line) - len(line.lstrip(" ")), line.strip()
        if indent == 0:
            section, service = words, ""
        elif section == "services:" and indent == 2 and words.endswith(":"):
            service = words[:-1].strip("'\"")
            found[service] = ""
        elif section == "services:" and indent == 4 and words.startswith("image:"):
            found[service] = words[len("image:") :].strip().strip("'\"")
    return found


def warnings(said: str) -> list[str]:
    """Return the warnings in what Compose printed, each once, at most 20."""
    matches = (_WARNING.search(line) for line in plain(said).splitlines())
    found = [(match.group(1) or match.group(2)).strip() for match in matches if match]
    return list(dict.fromkeys(found))[:20]

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's and Compose's messages mean: text in, error kind of the failure taxonomy out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Meaning:
    """The kind of a message and the line that told it; kind is "unknown" when nothing matched."""

    kind: str
    line: str


# (kind, pattern) in order of rank: where two patterns match the same line, the first one wins.
_TABLE: tuple[tuple[str, str], ...] = (
    ("registry_rate_limited", r"toomanyrequests|exceeded pull rate limit|429 Too Many Requests|pull rate limit"),
    ("resource_limit", r"failed to create new OS thread|fatal error: newosproc|[Cc]an't start new thread"),
    ("resource_limit", r"Resource temporarily unavailable|[Tt]oo many open files|[Cc]annot allocate memory"),
    ("resource_limit", r"runtime: out of memory|cannot reserve arena virtual address space|MemoryError"),
    ("resource_limit", r"fatal error: failed to reserve \S.* memory"),
    # Compose answered before: where docker does not know it all the same, it could not start its plugin.
    ("resource_limit", r"unknown shorthand flag: '[pf]' in -[pf]$|unknown flag: --(?:project-name|file)\b"),
    ("resource_limit", r"'compose' is not a docker command"),
    ("docker_permission", r"permission denied while trying to connect to the Docker daemon socket"),
    ("docker_permission", r"connecting to the (?:Docker )?daemon.*permission denied|aborted.*PermissionError"),
    ("docker_daemon_down", r"Cannot connect to the Docker daemon|Couldn't connect to Docker daemon"),
    ("docker_daemon_down", r"Error while fetching server API version|Is the docker daemon running"),
    ("docker_daemon_down", r"Devices cgroup isn't mounted|docker\.sock: connect: (?:connection refused|no such file)"),
    ("docker_timeout", r"UnixHTTPConnectionPool\(.*Read timed out|An HTTP request took too long to complete"),
    ("docker_api_mismatch", r"'ContainerConfig'|client is newer than server|client version [\d.]+ is too (?:old|new)"),
    ("docker_api_mismatch", r"Maximum supported API version|Minimum supported API version"),
    ("registry_unreachable", r"dial tcp|network is unreachable|no such host|server misbehaving|TLS handshake timeout"),
    ("registry_unreachable", r"Client\.Timeout exceeded while awaiting headers|proxyconnect tcp"),
    ("image_auth", r"unauthorized|no basic auth credentials|authentication required|denied: requested access"),
    ("image_corrupt", r"layer verification failed for digest|unexpected EOF|invalid checksum digest"),
    ("disk_full", r"no space left on device|failed to register layer"),
    ("image_not_found", r"pull access denied for|repository does not exist|manifest unknown|No such image"),
    ("image_not_found", r"manifest for \S+ not found|not found: manifest|no matching manifest for"),
    ("image_not_found", r"needs to be built, but --no-build was passed|image \S+ not found"),
    ("port_conflict", r"port is already allocated|bind: address already in use|failed to bind host port for"),
    ("port_conflict", r"address already in use|failed to set up container networking"),
    ("name_conflict", r"The container name \"?[^\"]*\"? is already in use|container name .* already in use"),
    ("docker_leftover", r"has active endpoints|Resource is still in use|removal of container .* in progress"),
    ("docker_leftover", r"volume is in use|network with name \S+ already exists"),
    ("network_exhausted", r"address pools have been fully subnetted|non-overlapping IPv4 address pool"),
    ("gpu_runtime_missing", r"could not select device driver|[Uu]nknown runtime specified"),
    ("gpu_runtime_missing", r"unknown or invalid runtime name|nvidia-container-cli|nvidia-container-runtime"),
    ("mount_invalid", r"invalid mount config for type|bind source path does not exist|Duplicate mount point"),
    ("mount_invalid", r"error mounting \"|not a directory: unknown: Are you trying to mount"),
    ("compose_invalid", r"network \S+ not found|declared as external"),
    ("dependency_failed", r"cannot join network of a non running container"),
    ("container_gone", r"No such container|Container \S+ is not running|container \S+ is not running"),
    ("process_leak", r"tried to kill container, but did not receive an exit event"),
    ("container_exited", r"executable file not found in|exec format error|didn't complete successfully: exit"),
    ("container_exited", r"container \S+ exited \(\d+\)"),
    ("health_timeout", r"application not healthy after|timeout waiting for dependencies"),
    ("service_unhealthy", r"[Cc]ontainer \"?\S+\"? is unhealthy"),
    ("compose_invalid", r"The Compose file .* is invalid|Unsupported config option"),
    ("compose_invalid", r"Additional property \S+ is not allowed|additional properties '\S+' not allowed"),
    ("compose_invalid", r"Circular dependency between|dependency cycle detected|depends on undefined service"),
    ("compose_invalid", r"which is undefined|refers to undefined (?:network|volume|secret|config)|No such service"),
    ("compose_invalid", r"Invalid interpolation format|invalid interpolation format|Missing mandatory value for"),
    ("compose_invalid", r"required variable \S+ is missing|Version \"[^\"]*\" in .* is (?:invalid|unsupported)"),
    ("compose_invalid", r"Top level object in|[Tt]op-level object must be a mapping|Minimum memory limit allowed"),
    ("compose_invalid", r"[Ii]nvalid hostPort|[Ii]nvalid containerPort|invalid port specification|no such service"),
    ("compose_invalid", r"invalid reference format|no declaration was found in the|external \S+ \S+ not found"),
    ("compose_invalid", r"ScannerError|ParserError|yaml: |mapping values are not allowed|validating .*:"),
    ("compose_invalid", r"no configuration file|service \S+ is not enabled|no service selected"),
    ("compose_invalid", r"has neither an image nor a build context|undefined volume|undefined network|invalid compose"),
    ("compose_invalid", r"FileNotFoundError: .*\.ya?ml|open \S+\.ya?ml: no such file"),
    ("compose_invalid", r"Couldn't find env file|env file .* not found"),
)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the table compiled, on first use: most calls of the program meet no message at all."""
    return tuple((kind, re.compile(pattern)) for kind, pattern in _TABLE)


_LINE_NOISE = re.compile(r"Shared connection to \S+ closed|Encountered errors while bringing up the project")


def plain(text: str) -> str:
    """Return the text without colour codes and with carriage returns as line ends."""
    return ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def meaning(text: str) -> Meaning:
    """Return the meaning of the earliest line that has one; lines broken by width are tried joined as well.

    A registry's rate limit beats what is said around it, and a line that ends in a colon brings the next ones along.
    """
    lines = [" ".join(line.split()) for line in plain(text).split("\n")]
    lines = [line for line in lines if line and not _LINE_NOISE.search(line)]
    for line in lines:
        if _patterns()[0][1].search(line):
            return Meaning("registry_rate_limited", line)
    for index, line in enumerate(lines):
        kind = _kind_of(line)
        if kind:
            return Meaning(kind, " ".join(lines[index : index + 4]) if line.endswith(":") else line)
    return Meaning(_kind_of(" ".join(lines)) or "unknown", lines[-1] if lines else "")


def _kind_of(line: str) -> str:
    return next((kind for kind, pattern in _patterns() if pattern.search(line)), "")

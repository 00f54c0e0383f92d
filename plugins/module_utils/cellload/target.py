# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the load goes: a checked base URL, and the rule which network addresses may be sent load."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import LoadError

HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@%-]*")
CONTROL = re.compile(r"[\x00-\x20\x7f]")
OTHER_SERVICES = {22: "ssh", 23: "telnet", 25: "mail", 53: "DNS", 111: "rpcbind", 2049: "NFS"}
OTHER_SERVICES.update({3306: "MySQL", 5432: "PostgreSQL", 6379: "Redis"})
PATHS = {"completions": "completions", "chat": "chat/completions"}


class TargetError(ValueError):
    """A base URL that is refused; the text says why and never shows credentials."""


@dataclass(frozen=True)
class Target:
    """A server to load. path: prefix before /v1, without a slash at its end; trusted: the operator named it himself."""

    scheme: str
    host: str
    port: int
    path: str = ""
    trusted: bool = False

    @property
    def authority(self) -> str:
        """Return host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the base URL again, in one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def api_path(self, api: str) -> str:
        """Return the request path of an API ("completions" or "chat"); a base URL that ends in /v1 keeps it once."""
        prefix = self.path if self.path.endswith("/v1") else f"{self.path}/v1"
        return f"{prefix}/{PATHS[api]}"


def parse(text: str, trusted: bool = False) -> Target:
    """Return the target of a base URL; raise TargetError for anything but plain http(s)://host[:port][/path]."""
    if CONTROL.search(text):
        raise TargetError("contains a space or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise TargetError(f"is not a URL: {exc}") from None
    if "@" in parts.netloc:
        raise TargetError("contains a user name or password; give a key with TESTCELL_API_KEY instead")
    if parts.scheme not in ("http", "https"):
        raise TargetError(f"has the scheme {parts.scheme!r}; allowed: http, https")
    if parts.query or parts.fragment or "#" in text or "?" in text:
        raise TargetError("has a query or a fragment; allowed: http(s)://host[:port][/path]")
    return Target(parts.scheme, _host(parts.hostname or ""), _port(port, parts.scheme), _path(parts.path), trusted)


def _host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass  # not an address: a name, checked below
    if not HOST_NAME.fullmatch(host) or len(host) > 253:
        raise TargetError(
            f"has the host {host!r}; allowed: an address, or a name of ASCII letters, digits, '-' and '.'"
        )
    return host.lower()


def _port(port: int | None, scheme: str) -> int:
    if port is None:
        return 443 if scheme == "https" else 80
    if port == 0 or port in OTHER_SERVICES:
        other = OTHER_SERVICES.get(port, "no port")
        raise TargetError(f"has the port {port} ({other}), where no inference API answers")
    return port


def _path(path: str) -> str:
    if not PATH.fullmatch(path):
        raise TargetError(f"has the path {path!r} with characters that must be percent-encoded")
    return path.rstrip("/")


def check_address(address: str, target: Target, allowed_hosts: tuple[str, ...]) -> None:
    """Raise LoadError(request_blocked) unless load may go to this resolved address of the target.

    Loopback and private networks are allowed; public addresses only when the operator named the target himself or the
    host is in allowed_hosts; link-local (cloud metadata), multicast and unspecified addresses never.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        never = "load never goes to link-local, multicast or unspecified addresses"
        raise LoadError("request_blocked", f"{target.host} is {ip}: {never}")
    if ip.is_global and not target.trusted and target.host not in allowed_hosts:
        allowed = "allowed: loopback and private networks, and hosts named in allowed_hosts"
        raise LoadError("request_blocked", f"{target.host} is {ip}, a public address; {allowed}")

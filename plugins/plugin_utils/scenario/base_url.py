# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides whether a base URL may be sent load: plain http(s) to a host that the run knows, never to cloud metadata."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from ..problems import escape, listing, show
from .node_names import is_host_name

FORM = "http(s)://HOST[:PORT][/PATH]"

_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:%-]*")
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_METADATA_HOSTS = ("metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal")
_METADATA_ADDRESSES = ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
_OTHER_SERVICES = {
    21: "FTP", 22: "SSH", 23: "telnet", 25: "mail", 53: "DNS", 111: "rpcbind", 2049: "NFS", 2375: "the Docker engine",
    2376: "the Docker engine", 3306: "MySQL", 5432: "PostgreSQL", 6379: "Redis",
}  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def wrong_base_url(text: str, allowed_hosts: Collection[str] | None = None) -> str:
    """Return why text is not used as a base URL, or "". allowed_hosts: hosts beside loopback; None allows any host.

    The answer never shows credentials.
    """
    wrong = _wrong_text(text)
    if wrong:
        return wrong
    try:
        parts = urlsplit(text)
        port, host = parts.port, (parts.hostname or "").lower()
    except ValueError:
        return "is not a URL"
    return _wrong_scheme(parts) or _wrong_port(port) or _wrong_host(host, allowed_hosts)


def _wrong_text(text: str) -> str:
    if any(ord(char) <= 32 or ord(char) == 127 for char in text):
        return "has a space, a line end or a control character"
    if not text.isascii():
        char = next(char for char in text if ord(char) > 127)
        return f"has a character that is not ASCII, U+{ord(char):04X} {escape(char)}"
    if "@" in text:
        return "has a user name or password; keys are given through the environment variable TESTCELL_API_KEY"
    sign = next((sign for sign in "#?\\" if sign in text), "")
    return f"has a {sign!r}" if sign else ""


def _wrong_scheme(parts: SplitResult) -> str:
    if parts.scheme and parts.scheme not in ("http", "https"):
        return f"has the scheme {show(parts.scheme)}, only http and https are used"
    if not parts.scheme or not parts.netloc:
        return "is not a URL"
    return "" if _PATH.fullmatch(parts.path) else "has a path with characters that must be percent-encoded"


def _wrong_port(port: int | None) -> str:
    if port == 0:
        return "has the port 0, nothing can answer there"
    return f"has the port {port} of {_OTHER_SERVICES[port]}, where no API answers" if port in _OTHER_SERVICES else ""


def _wrong_host(host: str, allowed_hosts: Collection[str] | None) -> str:
    address = _address(host)
    if address is None and (not is_host_name(host) or _NUMERIC.fullmatch(host)):
        return f"has no valid host name or address, {show(host)}"
    if host in _METADATA_HOSTS or (address is not None and _is_metadata(address)):
        return f"leads to {host}, a link-local, metadata, multicast or unspecified address"
    if allowed_hosts is None or host == "localhost" or (address is not None and address.is_loopback):
        return ""
    known = {str(_address(name) or name) for name in (entry.strip("[]").lower() for entry in allowed_hosts)}
    if str(address or host) in known:
        return ""
    return f"leads to the host {show(host)}, allowed hosts: {listing(['localhost', *sorted(known - {'localhost'})])}"


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_metadata(address: Address) -> bool:
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    return special or str(address) in (*_METADATA_ADDRESSES, "255.255.255.255")

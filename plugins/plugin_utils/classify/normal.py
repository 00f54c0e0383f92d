# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every rule may rely on: bytes of any log made into lines without colours, progress bars and escapes.

lines = text_of(clean(raw)).splitlines()
plain(lines[0])            # one blank between words
message(lines[0])          # without the names and times that loggers and `docker compose logs` put in front
"""

from __future__ import annotations

import re

# A line that is longer is taken as several, so that no pattern runs over megabytes.
LONGEST_BYTES = 4096
SHOWN_CHARACTERS = 400

_ESCAPES = re.compile(
    rb"(?:\x1b|\\u001b|\\x1b|\\033|\\e)(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[()][0-9A-Za-z]|[=>A-Za-z0-9])"
)
_ESCAPED_ENDS = re.compile(rb"\\+r\\+n|\\+n|\\+r(?=[^a-z])")
# What no text has, so that a blank line, a bell, a step back, a new page or a colour is none of it.
_CONTROLS = bytes(c for c in range(128) if (c < 32 and c not in b"\a\b\t\n\v\f\r\x1b") or c == 127)
_HOLES = re.compile(b"[" + re.escape(_CONTROLS) + b"]+")
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\u00b4\u00a0", "''\"\"' ")

_CONTAINER = re.compile(r"^\s*(?P<name>[A-Za-z0-9][\w.-]*?)(?:[-_]\d+)?\s*\|\s+(?=\S)")
_HEAD = re.compile(
    r"""\s*(?:
      [A-Za-z0-9][\w.-]*\s*\|\s                                              # docker compose logs
    | \[?\d{4}[-/]\d\d[-/]\d\d[T ]?(?:\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d|\s?UTC)?[\]:,]?(?=\s)
    | \[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?(?=\s)
    | (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\s+\d+\s+\d\d:\d\d:\d\d(?:\s+\d{4})?
    | [IWEF]\d{4}\s\d\d:\d\d:\d\d(?:\.\d+)?\s+\d+\s[\w./-]+:\d+\]
    | \((?:[A-Za-z]\w*\s+)+pid=\d+(?:,\s*ip=[\d.]+)?\)
    | \(\w+\s+pid=\d+\)
    | \[(?:rank\s?\d+|TP\d+|DP\d+|pid[= ]\d+)[^\]]*\]:?
    | (?:INFO|DEBUG|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\s+\d\d-\d\d\s\d\d:\d\d:\d\d(?:\.\d+)?(?:\s\[[^\]]{1,60}\])?
    )""",
    re.VERBOSE,
)
_MOST_HEADS = 6

_CALM = re.compile(
    r"""^(?:
      \W{0,4}(?:INFO|DEBUG|TRACE|NOTICE|WARN|WARNING|W)\b(?!:?\s*(?:REMOTE\sHOST|UNPROTECTED|POSSIBLE\sDNS))
    | (?:.{0,60}?\|\s)?[IWD]\d{4}\s
    | .{0,80}?\b(?:level(?:name)?|lvl|severity)["=:\s]{1,4}(?i:info|debug|warn|warning|trace|notice)\b
    | .{0,60}?[\[\s|:-](?:INFO|DEBUG|TRACE|WARN|WARNING)[\]\s|:-]
    | .{0,60}?(?:\[(?:info|debug|trace|notice|warn)\]\s|\d\s[IWD]\s\d+\s\d+\]\s)
    )""",
    re.VERBOSE,
)
_INFORMATION = re.compile(
    r"""(?:^|[\s\[|:(-])(?:INFO|DEBUG|TRACE|NOTICE)\b
    | \b(?:level(?:name)?|lvl|severity)["=:\s]{1,4}(?i:info|debug|trace|notice)\b
    | (?:^|\|\s)[ID]\d{4}\s                                # glog, also behind the name that `docker compose logs` puts in front
    | \[(?:info|debug|trace|notice)\]\s                    # nginx
    | \d\s[ID]\s\d+\s\d+\]\s                               # Ray
    """,
    re.VERBOSE,
)
# Names of settings, whose words tell of no failure: `fail_fast=False`, `max_failures: 3`.
_SETTING = re.compile(
    r"""[\w.-]*[_-][\w.-]*["']?\s?[=:]\s?["']?(?:true|false|none|null|on|off|yes|no)\b
    | [\w.-]*(?:threshold|limit|max|retries|handling|policy)[\w.-]*["']?\s?[=:]\s?["']?\d+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What information has where it tells of a failure, and not of a setting or of what goes on as it should: parts of words,
# words, and numbers that may be those of a failure.
_FAILING_PARTS = (
    "error", "fail", "fault", "exception", "traceback", "abort", "assert", "crash", "fatal", "panic", "segv", "dump",
    "kill", "sigterm", "sigint", "sigbus", "signal", "evict", "preempt", "refus", "reject", "denied", "deny", "forbid", "authori",
    "revok", "violat", "expire", "vanish", "disappear", "missed", "missing", "orphan", "zombie", "defunct",
    "timed out", "timed-out", "timedout", "timing out", "timeout after", "timeout exceed", "timeout expir", "timeout reach",
    "timeout wait", "timeout while", "timeout occur", "timeout hit", "timeout elaps", "timeout during", "timeouterror", "timeout on ",
    "timeout in ", "timeoutexception", "readtimeout", "connecttimeout", "apitimeout", "exceed", "overrun", "elapsed",
    "cannot", "n't", "unable", "impossible", "without", "nothing", " out of", "insufficient", "exhaust", "too many", "too large",
    "too small", "too old", "too new", "too long", "too big", "too much", "too slow", "too low", "too high", "too few",
    "invalid", "illegal", "corrupt", "mismatch", "differ", "broken", "malformed", "incomplete", "truncat", "partial", "unexpected",
    "unhandled", "unhealthy", "unknown", "unavailable", "unreach", "unresol", "unsupport", "undefined", "incompatib", "mistak",
    "disconnect", "reset", "closed", "stuck", "stall", "frozen", "unrespons", "degrad", "overload", "throttl", "restart", "backoff",
    "back-off", "exited", "exiting", "terminat", "stopp", "cancel", "interrupt", "conflict", "duplicat", "already", "in use", "busy",
    "read-only", "readonly", "behind", "drift", "skew", "off by", "quarantin", "leftover", "remain", "pressure", "cordon", "drain",
    "uncorrect", "warn", "critical", "giving up", "gave up", "non-zero", "nonzero", "can not", "caught", "ran for",
)  # fmt: skip
_FAILING_WORDS = frozenset((
    "err", "errno", "errs", "died", "dead", "dying", "death", "oom", "lost", "loses", "losing", "gone", "left", "lack", "lacks",
    "stale", "leak", "leaks", "leaked", "blocked", "no", "not", "never", "none", "full", "bad", "wrong", "drop", "drops", "dropped",
    "dropping", "hang", "hangs", "hung", "flap", "flaps", "flapping", "exit", "exits", "locked", "locks", "ahead", "still", "xid", "ecc",
    "retry", "retrying",
))  # fmt: skip
_FAILING_NUMBERS = re.compile(
    r'"\s\d{3}\b|->\s?\d|\b(?:status|code|rc|ret|returned)\W{0,3}(?:code\W{0,3})?\d', re.IGNORECASE
)
_NO_WORDS = str.maketrans(dict.fromkeys("\"'`.,:;=!?()[]{}<>|/\\*#-", " "))
_NOT_CALM = re.compile(r"NCCL WARN|NET/IB ?: Got|WARNING: (?:REMOTE|UNPROTECTED)")
_HOST = re.compile(r"\b(?:fatal|failed|unreachable): \[([^\]\s]+?)(?: ->[^\]]*)?\]")


def clean(raw: bytes) -> bytes:
    """Return raw lines without colours, with a line for each step of a progress bar and each escaped line end."""
    if b"\x1b" in raw or b"\\u001b" in raw or b"\\x1b" in raw or b"\\033" in raw:
        raw = _ESCAPES.sub(b"", raw)
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\\n" in raw or b"\\r" in raw:
        raw = _ESCAPED_ENDS.sub(b"\n", raw)
    return raw


def is_text(data: bytes) -> bool:
    """Tell whether data are lines of text: a log may have a hole of zeros, and what is no text has more of them than lines."""
    if len(data.translate(None, _CONTROLS)) == len(data):
        return True
    return len(_HOLES.findall(data)) <= data.count(b"\n") + 1


def lines_of(data: bytes, longest: int = LONGEST_BYTES) -> list[bytes]:
    """Return the lines of whole lines; one that is longer than so many bytes is taken as several."""
    lines = data.removesuffix(b"\n").split(b"\n")
    if max(map(len, lines)) <= longest:
        return lines
    return [line[at : at + longest] for line in lines for at in range(0, max(1, len(line)), longest)]


def plain(line: bytes) -> str:
    """Return a line as text with one blank between words; what is no UTF-8 becomes a replacement character."""
    text = line.decode("utf-8", "replace")
    if not text.isascii():
        text = text.translate(_QUOTES)
    if "\\" in text:
        text = text.replace('\\"', '"').replace("\\t", " ").replace("\\'", "'")
    return " ".join(text.split())


def message(line: str) -> str:
    """Return a plain line without the times, names and levels in front of it."""
    start = 0
    for _ in range(_MOST_HEADS):
        found = _HEAD.match(line, start)
        if found is None or found.end() == start:
            break
        start = found.end()
    return line[start:].strip() or line


def is_calm(line: str) -> bool:
    """Tell whether the logger itself calls a plain line information or a warning."""
    return _CALM.search(line[:200]) is not None and _NOT_CALM.search(line) is None


def is_information(line: str) -> bool:
    """Tell whether the logger calls a calm line even less than a warning."""
    return _INFORMATION.search(line[:200]) is not None


def tells_of_failure(line: str) -> bool:
    """Tell whether a line of information has a word of a failure, in more than the name of a setting.

    It is the same for all lines that differ in no more than which digits they have: any status may be one of a failure.
    """
    return _has_failing_words(line.lower()) and _has_failing_words(_SETTING.sub("", line).lower())


def _has_failing_words(low: str) -> bool:
    return (
        any(part in low for part in _FAILING_PARTS)
        or not _FAILING_WORDS.isdisjoint(low.translate(_NO_WORDS).split())
        or _FAILING_NUMBERS.search(low) is not None
    )


def service_of(line: str) -> str:
    """Return the service that `docker compose logs` names in front of a line, "" where it names none."""
    found = _CONTAINER.match(line)
    return found["name"] if found else ""


def node_of(line: str) -> str:
    """Return the host of which Ansible tells that a task failed, "" where a line tells of none."""
    found = _HOST.search(line)
    return found[1] if found else ""


def shown(line: str) -> str:
    """Return a plain line as evidence: at most SHOWN_CHARACTERS, the middle left out."""
    if len(line) <= SHOWN_CHARACTERS:
        return line
    half = SHOWN_CHARACTERS // 2 - 3
    return f"{line[:half]} ... {line[-half:]}"

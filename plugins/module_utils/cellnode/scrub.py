# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of the text of logs: known values, and what has the form of a secret or a name that says so beside it.

Bytes in, bytes out; bytes that are no text stay as they are. A stream is taken in parts of any size: a part ends with a
line, never within a secret, and what follows its end is given again with the next one. The time grows with the length
of the text alone: each pattern has bounds, and starts where a word starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import known
from .known import LONGEST
from .redact import HIDDEN, is_secret

MARK = HIDDEN.encode()
AHEAD = 2 * LONGEST  # with so much of a text there is always a place where it can be cut
BLOCK = 1 << 20
Span = tuple[int, int]

# Forms that are secrets whatever stands beside them. The first letter of most must be the first of a word.
_FORMS = re.compile(
    rb"h(?<![A-Za-z0-9]h)f_[A-Za-z0-9]{20,256}"
    rb"|s(?<![A-Za-z0-9]s)k-[A-Za-z0-9_-]{20,512}"
    rb"|g(?<![A-Za-z0-9]g)(?:h[pousr]_[A-Za-z0-9]{20,512}|ithub_pat_[A-Za-z0-9_]{20,256}|lpat-[A-Za-z0-9_-]{20,256})"
    rb"|A(?<![A-Za-z0-9]A)(?:KIA[0-9A-Z]{16}(?![0-9A-Za-z])|SIA[0-9A-Z]{16}(?![0-9A-Za-z])|Iza[A-Za-z0-9_-]{35})"
    rb"|x(?<![A-Za-z0-9]x)ox[abeprs]-[A-Za-z0-9-]{10,512}"
    rb"|n(?<![A-Za-z0-9]n)(?:vapi-[A-Za-z0-9_-]{20,256}|pm_[A-Za-z0-9]{36})"
    rb"|d(?<![A-Za-z0-9]d)ckr_[po]at_[A-Za-z0-9_-]{20,256}"
    rb"|e(?<![A-Za-z0-9_-]e)yJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{4,8192}(?:\.[A-Za-z0-9_-]{0,8192}){1,3}"
    rb"|://(?P<userinfo>[^/@\s:\"'<>\\^`{|}]{0,256}:[^/@\s\"'<>\\^`{|}]{1,1024})@"
    rb"|-----BEGIN (?P<key>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
)
_KEY_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(
    rb"[^\r\n]{0,256}?[A-Za-z0-9+/=]{40,}[ \t\"'\\rn]*[\r\n]{0,2}|[A-Za-z0-9+/=]{1,80}(?:[\r\n]{1,2}|\Z)"
)

# The rest of a name after a word of a secret, as far as something follows that may lead to a value. In lower case, each word
# by itself: a pattern that begins with plain letters is looked for ten times faster than one that begins with a choice.
_REST = rb"[a-z0-9_.-]{0,64}"
_LEADS = rb"(?=(?:\\{0,3}[\"'])?(?:[ \t]{0,8}[=:]|[ \t]|[ \t]{0,3},))"
_LONGER_KEY = rb"(?:(?<=api.key)|(?<=apikey)|(?<=access.key)|(?<=accesskey)|(?<=private.key)|(?<=privatekey))"
_NAMED = tuple(
    re.compile(word + _LEADS)
    for word in (
        *(word + _REST for word in (b"pass", b"pwd", b"secret", b"credential", b"bearer", b"auth", b"token(?![a-z])")),
        rb"key(?:" + _LONGER_KEY + _REST + rb"|[_-]{0,3})",
    )
)
_NAME_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_GAP = re.compile(
    rb"(?P<close>\\{0,3}[\"'])?(?:(?P<assign>[ \t]{0,8}(?:=(?!=)>?|:(?!:))[ \t]{0,8})"
    rb"|(?P<space>[ \t]{1,8})|(?P<comma>[ \t]{0,3},[ \t]{0,3}(?=\\{0,3}[\"'])))"
)
_SCHEME = re.compile(rb"(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4}", re.IGNORECASE)
# Values in quotes end at the next quote. A word ends at what stands between words of a line; that of an option or of a variable
# only at a space. What is looked at again for each name in it has a low bound; what is hidden is never looked at again.
_IN_QUOTES = (
    rb"\[(?P<list>[^\]\r\n]{1,2048})\]"
    rb"|\\{1,3}\"(?P<inner>[^\"\\\r\n]{1,16384})|\\{1,3}'(?P<inner1>[^'\\\r\n]{1,16384})"
    rb"|\"(?P<double>[^\"\\\r\n]{0,16384}(?:\\.[^\"\\\r\n]{0,4096}){0,256})"
    rb"|'(?P<single>[^'\\\r\n]{0,16384}(?:\\.[^'\\\r\n]{0,4096}){0,256})"
)
_VALUE = re.compile(_IN_QUOTES + rb"|(?P<word>[^\s\"'`,;&<>(){}\[\]]{1,2048})")
_REST_OF_WORD = re.compile(rb"[^\s\"'`,;&<>(){}\[\]]*")
_OWN_VALUE = re.compile(_IN_QUOTES + rb"|(?P<word>[^\s\"'`]{1,16384})")
_LINE = re.compile(rb"[^\r\n]{1,16384}")
_EXPORTS = re.compile(rb"(?:\A|[\r\n])(?:export |declare -x |\+ )?\Z")
_NUMBER = re.compile(rb"[-+]?[0-9][0-9.,%_]*")
_RANDOM = re.compile(rb"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+/=.~-]{12,}")
_MIXED = re.compile(rb"(?=[^0-9]*[0-9])(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[A-Za-z0-9_+=]{20,}")
_SURE = re.compile(
    r"passw|passphrase|pwd|secret|credential|api[_-]?key|access[_-]?key|private[_-]?key|authorization|authtoken|bearer"
)
_CAPITALS = re.compile(rb"[A-Z][A-Z0-9_]*")
# What stands beside such a name and is no secret: in help texts, settings and messages.
_HARMLESS = frozenset(
    b"none null nil true false yes no on off set unset str string bytes int bool optional required missing invalid empty "
    b"undefined ***".split()
)


@dataclass(frozen=True)
class Part:
    """The beginning of a text without its secrets. used: how many bytes of the text it stands for; hidden: how many secrets."""

    clean: bytes
    used: int
    hidden: int


class Scrubber:
    """Takes secrets out of text. values: those that are known; see known.forms for what is looked for."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms = known.forms(values)
        # A form that holds a line end may have begun in the last line of a part.
        self._across = max((len(form) for form in self._forms if b"\n" in form or b"\r" in form), default=0)

    def whole(self, data: bytes) -> Part:
        """Return all of a text that ends here."""
        clean, at, hidden = [], 0, 0
        while at < len(data):
            block = data[at : at + BLOCK + AHEAD]
            part = self.part(block, BLOCK, ended=at + len(block) == len(data))
            clean.append(part.clean)
            at, hidden = at + part.used, hidden + part.hidden
        return Part(b"".join(clean), at, hidden)

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        data = text.encode("utf-8", "surrogatepass")
        return self.whole(data).clean.decode("utf-8", "surrogatepass")

    def value(self, value: Any) -> Any:
        """Return a JSON value with the secrets in its texts hidden; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(inner) for key, inner in value.items()}
        return [self.value(inner) for inner in value] if isinstance(value, list) else value

    def part(self, data: bytes, at_most: int, ended: bool = False) -> Part:
        """Return the beginning of a text, about at_most bytes of it; nothing where it goes on and no line has ended yet.

        A line that is longer than any secret is taken in pieces. ended: nothing comes after data.
        """
        spans = self._spans(data)
        if ended and len(data) <= at_most:
            return _cleaned(data, len(data), spans)
        safe = len(data) if ended else len(data) - max(0, self._across - 1)
        cut = _last_line_end(data, min(at_most, safe))
        if not ended:
            cut = min((cut, *_open_keys(data)))
        if cut <= 0 and (ended or len(data) >= AHEAD):
            cut = min(at_most, len(data) if ended else len(data) - LONGEST)
        for start, end in spans:
            if start < cut < end:
                cut = start or end
        return _cleaned(data, cut, spans)

    def _spans(self, data: bytes) -> list[Span]:
        """Return where the secrets are, in order; none touches another."""
        found = [*self._known(data), *_shaped(data), *_named(data)]
        return _joined(sorted(found))

    def _known(self, data: bytes) -> Iterator[Span]:
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = data.find(form, at + len(form))


def quoted(record: Mapping[str, Any], text: str) -> str:
    """Return the last lines that an inspected container wrote, without secrets; its environment says which are known."""
    data = text.encode("utf-8", "surrogatepass")
    rest = rest_of_key(data)
    clean = Scrubber(known.of_record(record)).whole(data[rest:]).clean
    return ((MARK if rest else b"") + clean).decode("utf-8", "surrogatepass")


def after_gap(data: bytes) -> int:
    """Return how many bytes to leave out where a text begins anywhere: the rest of a line, and of a private key."""
    return max(_first_line_end(data), rest_of_key(data))


def rest_of_key(data: bytes) -> int:
    """Return how many bytes at the beginning of a text end a private key that began before it."""
    end = _KEY_END.search(data, 0, LONGEST)
    return end.end() if end and b"-----BEGIN " not in data[: end.start()] else 0


def before_gap(data: bytes) -> int:
    """Return how many bytes to keep where a text breaks off anywhere: up to its last line end."""
    cut = _last_line_end(data, len(data))
    return cut if cut > len(data) - LONGEST else max(0, len(data) - LONGEST)


def _first_line_end(data: bytes) -> int:
    ends = [at for at in (data.find(b"\n", 0, LONGEST), data.find(b"\r", 0, LONGEST)) if at >= 0]
    return min(ends) + 1 if ends else min(len(data), LONGEST)


def _last_line_end(data: bytes, before: int) -> int:
    """Return the position after the last line end of which the position is at most before, 0 where there is none."""
    before = max(0, before)
    return max(data.rfind(b"\n", 0, before), data.rfind(b"\r", 0, before)) + 1


def _cleaned(data: bytes, cut: int, spans: list[Span]) -> Part:
    pieces, at, hidden = [], 0, 0
    for start, end in spans:
        if end > cut:
            break
        pieces += [data[at:start], MARK]
        at, hidden = end, hidden + 1
    pieces.append(data[at:cut])
    return Part(b"".join(pieces), cut, hidden)


def _joined(spans: list[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in spans:
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _shaped(data: bytes) -> Iterator[Span]:
    for match in _FORMS.finditer(data):
        if match.lastgroup == "key":
            end = _key_end(data, match.end())
            yield match.start(), len(data) if end is None else end
        elif match.lastgroup == "userinfo":
            yield match.span("userinfo")
        else:
            yield match.span()


def _open_keys(data: bytes) -> Iterator[int]:
    """Yield where private keys begin that may go on after data."""
    at = len(data)
    while (at := data.rfind(b"-----BEGIN ", max(0, len(data) - AHEAD), at)) >= 0:
        match = _FORMS.match(data, at)
        if match and match.lastgroup == "key" and not _KEY_END.search(data, match.end(), match.end() + LONGEST):
            yield at


def _key_end(data: bytes, start: int) -> int:
    """Return where a private key ends that begins before start: at its last line, or where lines are no longer those of one."""
    end = _KEY_END.search(data, start, start + LONGEST)
    if end:
        return end.end()
    at, limit = start, min(len(data), start + LONGEST)
    while at < limit:
        line = _KEY_LINE.match(data, at, limit)
        blank = at + len(data[at:limit]) - len(data[at:limit].lstrip(b"\r\n"))
        if line is None and blank == at:
            break
        at = max(line.end() if line else at, blank)
    return at


def _named(data: bytes) -> Iterator[Span]:
    lowered = data.lower()
    for pattern in _NAMED:
        done = 0
        for match in pattern.finditer(lowered):
            if match.start() < done:
                continue
            before = data[max(0, match.start() - 64) : match.start()]
            start = match.start() - (len(before) - len(before.rstrip(_NAME_LETTERS)))
            if _is_secret(data[start : match.end()]):
                span = _value_of(data, start, match.end())
                if span:
                    done = span[1]
                    yield span


@lru_cache(maxsize=4096)
def _is_secret(name: bytes) -> bool:
    return is_secret(name.decode("ascii"))


def _value_of(data: bytes, start: int, end: int) -> Span | None:
    """Return where the secret is that the secret name in data[start:end] leads to, None where there is none."""
    name = data[start:end]
    gap = _GAP.match(data, end)
    if gap is None:
        return None
    option = name.startswith(b"-")
    if not gap["assign"] and not option:
        return _bearer(data, gap) if name.lower() == b"bearer" else None
    if gap["assign"] == b"=" and _CAPITALS.fullmatch(name) and _EXPORTS.search(data[max(0, start - 16) : start]):
        line = _LINE.match(data, gap.end())
        return _unless_harmless(data, line.span()) if line else None
    return _beside(data, name, gap, option)


def _bearer(data: bytes, gap: re.Match[bytes]) -> Span | None:
    """Return where the token after the word Bearer is."""
    value = _VALUE.match(data, gap.end()) if gap["space"] else None
    if value is None or value.lastgroup != "word" or not _RANDOM.fullmatch(data, *value.span()):
        return None
    return _with_rest(data, value.span())


def _with_rest(data: bytes, word: Span) -> Span:
    """Return all of a word of which the beginning is known."""
    rest = _REST_OF_WORD.match(data, word[1])
    return (word[0], rest.end()) if rest else word


def _beside(data: bytes, name: bytes, gap: re.Match[bytes], option: bool) -> Span | None:
    """Return where the value is that follows a secret name, if it can be a secret."""
    own_style = option or ((gap["assign"] or b"").strip() == b"=" and bool(_CAPITALS.fullmatch(name)))
    scheme = _SCHEME.match(data, gap.end())
    value = (_OWN_VALUE if own_style else _VALUE).match(data, scheme.end() if scheme else gap.end())
    if value is None:
        return None
    kind = str(value.lastgroup)
    start, end = value.span(kind)
    if scheme is None and kind != "list":
        scheme = _SCHEME.match(data, start, end)
        start = scheme.end() if scheme else start
    if option and gap["assign"] is None and data[start : start + 1] == b"-":
        return None
    lowered = name.lower()
    sure = own_style or bool(scheme) or bool(_SURE.search(lowered.decode("ascii")))
    if not sure and not _looks_secret(lowered, data[start:end], kind == "word" and b":" in (gap["assign"] or b"")):
        return None
    span = _unless_harmless(data, (start, end), lowered)
    return _with_rest(data, span) if span and kind == "word" and not own_style else span


def _looks_secret(name: bytes, value: bytes, told: bool) -> bool:
    """Decide on the value of a name that also stands for other things: tokens of a text, keys of a table, tests that pass.

    told: it stands after a colon without quotes.
    """
    if b"token" in name or b"auth" in name:
        return bool(_RANDOM.fullmatch(value))
    if b"pass" in name:
        return not told
    return bool(_MIXED.fullmatch(value))


def _unless_harmless(data: bytes, span: Span, name: bytes = b"") -> Span | None:
    value = data[slice(*span)].strip(b" \t.").lower()
    if not value or value in _HARMLESS:
        return None
    number = _NUMBER.fullmatch(value)
    return None if number and not (len(value) > 3 and (b"passw" in name or b"pwd" in name)) else span

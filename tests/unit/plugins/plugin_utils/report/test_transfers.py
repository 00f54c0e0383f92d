# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.figures import Figures, report
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import markdown_parts, transfers

PLAIN = Figures(
    files=2, bytes=3_000_000, sent=3_000_500, raw=3_000_000, algorithm="blake3", carriers=["link", "stream", "stream"]
)
PACKED = Figures(
    files=1, bytes=8_000_000, sent=1_000_000, raw=8_000_000, resumed=2, algorithm="blake3", carriers=["stream"]
)
UNPROVED = Figures(files=1, bytes=10, sent=400, raw=10, algorithm="none", carriers=["commands"])

LINES = {
    "plain": (
        report([PLAIN], 0, 1.5, "full"),
        "2 files, 2.9 MiB in 1.50 s (2 MB/s), by link+stream, proved by blake3",
    ),
    "compressed-and-tried-again": (
        report([PLAIN, PACKED], 2, 2.0, "full"),
        "3 files, 10.5 MiB in 2 s (5.50 MB/s), compressed 2.75 to 1, 2 retries, 2 files not sent twice,"
        " by link+stream, proved by blake3",
    ),
    "sizes": (report([UNPROVED], 0, 0.0, "size"), "1 file, 10 B in 0 s, by commands, only sizes compared"),
    "off": (report([UNPROVED], 0, 0.0, "off"), "1 file, 10 B in 0 s, by commands, nothing proved"),
    "nothing": (report([Figures()], 0, 0.0, "full"), "0 files, 0 B in 0 s, proved by none"),
}


@pytest.mark.parametrize(("figures", "line"), LINES.values(), ids=LINES)
def test_a_transfer_is_told_in_one_line(figures, line):
    assert transfers.told(figures) == line


def test_each_node_has_its_line_in_the_report_with_foreign_text_made_safe():
    facts = {"files": 2, "bytes": 5, "transfers": {"n*1": LINES["plain"][0]}}
    lines = markdown_parts.artifacts({"artifacts": facts})
    assert lines[0] == "2 files, 5 B" and lines[2].startswith("- n\\*1: 2 files, 2.9 MiB")
    assert markdown_parts.artifacts({"artifacts": {"files": 2, "bytes": 5}}) == ["2 files, 5 B"]


@pytest.mark.parametrize(
    ("count", "named"),
    [(1, "'f0' (why 0)"), (3, "'f0' (why 0), 'f1' (why 1), 'f2' (why 2)"), (5, "'f2' (why 2), 2 more")],
)
def test_files_that_were_not_taken_are_named(count, named):
    told = transfers.left_out([{"path": f"f{number}", "kind": "k", "why": f"why {number}"} for number in range(count)])
    assert told.startswith("not all files came home: 'f0'") and told.endswith(f"{named}; manifest.json names each one")
    assert transfers.left_out([]) == ""

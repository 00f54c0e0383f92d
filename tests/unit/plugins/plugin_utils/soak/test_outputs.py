# SPDX-License-Identifier: MIT
"""What is written after a soak: complete, escaped, finite, and the same however little there was to tell."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import soak_records
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import outputs
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.model import Series
from soak_records import kill, window

HOSTILE = "=cmd|'/C calc'!A0<script>alert(1)</script>\x1b[31m\u202e|`"
ALWAYS = {"run_config.json", "timeline.csv", "chaos_events.log", "summary.md", "summary.json", "soak.html"}
MIB = 1 << 20


def memory(service="decode-1", metric="rss_bytes", node="n1", until=100, scale=MIB):
    times = tuple(float(t) for t in range(1, until))
    return Series(node, f"service:{service}", metric, times, tuple(50.0 * scale + t * 1000 for t in times))


def plain(folder):
    """Return a soak of 100 s with one fault that was felt and undone."""
    windows = [window(t, t + 10, 50, 5 if t == 30 else 0) for t in range(0, 100, 10)]
    return soak_records.record(folder, windows=windows, series=[memory()], schedule=(kill(0, 30.0, "n1", "decode-1"),))


def short(folder):
    return soak_records.record(folder, windows=[window(0, 10)], lasted_s=10)


MAKERS = {
    "plain": plain,
    "cut short": short,
    "no data": soak_records.record,
    "long": lambda folder: soak_records.long_night(folder, hours=1, services=13, faults=60),
}


@pytest.fixture(scope="module", params=MAKERS.values(), ids=MAKERS)
def written(request, tmp_path_factory):
    """Return a record and the paths of what was written of it."""
    folder = tmp_path_factory.mktemp("case") / "soak"
    record = request.param(folder)
    return record, outputs.write(folder, record)


def names(record, paths):
    return {path.relative_to(record.asked.folder).as_posix() for path in paths}


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_every_file_is_there_and_nothing_temporary_is_left(written):
    record, paths = written
    found = names(record, paths)
    nodes = {f"nodes/{node}/rss.csv" for node in record.asked.services}
    assert found >= ALWAYS | nodes
    on_disk = {p.relative_to(record.asked.folder).as_posix() for p in record.asked.folder.rglob("*") if p.is_file()}
    assert found == on_disk and len(found) == len(paths)
    assert ("failures.md" in found) == (record.verdict != "pass")


def test_summary_has_the_names_of_old_and_only_finite_numbers(written):
    record, paths = written

    def refuse(word):
        raise AssertionError(f"{word} in summary.json")

    found = json.loads(paths[-1].read_text(), parse_constant=refuse)
    assert paths[-1].name == "summary.json"
    assert found["overall_status"] == ("ok" if record.verdict == "pass" else "failed")
    assert found["metric_gate"] in ("pass", "fail", "insufficient_data")
    assert found["chaos_events_total"] == len(record.asked.schedule) and found["report_samples_total"] == 0
    assert [gate["name"] for gate in found["gates"]] == [gate.name for gate in record.judgement.gates]


def test_timeline_has_a_line_for_every_ten_seconds(written):
    record, _ = written
    lines = rows_of(record.asked.folder / "timeline.csv")
    assert [float(line["t_s"]) for line in lines] == [10.0 * n for n in range(max(1, round(record.ended_s / 10)))]
    assert sum(int(line["sent"] or 0) for line in lines) == sum(one.sent for one in record.evidence.windows)


def test_the_page_needs_no_network_and_says_the_verdict_first(written):
    record, _ = written
    page = (record.asked.folder / "soak.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!\./|#)|url\(|@import|<script", page)
    assert (
        page.index(record.verdict.upper())
        < page.index('id="gates"')
        < page.index('id="faults"')
        < page.index('id="load"')
    )


def test_the_page_nests_as_it_should_and_no_id_is_there_twice(written):
    record, _ = written

    class Reader(HTMLParser):
        void = frozenset(("meta", "br", "link"))

        def __init__(self):
            super().__init__()
            self.open, self.ids = [], []

        def handle_starttag(self, tag, attrs):
            self.ids += [value for key, value in attrs if key == "id"]
            if tag not in self.void:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    page = (record.asked.folder / "soak.html").read_text()
    reader.feed(page)
    assert reader.open == [] and len(reader.ids) == len(set(reader.ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(reader.ids)


def test_every_plot_is_a_file_with_title_and_description(written):
    _, paths = written
    plots = [path for path in paths if path.suffix == ".svg"]
    assert plots
    for path in plots:
        root = ET.fromstring(path.read_text())
        kids = {kid.tag.rpartition("}")[2]: kid.text for kid in root if kid.text}
        assert kids["title"] and kids["desc"] and "style" in kids
        points = [len(re.findall(r"[ML]", one.get("d") or "")) for one in root.iter() if one.tag.endswith("path")]
        assert max(points, default=0) <= 1000


def test_faults_are_shaded_named_and_limits_are_drawn(tmp_path):
    outputs.write(tmp_path, plain(tmp_path))
    for name in ("load_ttft_ms", "load_throughput"):
        text = (tmp_path / "plots" / f"{name}.svg").read_text()
        assert 'class="fault" x=' in text and 'class="recovery"' in text and ">kill-decode-1.0<" in text
    assert "limit of p95: 500 ms" in (tmp_path / "plots/load_ttft_ms.svg").read_text()
    assert "64 MiB/h" in (tmp_path / "plots/n1_service_rss_bytes.svg").read_text()


def test_a_spike_of_one_sample_in_hours_is_drawn(tmp_path):
    times = tuple(float(t) for t in range(8 * 3600))
    values = tuple(9e8 if t == 12345 else 1e8 for t in times)
    record = soak_records.record(
        tmp_path, duration_s=8 * 3600, series=[Series("n1", "service:decode-1", "rss_bytes", times, values)]
    )
    outputs.write(tmp_path, record)
    text = (tmp_path / "plots/n1_service_rss_bytes.svg").read_text()
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", re.search(r'class="line c0" d="([^"]+)"', text)[1])]
    assert max(heights) - min(heights) > 150


def test_the_log_of_faults_is_in_time_order_over_all_nodes(tmp_path):
    schedule = (kill(0, 30.0, "n1", "a"), kill(1, 20.0, "n2", "b"))
    record = soak_records.record(tmp_path, services={"n1": ("a",), "n2": ("b",)}, schedule=schedule)
    outputs.write(tmp_path, record)
    lines = [line.split() for line in (tmp_path / "chaos_events.log").read_text().splitlines()]
    assert [float(line[1]) for line in lines] == sorted(float(line[1]) for line in lines) and len(lines) == 16
    assert lines[3][:6] == ["2023-11-14T22:13:40.000+00:00", "20.000", "n2", "kill-b.1", "record", "kill"]


def test_memory_of_services_is_told_by_time_with_gaps_as_empty_cells(tmp_path):
    series = [
        Series("n1", "service:b", "rss_bytes", (1.0, 2.0), (5.0, None)),
        Series("n1", "service:b", "fds", (2.0,), (7.0,)),
        Series("n1", "service:a", "threads", (2.0,), (float("nan"),)),
        Series("n2", "service:c", "rss_bytes", (1.0,), (9.0,)),
    ]
    outputs.write(tmp_path, soak_records.record(tmp_path, series=series, services={"n1": ("a", "b")}))
    expected = "t_s,service,rss_bytes,anon_bytes,threads,fds\n1,b,5,,,\n2,a,,,,\n2,b,,,,7\n"
    assert (tmp_path / "nodes/n1/rss.csv").read_text() == expected


def test_a_failure_has_its_evidence_time_fault_and_files(tmp_path):
    (tmp_path / "soak/nodes/n1").mkdir(parents=True)
    (tmp_path / "soak/nodes/n1/samples.jsonl").touch()
    running = Series("n1", "service:decode-1", "running", tuple(map(float, range(100))), (1.0,) * 50 + (0.0,) * 50)
    record = soak_records.record(
        tmp_path / "soak", windows=[window(t, t + 10) for t in range(0, 100, 10)], series=[running, memory()]
    )
    outputs.write(tmp_path / "soak", record)
    text = (tmp_path / "soak/failures.md").read_text()
    part = text[text.index("deaths") :]
    assert "decode-1 on n1 was down or began anew at 50 s" in part
    assert "- time: 50 s (2023-11-14T22:14:10.000+00:00)" in part and "- active fault: none" in part
    assert "[nodes/n1/samples.jsonl](<nodes/n1/samples.jsonl>)" in part


def test_failures_of_an_earlier_writing_do_not_stay(tmp_path):
    (tmp_path / "failures.md").write_text("old")
    record = plain(tmp_path)
    outputs.write(tmp_path, record)
    assert (tmp_path / "failures.md").exists() == (record.verdict != "pass")


def test_foreign_text_cannot_act(tmp_path):
    windows = [window(t, t + 10) for t in range(0, 100, 10)]
    series = [memory(HOSTILE), Series("n1", f"report:{HOSTILE}", HOSTILE, (1.0, 2.0), (1.0, 2.0))]
    record = soak_records.record(
        tmp_path, windows=windows, series=series, schedule=(kill(0, 30.0, "n1", HOSTILE),), services={"n1": (HOSTILE,)}
    )
    paths = outputs.write(tmp_path, record)
    for path in paths:
        text = path.read_text()
        assert "\x1b" not in text or path.suffix == ".json"
        if path.suffix in (".html", ".svg", ".md"):
            assert "<script" not in text
        if path.suffix == ".svg":
            ET.fromstring(text)
        if path.suffix == ".csv":
            cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line]
            assert not any(cell.startswith(("=", "@", "+")) for cell in cells)
        assert path.resolve().is_relative_to(tmp_path.resolve())

# SPDX-License-Identifier: MIT
"""The seam to benchmark clients: files on disk to a verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import clients, reading
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import DefaultLimits, Judgement, Output


def judge(
    made: Any, folder: Path, client: str = "testcell", paths: tuple[str, ...] = ("results/",), code: int | None = 0
) -> Judgement:
    measured = clients.get(client).read(folder, paths)
    return clients.judge(measured, DefaultLimits(), **made.identity, script_exit=code)


@pytest.fixture
def artifacts(made: Any, tmp_path: Path) -> Path:
    """The collected artifacts of a good attempt."""
    records = [made.record(index) for index in range(3)]
    made.write(tmp_path / "results", made.benchmark(records), records)
    return tmp_path


def test_a_good_result_passes_from_its_files(made: Any, artifacts: Path) -> None:
    assert judge(made, artifacts).verdict == "pass"


def test_unknown_client_names_the_known_ones() -> None:
    with pytest.raises(clients.ClientError, match="unknown benchmark client 'wrk'; known: testcell, script"):
        clients.get("wrk")


def test_g01_an_empty_folder_is_no_data(made: Any, tmp_path: Path) -> None:
    assert judge(made, tmp_path).verdict == "no_data"
    assert judge(made, tmp_path / "absent").verdict == "no_data"


def test_g01_a_client_that_was_killed_is_no_data(made: Any, artifacts: Path) -> None:
    (artifacts / "results" / "benchmark.json").unlink()
    found = judge(made, artifacts)
    assert (found.verdict, "holds 3 requests" in found.reasons[0]) == ("no_data", True)


def test_a_summary_without_requests_is_invalid(made: Any, artifacts: Path) -> None:
    (artifacts / "results" / "requests.jsonl").unlink()
    found = judge(made, artifacts)
    assert found.verdict == "invalid"
    assert found.reasons[0].startswith(
        "requests.jsonl: is missing beside benchmark.json: a summary alone proves nothing"
    )


def test_two_summaries_are_ambiguous(made: Any, artifacts: Path) -> None:
    records = [made.record(0)]
    made.write(artifacts / "other", made.benchmark(records), records)
    found = judge(made, artifacts)
    assert found.verdict == "invalid"
    assert "there are 2 of them (other/benchmark.json, results/benchmark.json)" in found.reasons[0]


def spoil(file: Path, how: str) -> None:
    """Change the bytes of a file in a way that row 89 names."""
    content = file.read_bytes()
    changes = {
        "truncated": content[:-20],
        "last_line_end_lost": content[:-1],
        "line_lost": content[content.index(b"\n") + 1 :],
        "line_added": content + content[: content.index(b"\n") + 1].replace(b'"index": 0', b'"index": 9'),
        "blank_line": content.replace(b"\n", b"\n\n", 1),
        "nan": content.replace(b'"ttft_ms": 100.0', b'"ttft_ms": NaN', 1),
        "duplicate": content.replace(b'"ok": true', b'"ok": true, "ok": false', 1),
        "encoding": content.replace(b"length", b"len\xffth", 1),
        "binary": b"\x00\x01\x02\n",
        "list": b"[]\n" + content,
        "empty": b"",
        "other_but_as_good": content.replace(b'"finish_reason": "length"', b'"finish_reason": "stop"', 1),
    }
    file.write_bytes(changes[how])


REQUESTS = {
    "truncated": "requests.jsonl:3: is cut off after",
    "last_line_end_lost": "requests.jsonl:3: is cut off after",
    "line_lost": "requests.jsonl: has 2 lines, and benchmark.json was made from 3",
    "line_added": "requests.jsonl: has 4 lines, and benchmark.json was made from 3",
    "blank_line": "requests.jsonl:2: is empty",
    "nan": "requests.jsonl:1: ttft_ms: NaN is not a number",
    "duplicate": "requests.jsonl:1: ok: the key is given twice",
    "encoding": "requests.jsonl:1: is not UTF-8: byte 0xff",
    "binary": "requests.jsonl:1: is not JSON",
    "list": "requests.jsonl:1: holds a list; expected an object",
    "empty": "requests.jsonl: has 0 lines, and benchmark.json was made from 3",
    "other_but_as_good": "requests.jsonl: is not the file that benchmark.json was made from",
}


@pytest.mark.parametrize("how", REQUESTS)
def test_89_spoiled_requests_are_invalid_with_line_and_key(made: Any, artifacts: Path, how: str) -> None:
    spoil(artifacts / "results" / "requests.jsonl", how)
    found = judge(made, artifacts)
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert REQUESTS[how] in found.reasons[0]


def test_89_lines_after_a_broken_one_keep_their_numbers(made: Any, artifacts: Path) -> None:
    file = artifacts / "results" / "requests.jsonl"
    lines = file.read_bytes().split(b"\n")
    lines[0] = b"{oops"
    lines[2] = lines[2].replace(b'"chunks": 3', b'"chunks": -1')
    file.write_bytes(b"\n".join(lines))
    reason = judge(made, artifacts).reasons[0]
    assert "requests.jsonl:1: is not JSON" in reason
    assert "requests.jsonl:3: chunks: is -1" in reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "benchmark.json:1: is empty"),
        (b"{", "benchmark.json:1: is not JSON"),
        (b'{\n"metrics": {"p50": NaN}}', "benchmark.json:2: metrics.p50: NaN is not a number"),
        (b"[]", "benchmark.json:1: holds a list"),
    ],
    ids=["empty", "truncated", "nan", "list"],
)
def test_89_a_spoiled_summary_is_invalid(made: Any, artifacts: Path, content: bytes, message: str) -> None:
    (artifacts / "results" / "benchmark.json").write_bytes(content)
    found = judge(made, artifacts)
    assert (found.verdict, found.error_kind) == ("invalid", "result_invalid")
    assert message in found.reasons[0]


@pytest.mark.parametrize("name", ["MAX_BENCHMARK_BYTES", "MAX_REQUESTS_BYTES"])
def test_89_files_beyond_the_limit_are_not_read(
    made: Any, artifacts: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(reading, name, 100)
    found = judge(made, artifacts)
    assert found.verdict == "invalid"
    assert "bytes, limit 100" in found.reasons[0]


def test_g03_files_of_an_older_run_are_refused(made: Any, tmp_path: Path) -> None:
    old = {"run_id": "20251231_235959"}
    records = [made.record(0, **old)]
    made.write(tmp_path, made.benchmark(records, **old), records)
    found = judge(made, tmp_path)
    assert (found.verdict, found.measured) == ("no_data", False)


@pytest.mark.parametrize(("name", "verdict"), [("benchmark.json", "no_data"), ("requests.jsonl", "invalid")])
def test_links_are_not_followed(made: Any, artifacts: Path, tmp_path: Path, name: str, verdict: str) -> None:
    file = artifacts / "results" / name
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert judge(made, artifacts).verdict == verdict


def test_files_of_many_sizes_are_counted_by_result_path(tmp_path: Path) -> None:
    for name, size in {
        "results/a": 3,
        "results/deep/b": 4,
        "logs/run.log": 5,
        "logs/empty.log": 0,
        "x.json": 1,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    os.mkfifo(tmp_path / "results" / "fifo")
    (tmp_path / "results" / "link").symlink_to("a")
    paths = ("results/", "./results", "logs/*.log", "x.json", "results/a/", "none", ".")
    assert reading.outputs_of(tmp_path, paths) == (
        Output("results/", 2, 7),
        Output("./results", 2, 7),
        Output("logs/*.log", 2, 5),
        Output("x.json", 1, 1),
        Output("results/a/", 1, 3),
        Output("none", 0, 0),
        Output(".", 5, 13),
    )


@pytest.mark.parametrize(
    ("content", "code", "verdict"),
    [(b"42", 0, "pass"), (b"", 0, "no_data"), (b"42", 3, "no_data")],
    ids=["good", "empty_output", "exit_3"],
)
def test_a_script_without_benchmark_is_judged_by_its_outputs(
    made: Any, tmp_path: Path, content: bytes, code: int, verdict: str
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "answer").write_bytes(content)
    assert judge(made, tmp_path, "script", code=code).verdict == verdict


def test_a_script_client_ignores_a_benchmark_that_happens_to_lie_there(made: Any, artifacts: Path) -> None:
    (artifacts / "results" / "benchmark.json").write_text("[]")
    assert judge(made, artifacts, "script").verdict == "pass"


def test_a_judgement_can_be_written_as_json(made: Any, artifacts: Path) -> None:
    data = json.loads(json.dumps(judge(made, artifacts).as_dict(), allow_nan=False))
    assert (data["verdict"], data["checks"][0]["name"], set(data["checks"][0])) == (
        "pass", "identity", {"name", "ok", "value", "limit", "message"},
    )  # fmt: skip

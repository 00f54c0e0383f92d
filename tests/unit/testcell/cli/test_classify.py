# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
FULL = "dd: error writing '/b': No space left on device"


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "input"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_log_gives_one_line_of_json(tmp_path: Path, cli: Cli) -> None:
    answer = cli("classify", put(tmp_path, f"hello\n{FULL}\n"), "--format", "json")
    assert answer.code == 0 and answer.out.count("\n") == 1
    assert json.loads(answer.out) == {
        "error_kind": "disk_full", "retriable": False, "owner": "node", "evidence": [FULL], "rule": "disk-full",
    }  # fmt: skip


def test_each_json_line_gives_one_in_the_same_order(tmp_path: Path, cli: Cli) -> None:
    texts = [FULL, "", "Host key verification failed.", "all is well"]
    path = put(tmp_path, "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in texts))
    answer = cli("classify", path, "--format", "json")
    kinds = [json.loads(line)["error_kind"] for line in answer.out.splitlines()]
    assert kinds == ["disk_full", "unknown", "ssh_hostkey", "unknown"]
    table = cli("classify", path)
    assert "2 of 4 unknown" in table.out and "ssh_hostkey" in table.out


def test_a_file_gets_the_lines_that_the_screen_gets(tmp_path: Path, cli: Cli) -> None:
    path, written = (
        put(tmp_path, "".join(json.dumps({"text": text}) + "\n" for text in ("x", FULL))),
        tmp_path / "answers",
    )
    assert cli("classify", path, "--format", "json", "--output", str(written)).code == 0
    assert written.read_text() == cli("classify", path, "--format", "json").out


def test_json_lines_of_a_program_that_writes_a_byte_order_mark_are_json_lines(tmp_path: Path, cli: Cli) -> None:
    path = put(tmp_path, b'\xef\xbb\xbf{"text": "all is well"}\n{"text": "Host key verification failed."}\n')
    kinds = [json.loads(line)["error_kind"] for line in cli("classify", path, "--format", "json").out.splitlines()]
    assert kinds == ["unknown", "ssh_hostkey"]


def test_a_table_has_the_numbers_of_the_lines_also_after_an_empty_one(tmp_path: Path, cli: Cli) -> None:
    path = put(tmp_path, '{"text": "a"}\n\n{"text": "Host key verification failed."}\n')
    assert [line.split()[:2] for line in cli("classify", path).out.splitlines()[1:3]] == [
        ["1", "unknown"],
        ["3", "ssh_hostkey"],
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "a"}\n{"text": 7}\n', "input:2:2: text is no string"),
        (b'{"text": "a"}\n{"other": "b"}\n', "input:2:1: text is missing"),
        (b'{"text": "a"}\n["text"]\n', "input:2:1: is no object"),
        (b'{"text": "a"}\n{"text": "b\n', "input:2:12: is no JSON"),
        (b'{"text": "a"}\n{"text": "\xff"}\n', "input:2:11: is no UTF-8"),
    ],
)
def test_a_bad_line_is_told_with_its_place_after_the_good_ones(
    tmp_path: Path, cli: Cli, content: bytes, said: str
) -> None:
    answer = cli("classify", put(tmp_path, content))
    assert answer.code == 3 and said in answer.err


def test_a_file_that_is_not_there_is_a_wrong_command(tmp_path: Path, cli: Cli) -> None:
    assert cli("classify", tmp_path / "absent").code == 2
    assert cli("classify", tmp_path).code == 2


def test_an_empty_text_is_unknown(tmp_path: Path, cli: Cli) -> None:
    answer = cli("classify", put(tmp_path, ""), "--format", "json")
    assert answer.code == 0 and json.loads(answer.out)["error_kind"] == "unknown"


def test_rules_of_the_project_and_of_the_command_come_first(project: Path, cli: Cli) -> None:
    path, own = put(project, FULL), project / "config" / "classify_rules.yml"
    own.parent.mkdir(exist_ok=True)
    own.write_text("rules: [{id: ours, kind: gpu_fault, patterns: ['error writing']}]\n")
    assert json.loads(cli("classify", path, "--format", "json").out)["rule"] == "ours"
    own.write_text("rules: [{id: ours, kind: nope, patterns: ['error writing']}]\n")
    refused = cli("classify", path)
    assert refused.code == 3 and "classify_rules.yml:1:" in refused.err


def test_each_answer_comes_as_soon_as_its_line_is_there() -> None:
    command = [sys.executable, "-m", "testcell", "classify", "--input", "lines", "--format", "json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin and running.stdout
        for text, kind in ((FULL, "disk_full"), ("Host key verification failed.", "ssh_hostkey")):
            running.stdin.write(json.dumps({"text": text}) + "\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["error_kind"] == kind
        running.stdin.close()
        assert running.wait(60) == 0

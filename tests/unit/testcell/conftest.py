# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testcell import starting
from testcell.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return standard output as JSON."""
        return json.loads(self.out)


Cli = Callable[..., Answer]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fresh starter project that is also the current folder."""
    folder = tmp_path / "project"
    starting.start(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs one command line in this process."""

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        code = main.run([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Return a maker of finished runs below a results folder."""

    def make(results: Path, run_id: str, **changes: Any) -> Path:
        folder = results / run_id
        folder.mkdir(parents=True)
        case = {
            "scenario": "example",
            "case": "",
            "attempt": 1,
            "verdict": "pass",
            "metrics": {"ttft_ms_p50": 12.5},
            "seconds": 3.0,
        }
        summary = {
            "run_id": run_id,
            "verdict": "pass",
            "exit_code": 0,
            "counts": {"pass": 1},
            "cases": [case],
            "seconds": 4.0,
        }
        (folder / "summary.json").write_text(json.dumps({**summary, **changes}))
        return folder

    return make

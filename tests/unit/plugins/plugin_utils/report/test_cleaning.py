# SPDX-License-Identifier: MIT
"""What cleaning removed is added up over nodes and cases, and said in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_page, cleaning, html_page, run_page
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.differences import told
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.summary import build

Make = Callable[..., dict[str, Any]]

ERROR = {"error_kind": "docker_leftover", "what": "network n", "error": "has active endpoints"}
CLEANED = {
    "n1": {"removed": {"containers": 2, "networks": 1, "files": 3, "bytes": 2048}, "seconds": 0.25, "emergency": False},
    "n2": {"removed": {"containers": 1, "processes": 1}, "seconds": 0.5, "emergency": True, "errors": [ERROR]},
}
LINE = "removed 3 containers, 1 network, 1 process, 3 files, 2.0 KiB in 0.8 s, 1 emergency pass"


def test_a_case_is_added_up_over_its_nodes() -> None:
    found = cleaning.of_case(CLEANED)
    assert found["total"] == {
        "containers": 3,
        "networks": 1,
        "volumes": 0,
        "processes": 1,
        "files": 3,
        "bytes": 2048,
        "seconds": 0.75,
        "emergency_passes": 1,
    }
    assert found["nodes"]["n2"]["errors"] == [ERROR] and "errors" not in found["nodes"]["n1"]
    assert cleaning.line(found) == LINE


def test_a_run_is_added_up_over_its_cases() -> None:
    one = {"cleaning": cleaning.of_case(CLEANED)}
    found = cleaning.of_run([one, one, {"cleaning": {}}, {}])
    assert (found["total"]["containers"], found["total"]["seconds"], found["total"]["emergency_passes"]) == (6, 1.5, 2)
    assert (found["nodes"]["n1"]["bytes"], found["nodes"]["n2"]["errors"]) == (4096, [ERROR, ERROR])
    assert cleaning.line(found).endswith("2 emergency passes")


@pytest.mark.parametrize("nothing", [{}, None, "text"])
def test_where_nothing_was_cleaned_nothing_is_said(nothing: Any) -> None:
    assert cleaning.line(nothing) == ""
    assert cleaning.of_case({}) == {} == cleaning.of_run([{"cleaning": nothing}])


def test_every_report_says_it_in_one_line(tmp_path: Path, make_case: Make, make_run: Make) -> None:
    case = make_case(cleaning=cleaning.of_case(CLEANED))
    run = make_run(case, cleaning=cleaning.of_run([case]))
    assert f"R{LINE[1:]}." in case_page.render(case) and f"R{LINE[1:]}." in run_page.render(run)
    assert html_page.render(run, tmp_path).count(f"Cleaning {LINE}.") == 2
    assert build(run)["cleaning"]["total"]["containers"] == 3
    assert "n2: could not be cleaned network n: has active endpoints" in case_page.render(case)


def entry(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "owner": "kim", "age_s": 4.0, "detail": "", **more}


def test_what_others_did_is_told_by_kind_with_the_first_names() -> None:
    files = [entry("tmp", f"/tmp/{number}") for number in range(5)]
    state = {
        "foreign": [files[0], entry("port", ":80", detail="nginx"), *files[1:]],
        "gone": [entry("volume", "v", owner="")],
        "noted": [entry("image", "e:1"), entry("disk", "/", detail="9 bytes less free than before")],
    }
    assert told(state) == [
        "new since the start and not ours: port :80 (nginx, owner kim, 4.0 s old)",
        "new since the start and not ours: "
        "tmp /tmp/0 (owner kim, 4.0 s old), tmp /tmp/1 (owner kim, 4.0 s old), tmp /tmp/2 (owner kim, 4.0 s old), and 2 more",
        "gone since the start and not ours: volume v (owner unknown, 4.0 s old)",
        "disk / 9 bytes less free than before",
    ]

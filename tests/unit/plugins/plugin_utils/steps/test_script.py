# SPDX-License-Identifier: MIT
"""Following a test: how long a node that does not answer is asked again."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, reserve, starter, steady
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import script
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure
from small_disk import small_disk

CALM = {"unit": None, "died": [], "unhealthy": []}


@pytest.fixture
def watched(make_cell, build):
    """Return the cell of a node without the test, whose questions are answered by a list; it ends with the test."""

    def make(*said):
        case = build.case(services=[build.service("a", node="n2"), build.service("b")])
        cell = make_cell(case, node="n2")
        answers = iter(said)

        def follow(**_):
            reply = next(answers, None)
            if isinstance(reply, str):
                raise NodeError(reply, f"it was {reply}")
            if reply is None:
                cell.board.post("test", {"state": "exited"})
            return reply or CALM

        cell.client = build.node(follow=follow)
        cell.client.line = None
        return cell

    return make


AWAY = "docker_daemon_down"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param([CALM, AWAY, AWAY, CALM], "", id="F29-an-engine-that-is-started-again"),
        pytest.param([*[AWAY] * 9, CALM, *[AWAY] * 9], "", id="away-twice"),
        pytest.param([CALM, *[AWAY] * 11], AWAY, id="F29-an-engine-that-is-gone"),
        pytest.param(["docker_timeout"], "docker_timeout", id="F29-an-engine-that-does-not-answer"),
        pytest.param(["ssh_timeout"], "ssh_timeout", id="F24-a-node-that-is-gone"),
    ],
)
def test_an_engine_that_is_away_for_a_moment_is_waited_for(watched, said, kind):
    cell = watched(*said)
    if kind:
        with pytest.raises(NodeError, match=r"^node n2: it was") as caught:
            script.run(cell)
        assert caught.value.kind == kind
    else:
        assert script.run(cell) == {"died": ""}


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_f60_a_wall_clock_that_jumps_ends_no_watch_and_no_patience(watched, jump):
    """F60: the watch goes on until the test has ended, and an engine that is away keeps the time that it has."""
    cell = watched(CALM, AWAY, AWAY, CALM, CALM)
    wall, passed = [1000.0], cell.clock

    def follow(answer, **_):
        wall[0] += jump
        return answer()

    cell.clock = steady.clock(lambda: wall[0], passed)
    answers = cell.client.answers["follow"]
    cell.client.answers["follow"] = lambda **_: follow(answers)
    assert script.run(cell) == {"died": ""}
    assert cell.board.read("test") is not None and len(cell.client.calls) == 7


def test_a_death_on_a_node_without_the_test_is_told_to_the_board(watched):
    died = {"service": "a", "error_kind": "service_died", "exit_code": 3, "log_tail": []}
    cell = watched(CALM, {**CALM, "died": [died]})
    assert script.run(cell) == {"died": "a"}
    assert cell.board.read("died.a")["node"] == "n2"


TEST_ENDS = None
DIED = {**CALM, "died": [{"service": "a", "error_kind": "service_died", "exit_code": 3, "log_tail": []}]}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([CALM, TEST_ENDS, DIED], id="F30-in-the-last-moment"),
        pytest.param([TEST_ENDS, AWAY, AWAY, DIED], id="F29-with-its-engine"),
    ],
)
def test_a_death_that_is_found_when_the_test_has_ended_elsewhere_fails_the_step(watched, said):
    cell = watched(*said)
    with pytest.raises(StepFailure, match=r"service a on n2 died with exit status 3 while the test ran") as caught:
        script.run(cell)
    assert (caught.value.kind, cell.board.read("died.a")["node"]) == ("service_died", "n2")
    assert caught.value.node == "n2"  # also where the test runs on another node: that one is not to blame


def test_deaths_of_before_are_left_to_who_judges_the_test(watched, build):
    cell = watched(CALM, DIED, TEST_ENDS)
    cell.case = replace(cell.case, on_service_death="continue")
    assert script.run(cell) == {"died": ""}
    assert cell.board.read("died.a")["node"] == "n2"


def test_a_case_that_has_failed_is_not_looked_at_again(watched):
    cell = watched(TEST_ENDS, AWAY)
    cell.board.claim("failure", {"message": "the test has failed"})
    assert script.run(cell) == {"died": ""}


@pytest.mark.parametrize(
    ("restarts", "lives"), [(1, ["7.1", "9.5", "9.5"]), (0, ["7.1"])], ids=["mended", "not-mended"]
)
def test_f29_what_was_mended_runs_under_the_engine_as_it_is_then(make_cell, build, restarts, lives):
    """Else it would be told as started again by another engine process, time after time."""
    case = build.case(services=[build.service("a", node="n2")], recovery={"restart_services": restarts})
    cell, asked = make_cell(case, node="n2"), []
    cell.facts["engine"] = {"life": "7.1"}
    sick = {
        "service": "a",
        "container": "c",
        "error_kind": "service_died",
        "detail": "was started again with its engine",
    }

    def follow(life, **_):
        asked.append(life)
        if len(asked) == 1:
            return {**CALM, "unhealthy": [sick]}
        cell.board.post("test", {"state": "exited"})
        return CALM

    engine = {"ok": True, "error_kind": "", "error": "", "life": "9.5"}
    cell.client = build.node(follow=follow, start={"started": {"a": {"ok": True}}}, facts={"engine": engine})
    cell.client.line = None
    assert script.run(cell) == {"died": "" if restarts else "a"}
    assert asked == lives
    assert (cell.board.read("died.a") or {}).get("error_kind") == (None if restarts else "docker_daemon_down")


UNIT = {
    "state": "exited",
    "exit_code": 0,
    "signal": None,
    "error_kind": "",
    "message": "",
    "seconds": 1.0,
    "survivors_killed": 0,
    "log_error": "",
    "dropped_bytes": 0,
}


@pytest.fixture
def tested(make_cell, build):
    """Return the cell of the node with the test, whose unit writes a log and ends as told."""

    def make(text=b"", **end):
        case = build.case(services=[build.service("a")])
        cell = make_cell(case, node="n1")
        cell.board.post("folder.n1", {"path": "/nowhere"})

        def follow(offset, **_):
            rest = text[offset:]
            log = {"log_b64": base64.b64encode(rest).decode(), "offset": len(text), "log_bytes": len(text)}
            return {**CALM, "unit": {**UNIT, **log, **end}}

        cell.client = build.node(follow=follow, supervise={}, lease={})
        cell.client.line = None
        return cell

    return make


BAR = "".join(f"\r{percent}%" for percent in range(100))
ON_THE_SCREEN = {
    "F36-plain": (b"all is well", "| all is well"),
    "F36-spaces-are-kept": (b"a   b", "| a   b"),
    "F36-invalid-utf8": (b"a\xff\xfeb", "| a\ufffd\ufffdb"),
    "F36-nul": (b"a\0b", "| a\\x00b"),
    "F36-colour": (b"\x1b[31mred\x1b[0m", "| red"),
    "F36-clears-the-screen": (b"\x1b[2J\x1b]0;title\x07x", "| \\x1b[2J\\x1b]0;title\\x07x"),
    "F36-progress-bar": (BAR.encode(), "| 99%"),
    "F36-right-to-left": ("\u202egnp.exe".encode(), "| \\u202egnp.exe"),
    "F36-four-bytes": ("\U0001f600".encode(), "| \U0001f600"),
    "F36-our-own-protocol": (b'@cell {"result": {}}', '| @cell {"result": {}}'),
    "F36-long": (b"x" * 5000, "| " + "x" * 200),
}


@pytest.mark.parametrize("row", ON_THE_SCREEN)
def test_bytes_are_kept_in_the_file_and_harmless_on_the_screen(tested, row):
    text, shown = ON_THE_SCREEN[row]
    cell, said = tested(text + b"\n"), []
    cell.say = said.append
    script.run(cell)
    assert (cell.case_dir / "test.log").read_bytes() == text + b"\n"
    assert [line for line in said if line.startswith("| ")] == [shown]


def test_the_command_line_shows_the_log_by_itself(tested, monkeypatch):
    monkeypatch.setenv(starter.VARIABLE, "1")
    cell, said = tested(b"all is well\n"), []
    cell.say = said.append
    script.run(cell)
    assert said and not [line for line in said if line.startswith("| ")]


def test_the_log_is_there_when_the_journal_names_it(tested):
    cell = tested(b"all is well\n")
    (cell.case_dir / "test.log").parent.mkdir(parents=True)
    (cell.case_dir / "test.log").write_bytes(b"of the controller before")
    seen = []
    cell.say = lambda said: seen.append((said, (cell.case_dir / "test.log").read_bytes()))
    script.run(cell)
    (event,) = [entry for entry in journal.read(cell.plan.run_dir) if entry.get("log")]
    assert (event["log"], event["message"], event["node"]) == ("test.log", seen[0][0], "n1")
    assert seen[0][1] == b"", "who follows it from its beginning finds nothing of before"


def test_a_script_that_cannot_be_started_leaves_no_log(tested, build):
    cell = tested()

    def refused(**_):
        raise NodeError("disk_full", "no room")

    cell.client = build.node(supervise=refused)
    cell.client.line = None
    with pytest.raises(NodeError):
        script.run(cell)
    assert not (cell.case_dir / "test.log").exists()


ENDS = {
    "F44-restarted": (
        {"state": "lost", "error_kind": "node_unreachable", "message": "test is lost"},
        "node_unreachable",
    ),
    "supervisor-died": ({"state": "lost", "error_kind": "internal_error", "message": "test is lost"}, "internal_error"),
    "F04-lease": (
        {"state": "killed", "error_kind": "controller_died", "message": "test was stopped"},
        "controller_died",
    ),
    "cleaned-by-somebody": ({"state": "killed", "error_kind": "cancelled", "message": "test was stopped"}, "cancelled"),
    "F26-full": ({"exit_code": 1, "error_kind": "disk_full", "message": "test ended"}, "disk_full"),
    "F26-read-only": ({"exit_code": 1, "error_kind": "fs_readonly", "message": "test ended"}, "fs_readonly"),
}


@pytest.mark.parametrize("row", ENDS)
def test_end_that_is_not_the_script_s_own_answer_is_told_with_its_reason(tested, row):
    end, kind = ENDS[row]
    with pytest.raises(StepFailure, match=f"run_test.sh on n1: {end['message']}") as caught:
        script.run(tested(**end))
    assert caught.value.kind == kind


def test_own_exit_status_is_left_to_the_verdict(tested):
    assert script.run(tested(exit_code=3, error_kind="test_failed"))["exit_code"] == 3


def test_f26_a_log_that_was_not_written_whole_is_a_warning(tested):
    cell = tested(log_error="disk_full: No space left on device", dropped_bytes=7)
    script.run(cell)
    assert cell.board.read("warning.log") == {
        "message": "7 bytes of test.log could not be written on n1: disk_full: No space left on device"
    }


@pytest.fixture
def small_results(tmp_path):
    """The results on a file system of 6 MiB, of which a reserve is 4."""
    with small_disk(tmp_path / "results", "6m") as folder:
        yield folder


@pytest.mark.usefixtures("small_results")
def test_f28_a_log_that_fills_the_disk_is_named_and_the_other_nodes_go_on(tested):
    cell = tested(b"x" * (8 << 20))
    assert reserve.has_room(cell.plan.run_dir)
    with pytest.raises(OSError, match="No space left") as caught:
        script.run(cell)
    log = cell.case_dir / "test.log"
    assert caught.value.filename == str(log)
    assert log.stat().st_size > 1 << 20 and set(log.read_bytes()) == {ord("x")}
    assert cell.board.read("test")["state"] == "not ended"

# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import time
from types import SimpleNamespace

import sealed
from ansible_collections.enginelab.testcell.plugins.callback.recorder import CallbackModule
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import proof, verify


def ended(task, host, **result):
    action = SimpleNamespace(action=task, _uuid=task, get_name=lambda: task)
    return SimpleNamespace(host=SimpleNamespace(get_name=lambda: host), task=action, result=result)


def lines(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_events_wait_for_the_folder_and_then_come_as_they_happen(tmp_path):
    recorder = CallbackModule()
    recorder.v2_playbook_on_play_start(SimpleNamespace(get_name=lambda: "Resolve"))
    recorder.v2_runner_on_ok(ended("enginelab.testcell.resolve_run", "localhost", run_dir=str(tmp_path)))
    recorder.v2_runner_on_failed(ended("enginelab.testcell.run_test", "node1", msg="password=hunter2", token="hunter2"))
    recorder.v2_playbook_on_stats(SimpleNamespace(processed={}, summarize=lambda host: {}))
    assert [(e["event"], e.get("status")) for e in lines(tmp_path)[:-1]] == [
        ("play", None),
        ("result", "ok"),
        ("result", "failed"),
    ]
    assert "hunter2" not in (tmp_path / "events.jsonl").read_text()


def test_a_run_without_a_folder_writes_nothing(tmp_path):
    recorder = CallbackModule()
    recorder.v2_runner_on_ok(ended("enginelab.testcell.resolve_run", "localhost", run_dir=""))
    recorder.v2_playbook_on_stats(SimpleNamespace(processed={}, summarize=lambda host: {}))
    assert list(tmp_path.iterdir()) == []


def test_the_last_events_of_a_run_that_is_over_are_proved_too(tmp_path):
    run = sealed.write(tmp_path, seal=False)
    recorder = CallbackModule()
    recorder.v2_runner_on_ok(ended("enginelab.testcell.resolve_run", "localhost", run_dir=str(run)))
    proof.seal(run, sealed.CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
    recorder.v2_runner_on_ok(ended("enginelab.testcell.report_run", "localhost"))
    until = time.monotonic() + 20
    while len(lines(run)) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert any("came after the proof" in note for note in verify.folder(run).notes)
    recorder.v2_playbook_on_stats(SimpleNamespace(processed={}, summarize=lambda host: {}))
    found = verify.folder(run)
    assert found.findings == () and not any("came after the proof" in note for note in found.notes)


def test_what_failed_is_recorded_with_its_kind_and_not_with_its_words(tmp_path):
    recorder = CallbackModule()
    recorder.v2_runner_on_ok(ended("enginelab.testcell.resolve_run", "localhost", run_dir=str(tmp_path)))
    recorder.v2_runner_on_failed(ended("ansible.builtin.copy", "node1", msg="/secret: No space left on device"))
    refused = "Task failed: ssh: connect to host node2 port 22: Connection refused"
    recorder.v2_runner_on_unreachable(ended("ansible.builtin.ping", "node2", unreachable=True, msg=refused))
    recorder.v2_playbook_on_stats(SimpleNamespace(processed={}, summarize=lambda host: {}))
    found = [(e.get("error_kind"), e.get("owner"), e.get("retriable")) for e in lines(tmp_path)[:-1]]
    assert found == [(None, None, None), ("disk_full", "node", False), ("ssh_refused", "network", True)]
    assert "/secret" not in (tmp_path / "events.jsonl").read_text()

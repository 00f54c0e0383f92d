# SPDX-License-Identifier: MIT
"""Evidence of real containers: logs, exit states, records without secrets, and what could not be had."""

from __future__ import annotations

import base64
import csv
import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import sampler, system

pytestmark = pytest.mark.docker

TEXT = """
services:
  good:
    image: IMAGE
    command: ["sh", "-c", "echo I am well; sleep 600", "--api-key", "hunter2"]
    environment: {HF_TOKEN: hunter2, MAX_TOKENS: "16"}
  bad:
    image: IMAGE
    command: ["sh", "-c", "echo about to fall; exit 5"]
"""

SYSTEM = {*system.FILES, *system.COMMANDS, *system.ENGINE_CALLS, "dmesg.txt", "xid.txt", "samples.csv", "sysctl.txt"}
SYSTEM |= {"journal_kernel.txt", "journal_engine.txt", "infiniband.txt"}
SECRETS = ("hunter2-of-mine", "of-the-other", "from-the-caller", "hf_abcdefghijklmnopqrst", "two-in-a-row")
SECRETS += (base64.b64encode(b"hunter2-of-mine").decode(),)
TALKING = """
services:
  a:
    image: IMAGE
    command:
      - sh
      - -c
      - |
        echo plain words stay; echo mine is $$HF_TOKEN
        echo other of-the-other and from-the-caller and hf_abcdefghijklmnopqrst
        echo '{"password": "two-in-a-row"}' aHVudGVyMi1vZi1taW5l
        exit 3
    environment: {HF_TOKEN: hunter2-of-mine}
  b:
    image: IMAGE
    command: ["sh", "-c", "exit 0"]
    environment: {API_KEY: of-the-other}
"""


@pytest.fixture
def ended(cell, any_compose):
    cell.up(TEXT, any_compose)
    answer = cell.state(service="bad", kind="completed")
    assert answer["exit_code"] == 5
    return cell


def files(cell) -> dict[str, str]:
    base = cell.case_dir / "evidence"
    return {str(path.relative_to(base)): path.read_text() for path in base.glob("**/*") if path.is_file()}


def test_ended_containers_keep_their_logs_and_states(ended):
    answer = ended.call("evidence", mode="standard")
    kept = files(ended)
    assert kept["services/bad.log"] == "about to fall\n"
    assert kept["services/good.log"] == "I am well\n"
    states = {one["service"]: one for one in json.loads(kept["state.json"])["containers"]}
    assert (states["bad"]["state"], states["bad"]["exit_code"], states["good"]["exit_code"]) == ("exited", 5, None)
    assert answer["containers"] == json.loads(kept["state.json"])["containers"]
    assert answer["missing"] == []
    actions = [json.loads(line)["Action"] for line in kept["services/events.jsonl"].splitlines()]
    assert {"create", "start", "die"} <= set(actions)


def test_secrets_are_taken_out_of_the_records(ended):
    ended.call("evidence", mode="standard")
    record = files(ended)["services/good.inspect.json"]
    assert "hunter2" not in record
    assert "MAX_TOKENS=16" in record


def test_basic_keeps_only_what_ended_badly(ended):
    ended.call("evidence", mode="basic")
    assert sorted(files(ended)) == ["services/bad.inspect.json", "services/bad.log", "state.json"]


def test_comprehensive_keeps_the_machine_too_and_names_what_is_missing(ended):
    assert ended.call("samples") == {"started": True, "why": ""}
    title = len(",".join(sampler.COLUMNS)) + 1
    assert ended.call("supervise", action="poll", name="samples", offset=title, wait_s=60)["offset"] > title
    answer = ended.call("evidence", mode="comprehensive", age_s=60)
    kept = files(ended)
    pieces = {name.partition("/")[2] for name in kept if name.startswith("system/")}
    always = {"meminfo.txt", "df.txt", "processes.txt", "net_dev.txt", "net_snmp.txt", "sysctl.txt", "samples.csv"}
    assert always | {"docker_info.json", "docker_version.json", "docker_system_df.json"} <= pieces
    assert {one["what"] for one in answer["missing"]} == {f"system/{name}" for name in SYSTEM - pieces}
    assert json.loads(kept["system/docker_version.json"])["ApiVersion"]
    assert "\nkernel.ostype = Linux\n" in kept["system/sysctl.txt"]
    rows = list(csv.DictReader(kept["system/samples.csv"].splitlines()))
    assert all(0 <= float(row["cpu_busy_pct"]) <= 100 and int(row["memory_available_bytes"]) > 0 for row in rows)
    assert rows
    assert ended.call("supervise", action="poll", name="samples")["state"] == "killed"


def test_no_secret_that_a_service_prints_is_kept(cell, any_compose):
    cell.up(TALKING, any_compose)
    assert cell.state(service="a", kind="completed")["exit_code"] == 3
    cell.secrets = ["from-the-caller"]
    answer = cell.call("evidence", mode="standard")
    kept = files(cell)
    shown = {name for name, text in kept.items() for secret in SECRETS if secret in text}
    assert shown == set()
    assert kept["services/a.log"].startswith("plain words stay\nmine is ***\n")
    assert answer["hidden"]["services/a.log"] == 6


def test_a_long_log_keeps_its_head_and_its_tail(cell, any_compose):
    command = "i=0; while [ $$i -lt 20000 ]; do echo line $$i; i=$$((i+1)); done"
    cell.up(f"services:\n  a:\n    image: IMAGE\n    command: ['sh', '-c', {json.dumps(command)}]\n", any_compose)
    assert cell.state(service="a", kind="completed")["state"] == "ready"
    cell.call("evidence", mode="standard", log_cap_bytes=4096)
    log = files(cell)["services/a.log"]
    assert len(log) < 4200
    assert log.startswith("line 0\n")
    assert log.endswith("line 19999\n")
    assert "bytes left out here]" in log


def test_without_an_engine_the_loss_is_told(ended):
    ended.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    answer = ended.call("evidence", mode="standard")
    assert answer["containers"] == []
    assert answer["missing"][0]["what"] == "containers"
    assert "docker_daemon_down" in answer["missing"][0]["why"]


def test_streams_of_real_containers_are_told_apart(cell, any_compose):
    cell.up(TEXT.replace("echo about to fall", "echo about to fall; echo it hurts >&2"), any_compose)
    cell.state(service="bad", kind="completed")
    cell.call("evidence", mode="standard", streams="soak")
    kept = {path.name: path.read_text() for path in (cell.case_dir / "soak").iterdir()}
    assert kept == {"stdout.log": "bad | about to fall\ngood | I am well\n", "stderr.log": "bad | it hurts\n"}

# SPDX-License-Identifier: MIT
"""Wrong input as a user meets it: through the command line and through site.yml of a bare ansible-core.

Ids name the rows of the catalogue of bad inputs. The rows in full are tested beside the readers, in the unit tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cellruns import ansible_command, environment, run_command

from testcell import starting

SCENARIO = "scenarios/001_example"
METADATA, COMPOSE = f"{SCENARIO}/metadata.yml", f"{SCENARIO}/docker-compose.yml"
TEST_CONFIG, SCRIPT = f"{SCENARIO}/test_config.json", f"{SCENARIO}/run_test.sh"
DEFAULTS, INVENTORY = "config/defaults.yaml", "inventories/local"
SECRET = "hunter2"
IN_ALL_S = 60
Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Said:
    """What a front door answered."""

    code: int
    text: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that is right; no engine answers, so that nothing is started should it be taken for right."""
    folder = tmp_path / "project"
    starting.start(folder)
    inventory = folder / INVENTORY
    inventory.write_text(f"{inventory.read_text().rstrip()} testcell_node_root={tmp_path}/root\n")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.delenv("NODE1_PASSWORD", raising=False)
    return folder


def command(project: Path, *words: object) -> Said:
    done = run_command(*words, cwd=project, timeout=IN_ALL_S)
    return Said(done.returncode, done.stdout + done.stderr)


def playbook(
    project: Path, *options: str, inventory: str = INVENTORY, name: str = "site.yml", **variables: str
) -> Said:
    line = ansible_command(project / inventory, {"scenario": "example", **variables}, name)
    done = subprocess.run(
        [*line, *options],
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=IN_ALL_S,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(errors="replace"))


def closed(line: list[str], stream: str) -> list[str]:
    """Return a command line that starts line with a standard stream closed, as `>&-` has it."""
    return ["/bin/sh", "-c", f'exec "$@" {stream}', "sh", *line]


def swap(name: str, old: str, new: str) -> Spoil:
    def spoil(project: Path) -> None:
        path = project / name
        text = path.read_text()
        assert old in text, f"{name} does not hold {old!r}"
        path.write_text(text.replace(old, new, 1))

    return spoil


def write(name: str, content: str | bytes) -> Spoil:
    return lambda project: (project / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def add(name: str, text: str) -> Spoil:
    return lambda project: (project / name).write_text((project / name).read_text() + text)


def mode(name: str, bits: int) -> Spoil:
    return lambda project: (project / name).chmod(bits)


def fifo(name: str) -> Spoil:
    def spoil(project: Path) -> None:
        (project / name).unlink()
        os.mkfifo(project / name)

    return spoil


def second_scenario(project: Path) -> None:
    other = project / "scenarios" / "002_other"
    other.mkdir()
    for path in (project / SCENARIO).iterdir():
        (other / path.name).write_bytes(path.read_bytes())
        (other / path.name).chmod(path.stat().st_mode)


def all_of(*spoils: Spoil) -> Spoil:
    return lambda project: [spoil(project) for spoil in spoils]


TWO_SERVICES = all_of(
    add(COMPOSE, '  second:\n    image: "e:1"\n    ports: ["18100:80"]\n'),
    swap(METADATA, "      role: router\n", "      role: router\n    - name: second\n"),
)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)
PIPE = "{{ lookup('pipe', 'touch ran') }}"
SERVICE = "    image: testcell/engine-sim:1\n"
CHAOS = f"{SCENARIO}/chaos.yml"
NAMES_PLAN = add(METADATA, "soak: {chaos_plan: chaos.yml}\n")
KILL = "{kind: kill, at_s: 5, duration_s: 5, target: {service: engine}}"


def plan(*events: str, top: str = "") -> Spoil:
    """Return what gives the scenario a chaos plan with these events, the first of them on line 2, or 3 after top."""
    return all_of(NAMES_PLAN, write(CHAOS, top + "events:\n" + "".join(f"  - {event}\n" for event in events)))


SOCKET = f'{SERVICE}    volumes: ["/var/run/docker.sock:/s"]\n'
ROWS = [
    pytest.param(write(METADATA, "# none\n"), ["metadata.yml: the file is empty; required keys: name"], id="B01"),
    pytest.param(swap(METADATA, "  services:", "\tservices:"), ["metadata.yml:9:1: tab in the indentation"], id="B03"),
    pytest.param(
        swap(METADATA, "[example]", "[example"),
        ["metadata.yml:6:7: bracket [ opened at line 6 is not closed"],
        id="B04",
    ),
    pytest.param(
        add(METADATA, "name: again\n"), ["name: duplicate key 'name'; first at line 2, again at line 24"], id="B05"
    ),
    pytest.param(write(METADATA, b"name: ex\xffample\n"), ["metadata.yml:1:9: byte 0xff at byte offset 8"], id="B07"),
    pytest.param(write(METADATA, BOMB), ["aliases expand to too many values", "up to 20000"], id="B09"),
    pytest.param(write(METADATA, "a: " + "[" * 3000), ["nested too deeply; got depth 33"], id="B10"),
    pytest.param(fifo(METADATA), ["metadata.yml: not a regular file; got FIFO"], id="B11"),
    pytest.param(
        swap(METADATA, "enabled: true", 'enabled: !!python/object/apply:os.system ["touch ran"]'),
        ["metadata.yml:4:10: tag '!!python/object/apply:os.system' is not allowed"],
        id="B12",
    ),
    pytest.param(
        swap(METADATA, "timeout: 300", "timeout: 1e3"),
        [
            "metadata.yml:17:12: test_execution.timeout: must be an integer in plain decimal digits",
            "did you mean 1000?",
        ],
        id="B13",
    ),
    pytest.param(
        swap(METADATA, "  timeout: 300", "  time_out: 300"),
        ["metadata.yml:17:3: test_execution.time_out: unknown key; allowed: args", "did you mean timeout?"],
        id="B16",
    ),
    pytest.param(
        all_of(second_scenario),
        ["001_example/metadata.yml:2:7: name: the name 'example' is also the name in", "002_other/metadata.yml:2"],
        id="B22",
    ),
    pytest.param(
        swap(METADATA, "  node: local", "  node: node9"),
        [
            "metadata.yml:15:9: test_execution.node: is no node of the inventory; got string 'node9'; allowed: local, auto"
        ],
        id="B23",
    ),
    pytest.param(mode(SCRIPT, 0o644), ["run_test.sh is not executable (mode 0644); run: chmod +x"], id="B24"),
    pytest.param(
        all_of(swap(METADATA, "name: example\n", f'name: "{PIPE}"\n'), swap(TEST_CONFIG, '"sim"', f'"{PIPE}"')),
        ["metadata.yml:2:7: name: cannot hold template text, names are taken as they are written"],
        id="B34",
    ),
    pytest.param(
        all_of(
            write("nodes.yml", 'nodes:\n  node1:\n    host: h\n    port: 70000\n    password: "${NODE1_PASSWORD}"\n'),
        ),
        [
            "nodes.yml:4:11: nodes.node1.port: is out of range",
            "nodes.yml:5:15: nodes.node1.password: environment variable",
        ],
        id="B37-B58-nodes.yml",
    ),
    pytest.param(
        swap(COMPOSE, SERVICE, f"{SERVICE}    comand: x\n"),
        ["docker-compose.yml:5:5: services.engine.comand: unknown key", "did you mean command?"],
        id="B42",
    ),
    pytest.param(
        TWO_SERVICES,
        ["services.second.ports[0]: host port 18100 is taken by service engine of line 5 already", "on node 'local'"],
        id="B43",
    ),
    pytest.param(
        swap(COMPOSE, "engine-sim:1", "engine-sim:${TAG}"),
        ["docker-compose.yml:4:12: services.engine.image: variable TAG is not set; set it with testcell_environment"],
        id="B44",
    ),
    pytest.param(
        swap(COMPOSE, SERVICE, SOCKET),
        ["docker-compose.yml:5:15: services.engine.volumes[0]: not allowed by policy: the engine's socket"],
        id="B50",
    ),
    pytest.param(
        write("hosts", f"node1 ansible_host=-oProxyCommand=x ansible_port=0 ansible_password={SECRET}\n"),
        [
            "hosts:1:7: node1.ansible_host: a host cannot start with '-', ssh would take it as an option",
            "hosts:1:37: node1.ansible_port: is no port",
        ],
        id="B58-B59-ini",
    ),
    pytest.param(
        swap(TEST_CONFIG, "http://127.0.0.1", f"http://me:{SECRET}@127.0.0.1"),
        ["test_config.json:2:15: base_url: has a user name or password"],
        id="B61",
    ),
    pytest.param(
        all_of(write("key.pub", "ssh-ed25519 AAAA me\n"), write("hosts", "node1 ansible_private_key_file=key.pub\n")),
        ["hosts:1:7: node1.ansible_private_key_file: ", "is a public key; name the private one"],
        id="B64-ini",
    ),
    pytest.param(
        write("hosts", "node1 ansible_ssh_common_args='-o UserKnownHostsFile=/none -o GlobalKnownHostsFile=/none'\n"),
        ["hosts:1:1: node1.ansible_host: known_hosts file /none does not exist; add its key with: ssh-keyscan"],
        id="B65-ini",
        marks=pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh says which files it would look in"),
    ),
    pytest.param(
        swap(DEFAULTS, "timeout: 2400", "timeout: null"),
        ["defaults.yaml:13:12: test_execution.timeout: in the global layer: must be an integer; leave the key out"],
        id="B66",
    ),
    pytest.param(
        plan(KILL.replace("kind: kill", "kind: kil")),
        ["chaos.yml:2:12: events[0].kind: must be one of the allowed words; got string 'kil'; allowed: kill, stop,"],
        id="B73",
    ),
    pytest.param(
        plan(KILL.replace("engine", "engin")),
        ["events[0].target.service: unknown service 'engin'; allowed: engine; did you mean engine?"],
        id="B74",
    ),
    pytest.param(
        plan(KILL.replace("at_s: 5", "at_s: -5"), KILL.replace(" duration_s: 5,", "")),
        [
            "chaos.yml:2:24: events[0].at_s: is out of range; got integer -5; allowed: 0..604800 seconds",
            "chaos.yml:3:5: events[1]: duration_s is missing: without it kill would never be undone",
        ],
        id="B75-B77",
    ),
    pytest.param(
        plan(
            "{kind: network_loss, at_s: 5, duration_s: 5, target: {service: engine}, params: {loss_pct: 20%}}",
            "{kind: network_delay, at_s: 5, duration_s: 5, target: {service: engine}, params: {delay_ms: fast}}",
        ),
        [
            "chaos.yml:2:96: events[0].params.loss_pct: must be a number without '%'",
            "events[1].params.delay_ms: must be a number; got string 'fast'; allowed: 1..60000 ms",
        ],
        id="B76",
    ),
    pytest.param(plan(), ["chaos.yml:1:1: events: must be a list; got null"], id="B78-no-event"),
    pytest.param(
        mode(DEFAULTS, 0o666), ["defaults.yaml: in the global layer: everybody may write this file"], id="B68"
    ),
]


@pytest.mark.parametrize(("spoil", "parts"), ROWS)
def test_both_front_doors_name_what_is_wrong_and_run_nothing(project: Path, spoil: Spoil, parts: list[str]) -> None:
    spoil(project)
    inventory = next((name for name in ("nodes.yml", "hosts") if (project / name).exists()), INVENTORY)
    checked = command(project, "validate", "-i", inventory)
    played = playbook(project, inventory=inventory)
    assert checked.code == 3
    assert played.code == 2, "Ansible has one code for every failed task"
    for said in (checked, played):
        for part in parts:
            assert part in said.text
        assert "Traceback" not in said.text and SECRET not in said.text
    assert not (project / "results").exists() and not (project / "ran").exists()


SOAKS = [
    pytest.param(
        plan(KILL), {}, ["events[0].target: takes down all services (1 of 1: engine)", "allow_total: true"], id="B74"
    ),
    pytest.param(
        plan(KILL.replace("at_s: 5", "at_s: 500"), top="allow_total: true\n"),
        {},
        [
            "chaos.yml:3:24: events[0].at_s: is past the end",
            "the soak lasts 90 s; got 500 s; allowed: up to 55 seconds",
        ],
        id="B75-B78",
    ),
    pytest.param(
        plan(KILL, KILL.replace("kill", "pause"), top="allow_total: true\n"),
        {},
        ["events[1].at_s: overlaps kill-1.0 on engine on local"],
        id="B75-overlap",
    ),
    pytest.param(
        all_of(), {}, ["soak.chaos_plan: topology single_chaos has faults, but no plan is named"], id="B78-none"
    ),
    pytest.param(
        all_of(),
        {"soak_profile": "soak_nightly"},
        [
            "-e: soak_profile: unknown profile; got string 'soak_nightly'; allowed: soak_smoke, soak_endurance, soak_release"
        ],
        id="profile",
    ),
    pytest.param(
        all_of(),
        {"soak_profile": ""},
        ["-e soak_profile is missing; allowed: soak_smoke, soak_endurance,"],
        id="no-profile",
    ),
    pytest.param(
        all_of(),
        {"duration_secs": "90s", "max_rss_slope": "64"},
        [
            "soak.duration_secs: in the override layer: must be an integer without 's'",
            "soak.max_rss_slope: in the override layer: is not a size",
        ],
        id="values",
    ),
]


@pytest.mark.parametrize(("spoil", "given", "parts"), SOAKS)
def test_a_soak_that_cannot_be_is_refused_before_anything_is_run(
    project: Path, spoil: Spoil, given: dict[str, str], parts: list[str]
) -> None:
    """B74, B75, B78"""
    spoil(project)
    asked = {"soak_profile": "soak_smoke", "topologies": "single_chaos", "duration_secs": "90", **given}
    played = playbook(project, name="playbooks/soak.yml", **asked)
    assert played.code == 2 and "Traceback" not in played.text
    for part in parts:
        assert part in played.text
    assert not (project / "results").exists()


def test_a_dry_run_of_a_soak_shows_its_faults_and_the_seed_that_was_made(project: Path) -> None:
    """B79"""
    event = KILL.replace("at_s: 5", "random: {count: 2}")
    plan(event, top="allow_total: true\n")(project)
    asked = {"soak_profile": "soak_smoke", "topologies": "single_chaos", "duration_secs": "90", "dry_run": "true"}
    planned = playbook(project, name="playbooks/soak.yml", **asked)
    assert planned.code == 0, planned.text
    (seed,) = re.findall(r"chaos    2 fault\(s\) of chaos.yml, seed (\d+)", planned.text)
    assert f"write `seed: {seed}` into the plan to have the same again" in planned.text
    assert planned.text.count("kill of engine@local for 5 s (expected)") == 2


def test_a_run_that_is_no_soak_passes_over_what_is_said_of_soaks(project: Path) -> None:
    plan(KILL)(project)
    planned = playbook(project, dry_run="true", duration_secs="90s", topologies="none")
    assert planned.code == 0 and "soak" not in planned.text.split("plan:")[1].partition("files")[0]


def test_the_project_that_is_spoilt_here_is_right(project: Path) -> None:
    assert command(project, "validate").code == 0
    planned = playbook(project, dry_run="true")
    assert planned.code == 0 and "plan: 1 attempt(s) at most; nothing has been touched" in planned.text
    for noise in ("[WARNING]", "no node matches", "Could not match"):
        assert noise not in planned.text


@pytest.mark.parametrize("environment", ["A=1", "{'A': '1'}"])
def test_the_playbook_that_checks_says_what_it_has_checked(project: Path, environment: str) -> None:
    add(INVENTORY, f"[all:vars]\ntestcell_environment={environment}\n")(project)
    checked = playbook(project, name="playbooks/validate.yml")
    assert checked.code == 0 and "localhost    1 scenario(s) checked: no error\n" in checked.text


def test_the_playbook_that_checks_names_an_environment_that_it_cannot_take(project: Path) -> None:
    add(INVENTORY, "[all:vars]\ntestcell_environment=hunter2\n")(project)
    line = len((project / INVENTORY).read_text().splitlines())
    refused = playbook(project, name="playbooks/validate.yml")
    assert refused.code == 2 and SECRET not in refused.text
    assert f"{INVENTORY}:{line}:1: testcell_environment: must give environment variables" in refused.text


def test_a_run_shows_every_problem_of_every_file_as_objects(project: Path) -> None:
    for spoil in (swap(METADATA, "timeout: 300", "timeout: 0"), swap(DEFAULTS, "timeout: 2400", "timeout: x")):
        spoil(project)
    write("hosts", "node1 ansible_port=0\n")(project)
    answer = command(project, "--format", "json", "run", "example", "-i", "hosts")
    assert answer.code == 3
    places = {(Path(p["file"]).name, p["line"], p["key"]) for p in json.loads(answer.text)["problems"]}
    assert {("metadata.yml", 17, "test_execution.timeout"), ("defaults.yaml", 13, "test_execution.timeout")} <= places
    assert ("hosts", 1, "node1.ansible_port") in places
    assert not (project / "results").exists()


def test_wrong_usage_is_told_from_wrong_files(project: Path) -> None:
    """B70"""
    answer = command(project, "run", "exampel")
    assert answer.code == 2 and "did you mean example?" in answer.text and "Usage: testcell run" in answer.text
    assert "did you mean example?" in playbook(project, scenario="exampel").text
    assert not (project / "results").exists()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("node1", "ansible_limit: leaves out localhost, which resolves and closes the run"),
        (
            "localhost,node1",
            "test_execution.node: is left out of this run by --limit 'localhost,node1'; got string 'local'",
        ),
    ],
)
def test_a_limit_never_leaves_half_a_run(project: Path, limit: str, words: str) -> None:
    write("hosts", "node1 ansible_host_key_checking=false\nnode2 ansible_host_key_checking=false\n")(project)
    played = playbook(project, "--limit", limit, inventory="hosts")
    assert played.code == 2 and words in played.text
    assert not (project / "results").exists()


@pytest.mark.parametrize("streams", ["<&-", ">&-"])
def test_a_closed_standard_stream_stops_no_playbook(project: Path, streams: str) -> None:
    """B71. With standard error closed, or in a deleted folder, ansible-core ends with a traceback before it reads us."""
    line = closed(ansible_command(project / INVENTORY, {"scenario": "example", "dry_run": "true"}), streams)
    done = subprocess.run(
        line,
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=IN_ALL_S,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


def test_a_reader_that_goes_away_stops_no_playbook(project: Path) -> None:
    """B71"""
    reader, writer = os.pipe()
    os.close(reader)
    line = ansible_command(project / INVENTORY, {"scenario": "example", "dry_run": "true"})
    done = subprocess.run(
        line, cwd=project, env=environment(), stdin=subprocess.DEVNULL, stdout=writer, timeout=IN_ALL_S, check=False
    )
    os.close(writer)
    assert done.returncode == 0

# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import compose_file
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.compose_file import (
    ALL_GPUS,
    ComposeFacts,
    ComposeHealthCheck,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SERVICE = "services:\n  a:\n    image: r/a:1\n"


def facts(folder: Path, text: str, **details: Any) -> ComposeFacts:
    """Return what a compose file of this text says."""
    path = folder / "docker-compose.yml"
    path.write_text(text)
    return compose_file.check(path, **{"environ": {}, **details})


def said(found: ComposeFacts) -> str:
    """Return all problems, one a line, without the folder's name."""
    return "\n".join(problem.render() for problem in found.problems).replace(str(Path(found.file).parent) + "/", "")


def with_ports(*ports: str) -> str:
    """Return a file whose service a has these ports, one a line from line 5."""
    return SERVICE + "    ports:\n" + "".join(f"      - {port}\n" for port in ports)


SEED = """\
services:
  p-1:
    image: "inference-engine:1"
    ports:
      - "18008:8000"
  d-1:
    image: "data-processor:1"
    ports:
      - "18009:8001"
"""


def test_the_file_of_the_seed_is_usable(tmp_path: Path) -> None:
    found = facts(tmp_path, SEED)
    assert found.errors == ()
    assert {name: service.ports for name, service in found.services.items()} == {"p-1": (18008,), "d-1": (18009,)}
    assert found.places[("services", "d-1")] == (6, 3)


ERRORS = [
    pytest.param("", ["docker-compose.yml: the file is empty; required keys: services"], id="B47-empty"),
    pytest.param("- a\n", ["1:1: must be a mapping, the top level"], id="B47-list"),
    pytest.param("services: {}\n", ["1:11: services: no service is defined"], id="B47-no-services"),
    pytest.param("version: '3'\n", ["required key 'services' is missing"], id="B47-no-services-key"),
    pytest.param("services:\n  a:\n", ["2:3: services.a: must be a mapping; got null"], id="B47-empty-service"),
    pytest.param("services: [a]\n", ["services: must be a mapping; got list"], id="B47-services-list"),
    pytest.param("services: [\n", ["bracket [ opened at line 1"], id="B04-syntax"),
    pytest.param(SERVICE + "    comand: x\n", ["4:5: services.a.comand: unknown key", "did you mean command?"], id="B42-service-key"),
    pytest.param("service:\n  a: {image: r/a:1}\n", ["service: unknown key", "did you mean services?"], id="B42-top-key"),
    pytest.param(SERVICE + "    healthcheck: {intervall: 5s}\n", ["did you mean interval?"], id="B42-nested-key"),
    pytest.param(SERVICE + "    interval: 5s\n", ["key is at the wrong level, it belongs to services.NAME.healthcheck"], id="B17-level"),
    pytest.param("image: r/a:1\n" + SERVICE, ["image: key is at the wrong level, it belongs to services.NAME"], id="B17-top"),
    pytest.param(with_ports('"x:y"'), ["5:9: services.a.ports[0]: is not a port; got string 'x:y'"], id="B43-text"),
    pytest.param(with_ports('"99999:80"'), ["has a port out of range; got string '99999:80'"], id="B43-range"),
    pytest.param(with_ports("99999"), ["has a port out of range"], id="B43-number"),
    pytest.param(with_ports('"80:0"'), ["has a port out of range"], id="B43-zero"),
    pytest.param(with_ports("22:22"), ["5:9: services.a.ports[0]: must be a string, put it in quotes", "base 60 number 1342", 'did you mean "22:22"?'], id="B43-sexagesimal"),
    pytest.param(with_ports('"1-3:1-2"'), ["maps ranges of different length"], id="B43-lengths"),
    pytest.param(with_ports('"80:80/xyz"'), ["has an unknown protocol"], id="B43-protocol"),
    pytest.param(with_ports("{target: 80, published: 99999}"), ["ports[0].published: is out of range"], id="B43-long-form"),
    pytest.param(with_ports("{published: 80}"), ["required key 'target' is missing"], id="B43-long-form-target"),
    pytest.param("services:\n  a:\n    image: bb:${TAG}\n", ["3:12: services.a.image: variable TAG is not set"], id="B44-unset"),
    pytest.param("services:\n  a:\n    image: ${IMG}\n", ["variable IMG is not set"], id="B44-whole"),
    pytest.param("services:\n  a:\n    image: 'bb:'\n", ["services.a.image: is not an image name; got string 'bb:'"], id="B44-empty-tag"),
    pytest.param("services:\n  a:\n    image: ''\n", ["image is empty"], id="B44-empty"),
    pytest.param("services:\n  a:\n    command: x\n", ["required key 'image' is missing; an image is needed"], id="B44-none"),
    pytest.param("services:\n  a:\n    build: .\n", ["build: alone is not enough"], id="build-only"),
    pytest.param("services:\n  a:\n    image: Bad Image\n", ["is not an image name"], id="image-form"),
    pytest.param(SERVICE + "    command: ${X:?tell me}\n", ["4:14: services.a.command: variable X is not set: 'tell me'"], id="B45-required"),
    pytest.param(SERVICE + '    command: "${"\n', ["4:14: services.a.command: '${' is not closed"], id="B45-open"),
    pytest.param(SERVICE + "    command: echo $ x\n", ["write $$ for a dollar sign"], id="B45-dollar"),
    pytest.param(SERVICE + "  a:\n    image: r/b:1\n", ["4:3: services.a: duplicate key 'a'; first at line 2, again at line 4"], id="B46-duplicate-service"),
    pytest.param(SERVICE + "    networks: [nope]\n", ["networks[0]: is not declared under networks at the top level; got string 'nope'"], id="B48-network"),
    pytest.param(SERVICE + "    volumes: ['data:/d']\nvolumes: {date: }\n", ["is not declared under volumes", "did you mean date?"], id="B48-volume"),
    pytest.param(SERVICE + "    secrets: [s]\n", ["is not declared under secrets"], id="B48-secret"),
    pytest.param(SERVICE + "    restart: sometimes\n", ["is not a restart policy; got string 'sometimes'"], id="B49-unknown"),
    pytest.param(SERVICE + "    restart: no\n", ["restart: must be a string, put it in quotes", 'did you mean "no"?'], id="B49-unquoted-no"),
    pytest.param(SERVICE + "    container_name: x\n", ["4:5: services.a.container_name: not allowed by policy", "deployment.allow"], id="B50-container-name"),
    pytest.param(SERVICE + "    privileged: true\n", ["services.a.privileged: not allowed by policy"], id="B50-privileged"),
    pytest.param(SERVICE + "    pid: host\n", ["services.a.pid: not allowed by policy"], id="B50-pid"),
    pytest.param(SERVICE + "    volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n", ["services.a.volumes[0]: not allowed by policy: the engine's socket", "'docker_socket'"], id="B50-socket"),
    pytest.param(SERVICE + "    volumes: ['/:/host']\n", ["a system folder of the node is not mounted whole; got string '/'"], id="B50-root"),
    pytest.param(SERVICE + "    volumes: ['//etc/../etc/:/e:ro']\n", ["a system folder of the node"], id="B50-disguised"),
    pytest.param(SERVICE + "    volumes: [{type: bind, source: /, target: /host}]\n", ["a system folder of the node"], id="B50-long-form"),
    pytest.param(SERVICE + "    cap_add: [all]\n", ["services.a.cap_add: not allowed by policy: all capabilities", "'privileged'"], id="B50-all-capabilities"),
    pytest.param(SERVICE + "    use_api_socket: true\n", ["services.a.use_api_socket: not allowed by policy: the engine's socket"], id="B50-api-socket"),
    pytest.param(SERVICE + "volumes:\n  v: {driver_opts: {type: none, o: 'bind,ro', device: /etc}}\n", ["5:55: volumes.v.driver_opts.device: not allowed by policy: a system folder"], id="B50-volume-in-disguise"),
    pytest.param(SERVICE + "    gpus: many\n", ["services.a.gpus: is not of the form that is allowed; got string 'many'; allowed: a whole number, or all"], id="B55-gpus"),
    pytest.param(SERVICE + "    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: some}]}}}\n", ["devices[0].count: is not of the form"], id="B55-count"),
    pytest.param(SERVICE + "    volumes: ['./missing:/m']\n", ["4:15: services.a.volumes[0]: does not exist in the scenario's folder; got string './missing'"], id="B51-missing"),
    pytest.param(SERVICE + "    volumes: ['../up:/m']\n", ["leads out of the scenario's folder"], id="B51-out"),
    pytest.param(SERVICE + "    volumes: ['~/m:/m']\n", ["the home folder of a node is not known"], id="B51-home"),
    pytest.param(SERVICE + "    volumes: ['a:b:c:d']\n", ["is not a mount"], id="B51-form"),
    pytest.param("version: '9.9'\n" + SERVICE, ["1:10: version: unknown compose file version; got string '9.9'", "3.9"], id="B54-version"),
    pytest.param("version: 3.8\n" + SERVICE, ["version: must be a string, put it in quotes; got number 3.8"], id="B54-unquoted"),
    pytest.param(SERVICE + "    env_file: ../x.env\n", ["4:15: services.a.env_file: leads out of the scenario's folder"], id="B56-env-file"),
    pytest.param(SERVICE + "    env_file: [/etc/passwd, {path: none.env}]\n", ["env_file[0]: must be a path relative", "env_file[1]: does not exist"], id="B56-env-files"),
    pytest.param(SERVICE + "    extends: {service: b, file: ../b.yml}\n", ["extends.file: leads out"], id="B56-extends"),
    pytest.param("include: [../x.yml, {path: [none.yml]}]\n" + SERVICE, ["include[0]: leads out", "include[1]: does not exist"], id="B56-include"),
    pytest.param(SERVICE + "configs: {c: {file: ../c}}\n", ["configs.c.file: leads out"], id="B56-config"),
    pytest.param(SERVICE + "    depends_on: [b]\n", ["4:18: services.a.depends_on[0]: unknown service; got string 'b'; allowed: a"], id="B28-unknown"),
    pytest.param(SERVICE + "    depends_on: {bb: {condition: service_healthy}}\n  bbb: {image: r/b:1}\n", ["services.a.depends_on.bb: unknown service", "did you mean bbb?"], id="B28-unknown-long"),
    pytest.param(SERVICE + "    depends_on: [a]\n", ["a service cannot wait for itself"], id="B29-self"),
    pytest.param("services:\n  a: {image: r/a:1, depends_on: [b]}\n  b: {image: r/a:1, depends_on: [c]}\n  c: {image: r/a:1, depends_on: [a]}\n", ["in a ring: a -> b -> c -> a"], id="B29-ring"),
    pytest.param(SERVICE + "    depends_on: {a: {condition: healthy}}\n", ["condition: must be one of the allowed words", "service_healthy"], id="condition"),
    pytest.param(SERVICE + "    healthcheck: {test: [curl, x]}\n", ["the first word of the list must be CMD, CMD-SHELL or NONE"], id="B53-test-form"),
    pytest.param(SERVICE + "    healthcheck: {test: [CMD]}\n", ["has no command"], id="B53-no-command"),
    pytest.param(SERVICE + "    healthcheck: {interval: 5}\n", ["must be a duration with its unit; got integer 5", "did you mean 5s?"], id="B53-unit"),
    pytest.param(SERVICE + "    healthcheck: {timeout: 5x}\n", ["is not a duration; got string '5x'"], id="B53-duration"),
    pytest.param(SERVICE + "    command: [serve, --port, 8000]\n", ["command[2]: must be a string, put it in quotes; got integer 8000", 'did you mean "8000"?'], id="number-in-command"),
    pytest.param(SERVICE + "    environment: {A: yes}\n", ["environment.A: must be a string, put it in quotes"], id="B14-environment"),
    pytest.param(SERVICE + "    environment: {A: true}\n", ["environment.A: must be a string or an integer or a number; got boolean true"], id="B14-environment-true"),
    pytest.param(SERVICE + "    cpus: .5\n", ["cpus: ambiguous without quotes", "did you mean 0.5?"], id="B13-cpus"),
    pytest.param("services:\n  'a b': {image: r/a:1}\n", ["key is not of the form that is allowed"], id="service-name"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), ERRORS)
def test_every_error_is_named_with_its_place(text: str, parts: list[str], tmp_path: Path) -> None:
    found = facts(tmp_path, text)
    assert found.errors
    for part in parts:
        assert part in said(found)


WARNINGS = [
    pytest.param(SERVICE + "    restart: always\n", "4:5: warning: services.a.restart: is overridden with \"no\"", id="B49-always"),
    pytest.param(SERVICE + "    restart: unless-stopped\n", "is overridden", id="B49-unless-stopped"),
    pytest.param(SERVICE + "    restart: on-failure:3\n", "is overridden", id="B49-on-failure"),
    pytest.param(SERVICE + "    deploy: {restart_policy: {condition: any}}\n", "deploy.restart_policy: is ignored", id="B49-deploy"),
    pytest.param(SERVICE + "    network_mode: host\n    ports: ['80:80']\n", "4:5: warning: services.a.network_mode: the host's network is used, ports of two scenarios or services may clash; its ports: are ignored", id="B50-network"),
    pytest.param("services:\n  a: {image: redis}\n", "image has no tag", id="B52-no-tag"),
    pytest.param("services:\n  a: {image: 'redis:latest'}\n", "image has the tag latest", id="B52-latest"),
    pytest.param("services:\n  a: {image: 'host:5000/redis'}\n", "image has no tag", id="B52-registry-port"),
    pytest.param(SERVICE + "  b: {image: r/b:1, depends_on: [a]}\n", "2:3: warning: services.a: b waits for this service, but it has no healthcheck", id="B53-no-healthcheck"),
    pytest.param(SERVICE + "    healthcheck: {disable: true}\n  b: {image: r/b:1, depends_on: [a]}\n", "has no healthcheck", id="B53-disabled"),
    pytest.param(SERVICE + "    logging: {driver: json-file}\n", "logging: has no option max-size", id="B57-unlimited"),
    pytest.param(SERVICE, "note: services: no logging limit is set for a; a default limit is added", id="B57-default"),
    pytest.param("name: x\n" + SERVICE, "note: name: is not used", id="project-name"),
    pytest.param(SERVICE + "    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], driver: nvidea}]}}}\n", "unknown device driver; got string 'nvidea'; allowed: nvidia", id="B55-driver"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "part"), WARNINGS)
def test_what_is_overridden_or_doubtful_is_said_and_no_error(text: str, part: str, tmp_path: Path) -> None:
    found = facts(tmp_path, text)
    assert found.errors == ()
    assert part in said(found)


def test_who_waits_for_the_end_of_a_job_needs_no_healthcheck(tmp_path: Path) -> None:
    waits = "  b: {image: r/b:1, depends_on: {a: {condition: service_completed_successfully}}}\n"
    assert "no healthcheck" not in said(facts(tmp_path, SERVICE + waits))


ALLOWED = [
    pytest.param("container_name", "container_name: x", id="B50-container-name"),
    pytest.param("privileged", "privileged: true", id="B50-privileged"),
    pytest.param("pid", "pid: host", id="B50-pid"),
    pytest.param("network_mode", "network_mode: host", id="B50-network"),
    pytest.param("docker_socket", "volumes: ['/run/docker.sock:/s']", id="B50-socket"),
    pytest.param("system_mount", "volumes: ['/sys:/sys:ro']", id="B50-mount"),
]


@pytest.mark.parametrize(("key", "line"), ALLOWED)
def test_a_scenario_can_be_allowed_each_policy_key(key: str, line: str, tmp_path: Path) -> None:
    assert key in compose_file.POLICY_KEYS
    assert len(facts(tmp_path, SERVICE + f"    {line}\n").problems) == 2
    assert len(facts(tmp_path, SERVICE + f"    {line}\n", allow=frozenset({key})).problems) == 1


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = (
        SERVICE
        + "    comand: x\n    privileged: true\n    ports: [x]\n    image: r/b:1\n  b: {depends_on: [zz]}\nfoo: 1\n"
    )
    assert len(facts(tmp_path, text).errors) == 7


def test_a_missing_variable_is_one_problem_not_two(tmp_path: Path) -> None:
    assert [p.key for p in facts(tmp_path, "services:\n  a:\n    image: ${IMG}\n").errors] == ["services.a.image"]


def test_a_file_that_is_not_there_gives_facts_with_the_reason(tmp_path: Path) -> None:
    found = compose_file.check(tmp_path / "none.yml", environ={})
    assert found.services == {}
    assert "file does not exist" in said(found)


FULL = """\
version: "3.8"
services:
  router:
    image: reg.lab:5000/x/router@sha256:0000000000000000000000000000000000000000000000000000000000000000
    ports:
      - "18080-18081:80-81"
      - target: 9090
        published: "19090"
        host_ip: 127.0.0.1
    depends_on:
      worker: {condition: service_healthy, required: true}
    healthcheck:
      test: curl -f http://localhost/
      interval: 1m30s
      timeout: 500ms
      retries: ${RETRIES:-7}
      start_period: 2m
      start_interval: 1s
    logging: {driver: json-file, options: {max-size: 10m}}
    environment: [A=1, "B=${TESTCELL_HOST_WORKER}"]
    networks: [inner]
    configs: [{source: conf, target: /c, mode: 0440}]
  worker:
    image: r/worker:${TAG}
    restart: "no"
    healthcheck: {test: [CMD, "true"]}
    gpus: all
    volumes: ["./data:/data:ro", "models:/m", "/models:/w", "/anonymous"]
    logging: {driver: local, options: {max-size: 1m}}
    command: ["sh", "-c", "echo $$HOME"]
    networks: {inner: }
    deploy: {replicas: 2}
    profiles: [big]
networks:
  inner:
  outer: {external: true, name: corp}
volumes:
  models: {external: {name: shared}}
configs:
  conf: {file: conf.txt}
x-note: anything
"""


def test_everything_that_planning_needs_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "conf.txt").write_text("")
    (tmp_path / ".env").write_text("TAG=from-file\n")
    found = facts(tmp_path, FULL)
    assert found.problems == ()
    router, worker = found.services["router"], found.services["worker"]
    assert router.ports == (18080, 18081, 19090)
    assert router.port_map[1].host_ip == "127.0.0.1"
    assert (router.depends_on, router.conditions) == (("worker",), {"worker": "service_healthy"})
    assert router.healthcheck == ComposeHealthCheck(("CMD-SHELL", "curl -f http://localhost/"), 90.0, 0.5, 7, 120.0)
    assert worker.healthcheck == ComposeHealthCheck(("CMD", "true"))
    assert worker.image == "r/worker:from-file"
    assert (worker.gpus, worker.replicas, worker.profiles, worker.restart) == (ALL_GPUS, 2, ("big",), "no")
    assert worker.binds == ("./data", "/models")
    assert [mount.kind for mount in worker.mounts] == ["bind", "volume", "bind", "volume"]
    assert [(r.name, r.external, r.actual) for r in found.networks] == [("inner", False, ""), ("outer", True, "corp")]
    assert [(r.name, r.external, r.actual) for r in found.volumes] == [("models", True, "shared")]
    assert found.version == "3.8"
    assert [key.key for key in found.v2_only] == [
        "services.router.healthcheck.start_interval",
        "services.router.depends_on.worker.required",
        "services.worker.gpus",
    ]


def test_B54_keys_that_v1_does_not_know_come_with_their_line(tmp_path: Path) -> None:
    text = "name: x\n" + SERVICE + "    gpus: 2\n    labels: ['${A:+x}', '${B:-${C:-d}}', '${D:-e}', '$${A:+x}']\n"
    found = [(key.key, key.line) for key in facts(tmp_path, text).v2_only]
    assert found == [("name", 1), ("services.a.gpus", 5), ("services.a.labels[0]", 6), ("services.a.labels[1]", 6)]


@pytest.mark.parametrize(
    ("devices", "gpus"),
    [
        pytest.param("[{capabilities: [gpu], count: 8}]", 8, id="B55-count"),
        pytest.param("[{capabilities: [gpu], count: all}]", ALL_GPUS, id="B55-all"),
        pytest.param("[{capabilities: [gpu], device_ids: ['0', '3']}]", 2, id="B55-ids"),
        pytest.param("[{capabilities: [gpu], count: '2'}, {capabilities: [gpu], count: 1}]", 3, id="B55-sum"),
        pytest.param("[{capabilities: [tpu], count: 2}]", 0, id="B55-other"),
    ],
)
def test_gpus_asked_for_are_counted(devices: str, gpus: int, tmp_path: Path) -> None:
    text = SERVICE + f"    deploy: {{resources: {{reservations: {{devices: {devices}}}}}}}\n"
    assert facts(tmp_path, text).services["a"].gpus == gpus


def test_the_environment_beats_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=1\n")
    assert (
        facts(tmp_path, "services: {a: {image: 'r/a:${TAG}'}}\n", environ={"TAG": "2"}).services["a"].image == "r/a:2"
    )


def test_secrets_of_the_environment_do_not_get_into_messages_or_facts(tmp_path: Path) -> None:
    found = facts(
        tmp_path, "services: {a: {image: 'R/a:${HF_TOKEN}', command: [x, 1]}}\n", environ={"HF_TOKEN": "hunter2"}
    )
    assert "hunter2" not in said(found) + repr(found)


def test_a_service_probed_otherwise_needs_no_healthcheck(tmp_path: Path) -> None:
    text = SERVICE + "  b: {image: r/b:1, depends_on: [a]}\n"
    assert "has no healthcheck" not in said(facts(tmp_path, text, probed={"a"}))


def test_B56_files_are_looked_for_in_the_whole_scenario(tmp_path: Path) -> None:
    inner = tmp_path / "compose"
    inner.mkdir()
    (tmp_path / "common.env").write_text("A=1\n")
    text = SERVICE + "    env_file: ../common.env\n"
    assert "leads out" in said(facts(inner, text))
    assert facts(inner, text, root=tmp_path).errors == ()


def test_B56_a_link_out_of_the_scenario_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "x.env").symlink_to("/etc/passwd")
    assert "leads out" in said(facts(tmp_path, SERVICE + "    env_file: x.env\n"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text('services:\n  a{}[]"image ${:-}/1', max_size=100).map(str.encode))
def test_random_bytes_never_raise(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_bytes(content)
    assert isinstance(compose_file.check(path, environ={}), ComposeFacts)


WORDS = st.sampled_from(["a", "8000:80", "${X}", "$", "./d:/d", "/:/h", "5s", "host", "", "no", "r/a:1"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 99999) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["condition", "test", "devices", "resources", "source", "target", "type", "file", "path", "capabilities"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(sorted(compose_file.COMPOSE.keys["services"].spec.value.keys))  # type: ignore[union-attr]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    services=st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(KEYS, VALUES, max_size=5), max_size=2),
    top=st.dictionaries(
        st.sampled_from(["networks", "volumes", "configs", "secrets", "include", "version", "x-a"]), VALUES, max_size=2
    ),
)
def test_any_tree_of_known_keys_is_checked_without_errors(
    services: dict[str, Any], top: dict[str, Any], tmp_path: Path
) -> None:
    import yaml

    found = facts(tmp_path, yaml.safe_dump({"services": services, **top}))
    assert said(found) is not None


def test_long_rings_and_chains_need_no_recursion(tmp_path: Path) -> None:
    chain = "".join(f"  s{n}: {{image: r/s:1, depends_on: [s{(n + 1) % 900}]}}\n" for n in range(900))
    assert "in a ring" in said(facts(tmp_path, "services:\n" + chain))

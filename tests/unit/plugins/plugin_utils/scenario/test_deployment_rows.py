# SPDX-License-Identifier: MIT
"""What somebody reads who got the services of a scenario wrong: whole lines, with file, place, key, value and choice.

Ids name the rows of the catalogue of bad inputs. What only a node can know is held against its facts in the prep step.
"""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.known import Known
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.metadata import examine

NAME = "name: example\n"
SERVICES = NAME + "deployment:\n  services:\n"
A = 'services:\n  a:\n    image: "e:1"\n'
B = '  b: {image: "e:1"}\n'
C = '  c: {image: "e:1"}\n'
M, D = "metadata.yml", "docker-compose.yml"
SIZE = "allowed: a number and its unit such as '24GB' or '24GiB'; units: MB, GB, TB, MiB, GiB, TiB"
MEMORY = "resource_requirements.min_gpu_memory"
PORT = "allowed: [[IP:]HOST:]CONTAINER[/tcp|udp] with ports 1..65535 or ranges of equal length, in quotes"
UNSET = "set it with testcell_environment or in the .env file beside, give a default with ${TAG:-VALUE}, or write $$TAG"
NO_RESTART = 'services.a.restart: is overridden with "no": a restart by the engine would hide the fault under test'
OUT = "leads out of the scenario's folder, only that is taken to the nodes"
ON_ONE_NODE = "    - {name: a, node: node1}\n    - {name: b, node: node1}\n"
HOST_NETWORK = "network_mode: host, ports: ['80:80']"
DEVICES = "    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], driver: nvidea}]}}}\n"
CHECK = "    healthcheck: {test: x, interval: 2s, retries: 5, start_period: 80s}\n"
CLASHES = (
    f"{D}:2:21: warning: services.a.network_mode: the host's network is used,",
    f"{D}:3:21: warning: services.b.network_mode: the host's network is used,",
    f"{D}:3:49: services.b.ports[0]: host port 80 is taken by service a of line 2 already; both are placed on node 'node1'",
)


def by_policy(key: str, why: str, *, place: str = "4:5", got: str = "", where: str = "") -> str:
    allowed = f"allowed: only with '{key}' in the scenario's list deployment.allow"
    return f"{D}:{place}: services.a.{where or key}: not allowed by policy: {why}; got {got}; {allowed}"


ROWS = [
    pytest.param(
        SERVICES + "    - {name: a, depends_on: [redis]}\n", A,
        [f"{M}:4:30: deployment.services[0].depends_on[0]: unknown service 'redis'; allowed: a"], id="B28-metadata"),
    pytest.param(
        NAME, A + "    depends_on: [redis]\n",
        [f"{D}:4:18: services.a.depends_on[0]: unknown service; got string 'redis'; allowed: a"], id="B28-compose"),
    pytest.param(
        SERVICES + "    - {name: a, depends_on: [b]}\n    - {name: b, depends_on: [c]}\n    - {name: c, depends_on: [a]}\n",
        A + B + C,
        [f"{M}:4:29: deployment.services[0].depends_on: services wait for each other: a -> b -> c -> a"], id="B29-ring"),
    pytest.param(
        NAME, A + "    depends_on: [a]\n",
        [f"{D}:4:18: services.a.depends_on[0]: a service cannot wait for itself; got string 'a'"], id="B29-self"),
    pytest.param(
        SERVICES + "    - {name: a}\n    - {name: c}\n", A + B,
        [f"{D}:4:3: services.b: service is missing in deployment.services of the metadata (metadata: a, c; compose: a, b)",
         f"{M}:5:14: deployment.services[1].name: service 'c' is in no compose file (metadata: a, c; compose: a, b)"],
        id="B30"),
    pytest.param(
        NAME + "resource_requirements: {min_gpu_memory: 24}\n", A,
        [f'{M}:2:41: {MEMORY}: must be a size with its unit, in quotes; got integer 24; {SIZE}; did you mean "24GB"?'],
        id="B31-no-unit"),
    pytest.param(
        NAME + "resource_requirements: {min_gpu_memory: 24 gigs}\n", A,
        [f"{M}:2:41: {MEMORY}: is not a size; got string '24 gigs'; {SIZE}"], id="B31-words"),
    pytest.param(
        NAME + "resource_requirements: {min_gpu_memory: -1}\n", A,
        [f"{M}:2:41: {MEMORY}: must be a size with its unit, in quotes; got integer -1; {SIZE}"], id="B31-negative"),
    pytest.param(
        NAME, A + "    comand: x\n",
        [f"{D}:4:5: services.a.comand: unknown key; allowed: annotations, * (93 in all); did you mean command?"], id="B42"),
    pytest.param(
        NAME, A + '    ports: ["x:y"]\n',
        [f"{D}:4:13: services.a.ports[0]: is not a port; got string 'x:y'; {PORT}"], id="B43-text"),
    pytest.param(
        NAME, A + '    ports: ["99999:80"]\n',
        [f"{D}:4:13: services.a.ports[0]: has a port out of range; got string '99999:80'; {PORT}"], id="B43-range"),
    pytest.param(
        NAME, A + "    ports: [22:22]\n",
        [f"{D}:4:13: services.a.ports[0]: must be a string, put it in quotes; got '22:22' without quotes"
         f' (YAML 1.1 reads it as the base 60 number 1342); {PORT}; did you mean "22:22"?'], id="B43-unquoted"),
    pytest.param(
        NAME, A + '    ports: ["80:80", "80:81"]\n',
        [f"{D}:4:22: services.a.ports[1]: host port 80 is taken by service a of line 4 already"], id="B43-twice"),
    pytest.param(
        SERVICES + ON_ONE_NODE, A + '    ports: ["80:80"]\n  b: {image: "e:1", ports: ["80:80"]}\n',
        [f"{D}:5:29: services.b.ports[0]: host port 80 is taken by service a of line 4 already;"
         " both are placed on node 'node1'"], id="B43-two-services"),
    pytest.param(
        NAME, "services:\n  a:\n    image: bb:${TAG}\n",
        [f"{D}:3:12: services.a.image: variable TAG is not set; {UNSET} for the shell in the container"], id="B44-unset"),
    pytest.param(
        NAME, "services:\n  a:\n    image: ''\n", [f"{D}:3:12: services.a.image: image is empty"], id="B44-empty"),
    pytest.param(
        NAME, A + "    command: ${X:?say X}\n",
        [f"{D}:4:14: services.a.command: variable X is not set: 'say X'"], id="B45-mandatory"),
    pytest.param(
        NAME, A + '    command: "${"\n', [f"{D}:4:14: services.a.command: '${{' is not closed by '}}'"], id="B45-open"),
    pytest.param(
        NAME, A + '  a: {image: "e:2"}\n',
        [f"{D}:4:3: services.a: duplicate key 'a'; first at line 2, again at line 4"], id="B46"),
    pytest.param(
        NAME, "services: {}\n", [f"{D}:1:11: services: no service is defined; allowed: at least one"], id="B47-none"),
    pytest.param(NAME, "", [f"{D}: the file is empty; required keys: services"], id="B47-empty"),
    pytest.param(
        NAME, "- a\n",
        [f"{D}:1:1: must be a mapping, the top level of the file; got list with 1 item; allowed: services,*"], id="B47-list"),
    pytest.param(
        NAME, A + "    networks: [lab]\n",
        [f"{D}:4:16: services.a.networks[0]: is not declared under networks at the top level; got string 'lab';"
         " allowed: default"], id="B48"),
    pytest.param(
        NAME, A + "    restart: always\n", [f"{D}:4:5: warning: {NO_RESTART}; got string 'always'"], id="B49-always"),
    pytest.param(
        NAME, A + "    restart: unless-stopped\n",
        [f"{D}:4:5: warning: {NO_RESTART}; got string 'unless-stopped'"], id="B49-unless-stopped"),
    pytest.param(
        NAME, A + "    container_name: x\n",
        [by_policy("container_name", "a fixed container name breaks the isolation of runs; leave it out", got="string 'x'")],
        id="B50-container-name"),
    pytest.param(
        SERVICES + ON_ONE_NODE, f'services:\n  a: {{image: "e:1", {HOST_NETWORK}}}\n  b: {{image: "e:1", {HOST_NETWORK}}}\n',
        [f"{CLASHES[0]}*; got string 'host'", f"{CLASHES[1]}*; got string 'host'", CLASHES[2]], id="B50-host-network"),
    pytest.param(
        NAME, A + "    privileged: true\n",
        [by_policy("privileged", "a privileged container can change the node; name the devices or cap_add", got="boolean true")],
        id="B50-privileged"),
    pytest.param(
        NAME, A + "    pid: host\n",
        [by_policy("pid", "the node's processes are not shared with containers", got="string 'host'")], id="B50-pid"),
    pytest.param(
        NAME, A + "    volumes: ['/var/run/docker.sock:/s']\n",
        [by_policy("docker_socket", "the engine's socket gives a container the whole node", place="4:15",
                   got="string '/var/run/docker.sock'", where="volumes[0]")], id="B50-socket"),
    pytest.param(
        NAME, A + "    volumes: ['/:/host']\n",
        [by_policy("system_mount", "a system folder of the node is not mounted whole", place="4:15", got="string '/'",
                   where="volumes[0]")], id="B50-root"),
    pytest.param(
        NAME, A + "    volumes: ['./missing:/m']\n",
        [f"{D}:4:15: services.a.volumes[0]: does not exist in the scenario's folder; got string './missing'"], id="B51"),
    pytest.param(
        NAME, "services:\n  a: {image: redis}\n",
        [f"{D}:2:7: warning: services.a.image: image has no tag and may be another one tomorrow; name a tag, for gates"
         " a digest; got string 'redis'"], id="B52-no-tag"),
    pytest.param(
        NAME, "services:\n  a: {image: 'redis:latest'}\n",
        [f"{D}:2:7: warning: services.a.image: image has the tag latest and may be another one tomorrow; name a tag, for"
         " gates a digest; got string 'redis:latest'"], id="B52-latest"),
    pytest.param(
        NAME, A + "  b: {image: 'e:1', depends_on: [a]}\n",
        [f"{D}:2:3: warning: services.a: b waits for this service, but it has no healthcheck that says when it is ready"],
        id="B53-absent"),
    pytest.param(
        NAME + "service_health_check: {startup_timeout: 100}\n", A + CHECK,
        [f"{M}:2:41: warning: service_health_check.startup_timeout: the engine calls services unhealthy before this time"
         " is over: a after 90 s; give their healthcheck a start_period as long as loading takes; got 100 s"],
        id="B53-impatient"),
    pytest.param(
        NAME, 'version: "9.9"\n' + A,
        [f"{D}:1:10: version: unknown compose file version; got string '9.9'; allowed: 2.0, *, or no version at all"], id="B54"),
    pytest.param(
        NAME, A + "    gpus: many\n",
        [f"{D}:4:11: services.a.gpus: is not of the form that is allowed; got string 'many'; allowed: a whole number, or all"],
        id="B55-count"),
    pytest.param(
        NAME, A + DEVICES,
        [f"{D}:4:73: warning: services.a.deploy.resources.reservations.devices[0].driver: unknown device driver;"
         " got string 'nvidea'; allowed: nvidia, amd, cdi"], id="B55-driver"),
    pytest.param(
        NAME, A + "    extends: {service: b, file: ../b.yml}\n",
        [f"{D}:4:33: services.a.extends.file: {OUT}; got string '../b.yml'"], id="B56-extends"),
    pytest.param(
        NAME, "include: [../x.yml]\n" + A, [f"{D}:1:11: include[0]: {OUT}; got string '../x.yml'"], id="B56-include"),
    pytest.param(
        NAME, A + "    env_file: ../x.env\n",
        [f"{D}:4:15: services.a.env_file: {OUT}; got string '../x.env'"], id="B56-env-file"),
    pytest.param(
        NAME, A + "    logging: {driver: json-file}\n",
        [f"{D}:4:5: warning: services.a.logging: has no option max-size: the log can fill the node's disk"], id="B57-unlimited"),
]  # fmt: skip


def said(folder) -> list[str]:
    found = examine(folder, layers=layers.load(None), known=Known(("node1", "node2")))
    return [problem.render().replace(f"{folder}/", "") for problem in found.problems]


def agrees(line: str, expected: str) -> bool:
    """Tell whether a line is the expected one, in which a `*` stands for a long list."""
    start, wild, end = expected.partition("*")
    return line == expected or bool(wild and line.startswith(start) and line.endswith(end))


@pytest.mark.parametrize(("metadata", "compose", "expected"), ROWS)
def test_each_problem_is_one_whole_line(make_scenario, metadata, compose, expected):
    lines = [line for line in said(make_scenario(metadata, compose=compose)) if ": note: " not in line]
    assert len(lines) == len(expected)
    assert [line for line, wanted in zip(lines, expected, strict=True) if not agrees(line, wanted)] == []


def test_a_default_log_limit_is_said(make_scenario):
    """B57"""
    (line,) = said(make_scenario(NAME, compose=A))
    assert line == f"{D}:1:1: note: services: no logging limit is set for a; a default limit is added"

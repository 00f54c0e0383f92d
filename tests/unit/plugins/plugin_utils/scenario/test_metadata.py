# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.known import Known
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.metadata import examine, load_scenario
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import HealthCheck

NODES = ("node1", "node2")
BUILT_IN = layers.load(None)
NAME = 'name: "baseline"\n'
TEMPLATE = "{{ lookup('pipe', 'touch ran') }}"


def load(folder: Path, **changes):
    return load_scenario(folder, **{"layers": BUILT_IN, "known": Known(NODES), **changes})


def refusal(folder: Path, **changes) -> str:
    with pytest.raises(InputError) as refused:
        load(folder, **changes)
    return str(refused.value)


def rendered(folder: Path) -> list[str]:
    return [problem.render() for problem in load(folder).warnings]


# ---- what is right


def test_smallest_scenario_takes_all_defaults(make_scenario):
    scenario = load(make_scenario())
    assert (scenario.name, scenario.enabled, scenario.schema_version, scenario.tags) == ("baseline", True, 1, ())
    assert (scenario.test.script, scenario.test.timeout_s, scenario.test.grace_s) == ("run_test.sh", 2400, 10)
    assert scenario.test.result_paths == ("results/",)
    assert (scenario.health.strategy, scenario.health.startup_timeout_s, scenario.health.max_retries) == (
        "standard",
        200,
        4,
    )
    assert scenario.compose_files == ("docker-compose.yml",)
    assert scenario.limits.deployment_timeout_s == 450 and scenario.retry.retry_delay_s == 30
    assert (scenario.requirements.min_nodes, scenario.requirements.min_gpu_memory_bytes) == (1, None)
    assert scenario.test_config["num_prompts"] == 10


def test_services_come_from_compose_when_the_metadata_names_none(make_scenario):
    router, worker = load(make_scenario()).services
    assert (router.name, router.node, router.depends_on, router.ports, router.image) == (
        "router", "auto", ("worker",), (18008,), "engine:1.0",
    )  # fmt: skip
    assert router.health_check is None
    assert worker.health_check == HealthCheck("command", argv=("true",), timeout_s=30.0, interval_s=30.0)


def test_metadata_beats_compose_and_leaves_the_rest_to_it(make_scenario):
    text = NAME + (
        "deployment:\n  services:\n"
        "    - {name: worker, node: node2, role: worker, health_check: {kind: tcp, port: 50052, timeout: 0.5}}\n"
        "    - {name: router, node: local, role: router, depends_on: [], critical: false}\n"
    )
    worker, router = load(make_scenario(text)).services
    assert (worker.node, worker.role) == ("node2", "worker")
    assert worker.health_check == HealthCheck("tcp", port=50052, timeout_s=0.5)
    assert (router.depends_on, router.critical, router.ports) == ((), False, (18008,))


def test_shell_form_of_a_health_check_becomes_a_shell_command(make_scenario):
    compose = 'services:\n  a:\n    image: "e:1"\n    healthcheck: {test: "curl -f x || exit 1", interval: 500ms}\n'
    (service,) = load(make_scenario(compose=compose)).services
    assert service.health_check.argv == ("/bin/sh", "-c", "curl -f x || exit 1")
    assert service.health_check.interval_s == 0.5


def test_layers_reach_the_scenario_and_know_their_origin(make_scenario):
    folder = make_scenario(NAME + "test_execution:\n  timeout: 60\ndeployment:\n  retry_strategy: {retry_delay: 7}\n")
    loaded = load(folder, layers=layers.load(None, {"testcell_test_execution": {"timeout": 5, "grace": 3}}))
    assert (loaded.test.timeout_s, loaded.test.grace_s, loaded.retry.retry_delay_s) == (60, 3, 7)
    origins = {origin.key: origin for origin in layers.origins(loaded)}
    assert (origins["test_execution.timeout"].layer, origins["test_execution.timeout"].line) == ("scenario", 3)
    assert [one.value for one in origins["test_execution.timeout"].shadows] == [5, 2400]
    assert (origins["retry_strategy.retry_delay"].layer, origins["retry_strategy.retry_delay"].line) == ("scenario", 5)
    assert origins["test_execution.grace"].file == "inventory variables"
    assert (origins["recovery.restart_services"].value, origins["recovery.restart_services"].layer) == (0, "built-in")
    assert (origins["name"].value, origins["name"].line) == ("baseline", 1)
    assert origins["enabled"].layer == "built-in"


def test_extra_variables_beat_the_scenario(make_scenario):
    folder = make_scenario(NAME + "test_execution: {collection_mode: basic}\n")
    loaded = load(folder, layers=layers.load(None, {}, {"collection_mode": "comprehensive"}))
    assert loaded.test.collection_mode == "comprehensive"


def test_benchmark_finds_service_port_and_model(make_scenario):
    text = NAME + "deployment: {services: [{name: router, role: router}, {name: worker}]}\n"
    config = '{"base_url": "http://127.0.0.1:1", "model": "m", "api": "chat", "num_prompts": 1}'
    found = load(make_scenario(text, test_config=config)).benchmark
    assert (found.service, found.port, found.model) == ("router", 18008, "m")
    assert found.path == "", "the API of each case decides"


def test_without_an_entry_role_no_service_is_guessed(make_scenario):
    assert load(make_scenario()).benchmark.service is None


def test_script_client_may_go_without_test_parameters(make_scenario):
    assert load(make_scenario(NAME + "benchmark: {client: script}\n", test_config=None)).test_config == {}


def test_sizes_become_bytes(make_scenario):
    text = NAME + "resource_requirements: {min_gpu_memory: 24GiB, min_nodes: 2}\n"
    assert load(make_scenario(text)).requirements.min_gpu_memory_bytes == 24 * 2**30


def test_metadata_yaml_is_taken_as_well(make_scenario):
    folder = make_scenario(None)
    (folder / "metadata.yaml").write_text(NAME)
    assert load(folder).metadata_file == folder / "metadata.yaml"


def test_nodes_are_not_checked_without_an_inventory(make_scenario):
    text = NAME + "resource_requirements: {min_nodes: 9}\ntest_execution: {node: node9}\n"
    assert load(make_scenario(text), known=None).test.node == "node9"


# ---- what is wrong: one table, ids name the rows of the catalogue

WRONG = [
    ("B16-unknown-key", NAME + "test_execution: {time_out: 5}\n", [":2:18: test_execution.time_out: unknown key", "did you mean timeout?"]),
    ("B17-wrong-level", NAME + "timeout: 5\n", ["timeout: key is at the wrong level", "test_execution"]),
    ("B21-missing", "description: x\n", ["required key 'name' is missing"]),
    ("B21-empty", 'name: ""\n', [":1:7: name: must not be empty"]),
    ("B21-slash", "name: a/b\n", ["name: is not a scenario name; got string 'a/b'; allowed: letters, digits"]),
    ("B21-dots", 'name: ".."\n', ["name: is not a scenario name"]),
    ("B21-space", "name: a b\n", ["name: is not a scenario name"]),
    ("B21-newline", 'name: "a\\nb"\n', ["name: is not a scenario name; got string 'a\\nb'"]),
    ("B21-dash", "name: -rf\n", ["name: is not a scenario name"]),
    ("B21-long", f"name: {'x' * 300}\n", ["name: is not a scenario name", "(300 characters)"]),
    ("B21-device", "name: CON\n", ["name: is a device name on other systems"]),
    ("B21-emoji", "name: 🚀\n", ["name: is not a scenario name"]),
    ("B23-test-node", NAME + "test_execution: {node: node9}\n",
     [":2:24: test_execution.node: is no node of the inventory; got string 'node9'; allowed: node1, node2, local, auto", "did you mean node2?"]),
    ("B23-service-node", NAME + "deployment: {services: [{name: router, node: nod2}, {name: worker}]}\n",
     ["deployment.services[0].node: is no node of the inventory", "did you mean node2?"]),
    ("B24-missing", NAME + "test_execution: {script: nope.sh}\n", [":2:26: test_execution.script: script ", "nope.sh does not exist"]),
    ("B24-directory", NAME + "test_execution: {script: .}\n", ["test_execution.script: names no file or folder"]),
    ("B24-outside", NAME + "test_execution: {script: ../x.sh}\n", ["test_execution.script: leads out of its folder"]),
    ("B25-zero", NAME + "test_execution: {timeout: 0}\n", ["timeout: is out of range; got integer 0; allowed: 1..604800 seconds"]),
    ("B25-negative", NAME + "test_execution: {timeout: -1}\n", ["got integer -1; allowed: 1..604800 seconds"]),
    ("B25-text", NAME + "test_execution: {timeout: 10m}\n", ["must be an integer; got string '10m'; allowed: 1..604800 seconds"]),
    ("B25-huge", NAME + "test_execution: {timeout: 1000000000}\n", ["allowed: 1..604800 seconds"]),
    ("B25-exponent", NAME + "test_execution: {timeout: 1e9}\n", ["allowed: 1..604800 seconds"]),
    ("B26", NAME + "test_execution: {collection_mode: full}\n", ["got string 'full'; allowed: basic, standard, comprehensive"]),
    ("B27-absolute", NAME + "test_execution: {result_paths: ['/etc/*']}\n", ["result_paths[0]: must be a relative path; got string '/etc/*'"]),
    ("B27-up", NAME + "test_execution: {result_paths: [a, ../../x]}\n", ["result_paths[1]: leads out of its folder"]),
    ("B27-home", NAME + "test_execution: {result_paths: ['~/x']}\n", ["result_paths[0]: must be a relative path"]),
    ("B27-variable", NAME + "test_execution: {result_paths: [$HOME]}\n", ["result_paths[0]: holds a character that a shell"]),
    ("B27-empty", NAME + "test_execution: {result_paths: ['']}\n", ["result_paths[0]: must not be empty"]),
    ("B27-none", NAME + "test_execution: {result_paths: []}\n", ["has too few or too many items"]),
    ("B28", NAME + "deployment: {services: [{name: router, depends_on: [redis]}, {name: worker}]}\n",
     ["deployment.services[0].depends_on[0]: unknown service 'redis'; allowed: router, worker"]),
    ("B29-ring", NAME + "deployment: {services: [{name: router, depends_on: [worker]}, {name: worker, depends_on: [router]}]}\n",
     ["deployment.services[0].depends_on: services wait for each other: router -> worker -> router"]),
    ("B29-self", NAME + "deployment: {services: [{name: router}, {name: worker, depends_on: [worker]}]}\n",
     ["deployment.services[1].depends_on: services wait for each other: worker -> worker"]),
    ("B30-not-in-compose", NAME + "deployment: {services: [{name: router}, {name: worker}, {name: rooter}]}\n",
     ["metadata.yml:2:64: deployment.services[2].name: service 'rooter' is in no compose file",
      "metadata: router, worker, rooter; compose: router, worker", "did you mean router?"]),
    ("B30-not-in-metadata", NAME + "deployment: {services: [{name: router, depends_on: []}]}\n",
     ["docker-compose.yml:6:3: services.worker: service is missing in deployment.services", "metadata: router; compose: router, worker"]),
    ("B31-number", NAME + "resource_requirements: {min_gpu_memory: 24}\n",
     ["min_gpu_memory: must be a size with its unit, in quotes; got integer 24; allowed: a number and its unit", 'did you mean "24GB"?']),
    ("B31-words", NAME + "resource_requirements: {min_gpu_memory: 24 gigs}\n", ["min_gpu_memory: is not a size; got string '24 gigs'"]),
    ("B31-negative", NAME + "resource_requirements: {min_gpu_memory: -1}\n", ["min_gpu_memory: must be a size with its unit"]),
    ("B32", NAME + "resource_requirements: {min_nodes: 5}\n", [":2:36: resource_requirements.min_nodes: wants 5 nodes; the inventory has 2"]),
    ("B33-negative", NAME + "deployment: {retry_strategy: {service_level_retries: -1}}\n", ["got integer -1; allowed: 0..10"]),
    ("B33-huge", NAME + "service_health_check: {max_retries: 1000000}\n", ["got integer 1000000; allowed: 0..100"]),
    ("B33-contradiction", NAME + "deployment:\n  retry_strategy: {retry_delay: 600}\n  concurrent_execution: {deployment_timeout: 60}\n",
     ["metadata.yml:3:33: deployment.retry_strategy.retry_delay: a retry after 600 s never starts: deployment_timeout is 60 s (scenario layer"]),
    ("B33-limits", NAME + "deployment: {concurrent_execution: {max_concurrent_services: -1, max_concurrent_services_per_node: 257, max_concurrent_health_checks: x}}\n",
     [":2:62: deployment.concurrent_execution.max_concurrent_services: is out of range; got integer -1; allowed: 0..256",
      "max_concurrent_services_per_node: is out of range; got integer 257; allowed: 0..256",
      "max_concurrent_health_checks: must be an integer; got string 'x'; allowed: 0..256"]),
    ("B33-recovery", NAME + "recovery: {restart_services: 11}\n",
     [":2:30: recovery.restart_services: is out of range; got integer 11; allowed: 0..10"]),
    ("B33-service-death", NAME + "test_execution: {on_service_death: end_tests}\n",
     [":2:36: test_execution.on_service_death: must be one of the allowed words; got string 'end_tests'; allowed: end_test, continue",
      "did you mean end_test?"]),
    ("B34-name", f'name: "{TEMPLATE}"\n', ["name: cannot hold template text, names are taken as they are written"]),
    ("B34-path", NAME + f'test_execution: {{script: "{TEMPLATE}"}}\n', ["test_execution.script: cannot hold template text"]),
    ("B34-result-path", NAME + f'test_execution: {{result_paths: ["{TEMPLATE}"]}}\n', ["result_paths[0]: cannot hold template text"]),
    ("B35-name", "name: $(id)\n", ["name: is not a scenario name"]),
    ("B35-backticks", 'name: "`id`"\n', ["name: is not a scenario name"]),
    ("B35-path", NAME + 'test_execution: {script: "x; rm -rf /"}\n', ["test_execution.script: holds a character"]),
    ("B36-digit", NAME + "test_execution: {env: {1A: x}}\n", ["key is not the name of an environment variable; got string '1A'"]),
    ("B36-equals", NAME + "test_execution: {env: {'A=B': x}}\n", ["key is not the name of an environment variable"]),
    ("B36-preload", NAME + "test_execution: {env: {LD_PRELOAD: x}}\n", ["env.LD_PRELOAD: key is an environment variable that a scenario cannot set"]),
    ("B36-path", NAME + "test_execution: {env: {PATH: x}}\n", ["cannot set"]),
    ("B36-ansible", NAME + "test_execution: {env: {ANSIBLE_CONFIG: x}}\n", ["cannot set"]),
    ("B36-value", NAME + "test_execution: {env: {A: 5}}\n", ["env.A: must be a string, put it in quotes; got integer 5", 'did you mean "5"?']),
    ("B41", NAME + "schema_version: 2\nunknown: 1\n", [":2:17: schema_version: schema version 2 is newer than 1, the newest known here; update Testcell"]),
    ("gates-type", NAME + "gates: [1]\n", ["gates: must be a mapping; got list"]),
    ("soak-type", NAME + "soak: 3\n", ["soak: must be a mapping; got integer 3"]),
    ("allow", NAME + "deployment: {allow: [everything]}\n", ["deployment.allow[0]: must be one of the allowed words", "privileged"]),
    ("service-twice", NAME + "deployment: {services: [{name: router}, {name: worker}, {name: worker}]}\n",
     ["deployment.services[2].name: service 'worker' is listed twice; first at line 2"]),
    ("check-without-port", NAME + "deployment: {services: [{name: router, health_check: {kind: http}}, {name: worker}]}\n",
     ["services[0].health_check: kind http needs the key 'port'"]),
    ("check-with-other-key", NAME + "deployment: {services: [{name: router, health_check: {kind: tcp, port: 1, pattern: x}}, {name: worker}]}\n",
     ["health_check.pattern: has no meaning for kind tcp; allowed: kind, timeout, interval, port"]),
    ("check-bad-pattern", NAME + "deployment: {services: [{name: router, health_check: {kind: log, pattern: '('}}, {name: worker}]}\n",
     ["health_check.pattern: is not a regular expression"]),
    ("expected-too-many", NAME + "service_health_check: {expected: {decode: 2}}\n", ["expected.decode: role 'decode' is expected 2 times; the scenario has 0"]),
    ("benchmark-service", NAME + "benchmark: {service: ruter}\n", ["benchmark.service: unknown service 'ruter'", "did you mean router?"]),
    ("benchmark-port", NAME + "benchmark: {service: router, port: 8000}\n",
     ["benchmark.port: port is not published by service 'router'; got integer 8000; allowed: 18008"]),
    ("benchmark-no-port", NAME + "benchmark: {service: worker}\n",
     ["benchmark.service: service 'worker' publishes no port, so nothing says where it is asked; give benchmark.port as well"]),
    ("label-unknown", NAME + "matrix: {users: [1]}\nbenchmark: {from_labels: {max_concurrency: user}}\n",
     ["from_labels.max_concurrency: unknown label 'user'; allowed: users; did you mean users?"]),
    ("label-key", NAME + "matrix: {users: [1]}\nbenchmark: {from_labels: {max_concurency: users}}\n",
     ["unknown test parameter 'max_concurency'", "did you mean max_concurrency?"]),
    ("label-value", NAME + "matrix: {users: [1, many]}\nbenchmark: {from_labels: {max_concurrency: users}}\n",
     [":2:21: matrix.users[1]: must be an integer; got string 'many'"]),
    ("compose-file", NAME + "deployment: {compose_files: [other.yml]}\n", ["other.yml: file does not exist"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*case[1:], id=case[0]) for case in WRONG])
def test_wrong_metadata_is_named_with_its_place(make_scenario, text, expected):
    message = refusal(make_scenario(text))
    for part in expected:
        assert part in message
    assert not Path("ran").exists()


ASKED = NAME + "benchmark: {service: a, port: 80}\n"
PORTS = {
    "none": ("", True),
    "one that the engine chooses": ('ports: ["80"]', True),
    "one of UDP": ('ports: ["80:80/udp"]', True),
    "its own": ('ports: ["80:8000"]', False),
    "those of its node": ("network_mode: host", False),
}


@pytest.mark.parametrize(("ports", "told"), PORTS.values(), ids=PORTS)
def test_a_service_that_is_asked_where_it_publishes_nothing_is_warned_of(make_scenario, ports, told):
    compose = f'services:\n  a:\n    image: "e:1"\n    {ports}\n'
    said = [line for line in rendered(make_scenario(ASKED, compose=compose)) if "benchmark.port" in line]
    assert bool(said) == told
    if told:
        assert "service 'a' publishes no TCP port of its node, where it is asked at 80;" in said[0]
        assert said[0].endswith('publish it: ports: ["80:80"]')


def test_B24_not_executable_names_path_and_remedy(make_scenario):
    folder = make_scenario()
    (folder / "run_test.sh").chmod(0o644)
    assert f"run: chmod +x {folder / 'run_test.sh'}" in refusal(folder)


def test_B24_link_out_of_the_scenario_is_refused(make_scenario, tmp_path):
    folder = make_scenario(script=None)
    outside = tmp_path / "outside.sh"
    outside.write_text("#!/bin/sh\n")
    outside.chmod(0o755)
    (folder / "run_test.sh").symlink_to(outside)
    assert f"is a link that leads out of the scenario, to {outside}" in refusal(folder)


def test_B24_default_script_says_that_nobody_named_it(make_scenario):
    assert "\nbuilt-in values: test_execution.script: script " in refusal(make_scenario(script=None))


def test_B29_ring_through_both_files_is_printed(make_scenario):
    text = NAME + "deployment:\n  services:\n    - {name: router}\n    - name: worker\n      depends_on: [router]\n"
    assert "services wait for each other: router -> worker -> router" in refusal(make_scenario(text))


def test_B29_ring_of_the_compose_file_is_printed_once(make_scenario):
    compose = "services:\n  a: {image: 'e:1', depends_on: [b]}\n  b: {image: 'e:1', depends_on: [a]}\n"
    errors = [line for line in refusal(make_scenario(compose=compose)).splitlines() if "wait for each other" in line]
    assert len(errors) == 1 and "docker-compose.yml:2" in errors[0] and "a -> b -> a" in errors[0]


def test_B34_template_text_in_values_stays_text_with_a_warning(make_scenario):
    folder = make_scenario(NAME + f'description: "{TEMPLATE}"\ntest_execution: {{args: ["{TEMPLATE}", "$(id)"]}}\n')
    scenario = load(folder)
    assert scenario.description == TEMPLATE and scenario.test.args == (TEMPLATE, "$(id)")
    assert sum("template text is taken as it is written" in line for line in rendered(folder)) == 2
    assert not Path("ran").exists()


def test_B35_shell_text_is_one_argument(make_scenario):
    text = NAME + 'test_execution: {args: ["; rm -rf /", "a\\nb", "`id`"]}\n'
    assert load(make_scenario(text)).test.args == ("; rm -rf /", "a\nb", "`id`")


def test_B38_secret_is_warned_of_by_key_and_hidden_in_origins(make_scenario):
    folder = make_scenario(NAME + "test_execution:\n  env: {HF_TOKEN: s3cret-value}\n")
    (line,) = [line for line in rendered(folder) if "looks like a secret" in line]
    assert (
        "metadata.yml:3:19: warning: test_execution.env.HF_TOKEN: looks like a secret" in line and "s3cret" not in line
    )
    assert "s3cret" not in str(layers.origins(load(folder)))
    assert load(folder).test.env == {"HF_TOKEN": "s3cret-value"}


@pytest.mark.parametrize(("written", "meant", "said"), [
    ("true", "full", ""),
    ("full", "full", ""),
    ("size", "size", "only the sizes of the files that come home are compared"),
    ("false", "size", "stands for 'size'"),
    ("off", "off", "nothing is proved of the files that come home"),
    ('"off"', "off", "nothing is proved of the files that come home"),
])  # fmt: skip
def test_unproved_results_are_had_by_an_explicit_word_only_and_warned_of(make_scenario, written, meant, said):
    folder = make_scenario(NAME + f"artifacts_collection: {{remote_node: {{integrity_check: {written}}}}}\n")
    assert load(folder).collection.integrity_check == meant
    found = [line for line in rendered(folder) if "integrity_check" in line]
    assert len(found) == bool(said) and all(said in line for line in found)


@pytest.mark.parametrize(("written", "said"), [
    ("local_node: {enabled: false}", "local_node.enabled: changes nothing: without its results no case can be judged"),
    ("remote_node: {enabled: false}", "remote_node.enabled: changes nothing"),
    ("local_node: {base_path: /opt/benchmark}", "local_node.base_path: changes nothing: a folder that outlives its run"),
])  # fmt: skip
def test_a_key_of_the_collection_that_changes_nothing_is_warned_of(make_scenario, written, said):
    folder = make_scenario(NAME + f"artifacts_collection: {{{written}}}\n")
    assert any(said in line for line in rendered(folder))


def test_both_metadata_files_are_an_error(make_scenario):
    folder = make_scenario()
    (folder / "metadata.yaml").write_text(NAME)
    assert "more than one metadata file: metadata.yml and metadata.yaml; keep one" in refusal(folder)


def test_missing_metadata_names_both_spellings(make_scenario):
    assert "has no metadata file; allowed: metadata.yml or metadata.yaml" in refusal(make_scenario(None))


def test_missing_folder_is_one_problem(tmp_path):
    message = refusal(tmp_path / "none")
    assert message.splitlines() == [message] and "there is no such scenario folder" in message


def test_metadata_that_is_a_link_out_of_the_folder_is_refused(make_scenario):
    folder = make_scenario(None)
    (folder / "metadata.yml").symlink_to("/etc/hostname")
    assert "leads out of the folder" in refusal(folder)


def test_all_files_report_together_and_in_order(make_scenario):
    folder = make_scenario(
        "name: a b\ntest_execution:\n  timeout: 0\n  node: node9\n",
        compose="services:\n  router:\n    comand: x\n",
        test_config='{"model": 5, "num_prompts": 0}',
        script=None,
    )
    lines = refusal(folder).splitlines()
    for part in ("metadata.yml:1:7: name", "metadata.yml:3:12", "metadata.yml:4:9", "docker-compose.yml:3:5", "test_config.json:1:11",
                 "run_test.sh does not exist"):  # fmt: skip
        assert any(part in line for line in lines), part
    files = [line.split(":")[0] for line in lines]
    assert files == sorted(files)


def test_unreadable_metadata_does_not_hide_the_other_files(make_scenario):
    message = refusal(make_scenario("name: [\n", compose="services: 3\n", test_config="{"))
    for part in ("metadata.yml:1", "docker-compose.yml:1", "test_config.json:1"):
        assert part in message
    assert "run_test.sh" not in message


def test_two_compose_files_with_one_service_need_a_choice(make_scenario):
    more = {"more.yml": 'services:\n  worker:\n    image: "e:2"\n'}
    head = NAME + "deployment:\n  compose_files: [docker-compose.yml, more.yml]\n"
    assert "more.yml:2:3: services.worker: service is also in" in refusal(make_scenario(head, **more))
    services = "  services: [{name: router}, {name: worker, compose_file: more.yml}]\n"
    _, worker = load(make_scenario(head + services, folder="002_b", **more)).services
    assert (worker.compose_file, worker.image) == ("more.yml", "e:2")


def test_examined_scenario_keeps_its_name_though_it_is_broken(make_scenario):
    found = examine(make_scenario(NAME + "tags: 3\n"), layers=BUILT_IN, known=None)
    assert found.scenario is None and found.name == "baseline" and found.name_place[1:] == (1, 7)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs the device")
def test_metadata_that_never_ends_is_not_read(make_scenario):
    folder = make_scenario(None)
    os.mkfifo(folder / "metadata.yml")
    assert "not a regular file; got FIFO" in refusal(folder)


# ---- what only an inventory can tell

TWO_PORTS = 'services:\n  a: {image: "e:1", ports: ["80:80"]}\n  b: {image: "e:1", ports: ["80:81"]}\n'
ON = "deployment: {{services: [{{name: a, node: {}}}, {{name: b, node: {}}}]}}\n"


@pytest.mark.parametrize(
    ("text", "nodes", "node"),
    [
        pytest.param(NAME, ("local",), "local", id="B43-auto-on-the-one-node"),
        pytest.param(NAME + ON.format("node1", "auto"), NODES, "node1", id="B43-auto-meets-a-name"),
        pytest.param(NAME + ON.format("node2", "node2"), NODES, "node2", id="B43-names"),
    ],
)
def test_ports_that_clash_on_the_node_where_services_are_placed_are_refused(make_scenario, text, nodes, node):
    message = refusal(make_scenario(text, compose=TWO_PORTS), known=Known(nodes))
    assert "3:29: services.b.ports[0]: host port 80 is taken by service a of line 2 already" in message
    assert f"both are placed on node '{node}'" in message


@pytest.mark.parametrize("text", [NAME, NAME + ON.format("node1", "node2"), NAME + ON.format("local", "auto")])
def test_the_same_port_on_two_nodes_is_fine(make_scenario, text):
    """B43"""
    loaded = load(make_scenario(text, compose=TWO_PORTS))
    assert not any("host port" in problem.message for problem in loaded.warnings)


def test_without_an_inventory_the_same_port_is_only_doubtful(make_scenario):
    """B43"""
    loaded = load(make_scenario(compose=TWO_PORTS), known=None)
    (warning,) = [problem for problem in loaded.warnings if "host port 80" in problem.message]
    assert warning.severity == "warning" and "where both are placed on one node" in warning.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("deployment: {services: [{name: router}, {name: worker, node: node3}]}\n", "services[1].node"),
        ("test_execution: {node: node3}\n", "test_execution.node"),
    ],
)
def test_a_node_that_is_left_out_is_named_with_the_reason(make_scenario, text, place):
    known = Known(NODES, {"node3": "--limit 'node1,node2'"})
    message = refusal(make_scenario(NAME + text), known=known)
    assert f"{place}: is left out of this run by --limit 'node1,node2'; got string 'node3'" in message
    assert "allowed: node1, node2, local, auto" in message


def test_a_limit_may_leave_out_the_controller_itself(make_scenario):
    known = Known(NODES, {"local": "--limit 'node1,node2'"})
    message = refusal(make_scenario(), known=known)
    assert "built-in values: test_execution.node: is left out of this run by --limit" in message
    assert "allowed: node1, node2, auto" in message


def test_too_few_nodes_are_listed(make_scenario):
    """B32"""
    message = refusal(make_scenario(NAME + "resource_requirements: {min_nodes: 5}\n"))
    assert "2:36: resource_requirements.min_nodes: wants 5 nodes; the inventory has 2: node1, node2" in message


@pytest.mark.parametrize(
    ("url", "config", "refused"),
    [
        pytest.param("http://10.9.9.9:80", "", True, id="B60-other-host"),
        pytest.param("http://10.9.9.9:80", '"allowed_hosts": ["10.9.9.9"], ', False, id="B60-host-that-is-meant"),
        pytest.param("http://192.0.2.7:80", "", False, id="B60-node"),
        pytest.param("http://localhost:80", "", False, id="B60-loopback"),
    ],
)
def test_load_goes_to_hosts_of_the_inventory_only(make_scenario, url, config, refused):
    parameters = f'{{"base_url": "{url}", {config}"model": "m", "num_prompts": 1}}'
    folder, known = make_scenario(test_config=parameters), Known(NODES, hosts=("192.0.2.7",))
    if not refused:
        assert load(folder, known=known).test_config["base_url"] == url
        return
    message = refusal(folder, known=known)
    assert (
        "test_config.json:1:14: base_url: leads to the host '10.9.9.9', allowed hosts: localhost, 192.0.2.7" in message
    )
    assert "listed in allowed_hosts" in message


# ---- what two files say together


@pytest.mark.parametrize(
    ("check", "said"),
    [
        pytest.param("{test: x, interval: 2s, retries: 15}", "worker after 30 s", id="B53-no-start-period"),
        pytest.param("{test: x, interval: 2s, retries: 5, start_period: 80s}", "worker after 90 s", id="B53-short"),
        pytest.param("{test: x, interval: 2s, retries: 5, start_period: 95s}", "", id="B53-long-enough"),
        pytest.param("{disable: true}", "", id="B53-off"),
    ],
)
def test_a_health_check_less_patient_than_the_startup_is_named(make_scenario, check, said):
    compose = f'services:\n  worker:\n    image: "e:1"\n    healthcheck: {check}\n'
    folder = make_scenario(NAME + "service_health_check: {startup_timeout: 100}\n", compose=compose)
    found = [problem for problem in load(folder).warnings if "unhealthy" in problem.message]
    assert [(p.line, p.key) for p in found] == ([(2, "service_health_check.startup_timeout")] if said else [])
    assert all(said in problem.message and problem.severity == "warning" for problem in found)


def test_one_wrong_service_name_is_told_once(make_scenario):
    """B30"""
    text = NAME + "deployment: {services: [{name: ruoter}, {name: worker}]}\nbenchmark: {service: router}\n"
    message = refusal(make_scenario(text))
    assert "did you mean router?" in message and "benchmark.service" not in message


def test_what_a_service_needs_from_its_node_is_known(make_scenario):
    """B48, B51, B54, B55"""
    compose = (
        'services:\n  a:\n    image: "e:1"\n    gpus: [{driver: nvidia, count: 2}, {driver: x, count: 1}]\n'
        '    volumes: ["/data:/d", "./own:/o", "kept:/k", "made:/m", "${TESTCELL_X}:/x"]\n    networks: [lab]\n'
        '  b: {image: "e:1", deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}}\n'
        "networks: {default: {external: true, name: shared}, lab: {external: {name: wire}}, own: {}}\n"
        "volumes: {kept: {external: true}, made: {}}\n"
    )
    folder = make_scenario(compose=compose)
    (folder / "own").mkdir()
    loaded = load(folder)
    first, second = (service.needs for service in loaded.services)
    assert (first.binds, first.networks, first.volumes) == (("/data",), ("wire",), ("kept",))
    assert (first.gpus, first.gpu_drivers) == (3, ("nvidia", "x"))
    assert (second.networks, second.gpus) == (("shared",), -1)
    assert loaded.v2_only == ("docker-compose.yml:4: services.a.gpus",)

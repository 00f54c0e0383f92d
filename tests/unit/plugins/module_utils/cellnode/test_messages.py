# SPDX-License-Identifier: MIT
"""What the engine and both kinds of Compose say, with the row of the failure taxonomy as the id."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.messages import meaning

DIAL = 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.53:53: no such host'
TAKEN = 'Conflict. The container name "/web" is already in use by container "7b8a". You have to remove (or rename) it.'
TABLE = [
    (
        "35-cli",
        "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
        "docker_daemon_down",
    ),
    (
        "35-v1",
        "docker.errors.DockerException: Error while fetching server API version: "
        "('Connection aborted.', ConnectionRefusedError(111, 'Connection refused'))",
        "docker_daemon_down",
    ),
    (
        "35-v1-old",
        "Couldn't connect to Docker daemon at http+docker://localhost - is it running?",
        "docker_daemon_down",
    ),
    (
        "36-v1",
        "UnixHTTPConnectionPool(host='localhost', port=None): Read timed out. (read timeout=60)",
        "docker_timeout",
    ),
    ("36-hint", "An HTTP request took too long to complete. Retry with --verbose", "docker_timeout"),
    (
        "37",
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
        'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix /var/run/docker.sock: connect: permission denied',
        "docker_permission",
    ),
    ("38-v1", "ERROR: for web  'ContainerConfig'", "docker_api_mismatch"),
    (
        "38-client",
        "client is newer than server (client API version: 1.24, server API version: 1.19)",
        "docker_api_mismatch",
    ),
    ("38-29", "client version 1.41 is too old. Minimum supported API version is 1.44", "docker_api_mismatch"),
    ("39-v2", f" a Pulling \n a Error {DIAL}\nError response from daemon: {DIAL}", "registry_unreachable"),
    ("39-v1", f'Creating network "x_default"\nPulling a (x/y:1)...\n{DIAL}', "registry_unreachable"),
    (
        "40-denied",
        "pull access denied for x/y, repository does not exist or may require 'docker login'",
        "image_not_found",
    ),
    ("40-manifest", "manifest for x/y:9 not found: manifest unknown: manifest unknown", "image_not_found"),
    ("40-create", "Error response from daemon: No such image: x/y:1", "image_not_found"),
    ("40-auth", "unauthorized: authentication required", "image_auth"),
    ("40-build-v1", "Service 'a' needs to be built, but --no-build was passed.", "image_not_found"),
    (
        "41-beats-40",
        "Error response from daemon: pull access denied for x/y\n"
        "toomanyrequests: You have reached your pull rate limit.",
        "registry_rate_limited",
    ),
    ("42", "filesystem layer verification failed for digest sha256:1234", "image_corrupt"),
    ("43", "Error processing tar file(exit status 1): write /x: no space left on device", "disk_full"),
    ("44-container", "Bind for 0.0.0.0:8000 failed: port is already allocated", "port_conflict"),
    (
        "44-process",
        "driver failed programming external connectivity on endpoint x: Error starting userland proxy: "
        "listen tcp4 127.0.0.1:8000: bind: address already in use",
        "port_conflict",
    ),
    ("44-28", "failed to set up container networking: failed to bind host port for 0.0.0.0:80", "port_conflict"),
    ("45-v2", f"Error response from daemon: {TAKEN}", "name_conflict"),
    ("45-v1", f"ERROR: for a  Cannot create container for service a: {TAKEN}", "name_conflict"),
    ("46-20", "error while removing network: network x id 12ab has active endpoints", "docker_leftover"),
    ("46-v2", "Network x  Resource is still in use", "docker_leftover"),
    ("47", "could not find an available, non-overlapping IPv4 address pool among the defaults", "network_exhausted"),
    ("47-28", "all predefined address pools have been fully subnetted", "network_exhausted"),
    ("48-gpu", 'could not select device driver "" with capabilities: [[gpu]]', "gpu_runtime_missing"),
    ("48-20", "Cannot create container for service a: Unknown runtime specified nvidia", "gpu_runtime_missing"),
    ("48-28", "unknown or invalid runtime name: nvidia", "gpu_runtime_missing"),
    ("49", 'invalid mount config for type "bind": bind source path does not exist: /nope/x', "mount_invalid"),
    ("50-v2", "Error response from daemon: network ext not found", "compose_invalid"),
    ("50-v1", "Network ext declared as external, but could not be found.", "compose_invalid"),
    ("50-volume-v1", "Volume ev declared as external, but could not be found.", "compose_invalid"),
    ("50-volume-v2", ' Network x_default  Created\nexternal volume "ev" not found', "compose_invalid"),
    ("51", "No such container: 0123", "container_gone"),
    ("51-stopped", "Container 0123 is not running", "container_gone"),
    (
        "52",
        'OCI runtime create failed: exec: "nope": executable file not found in $PATH: unknown',
        "container_exited",
    ),
    ("54-v1", 'for b  Container "0123" is unhealthy.', "service_unhealthy"),
    ("54-v2", "dependency failed to start: container x-a-1 is unhealthy", "service_unhealthy"),
    ("54-exit", "dependency failed to start: container x-a-1 exited (3)", "container_exited"),
    ("54-complete", 'service "a" didn\'t complete successfully: exit 1', "container_exited"),
    ("54-timeout", "application not healthy after 20s", "health_timeout"),
    ("network-of-another", "cannot join network of a non running container: 0123", "dependency_failed"),
    ("55", "tried to kill container, but did not receive an exit event", "process_leak"),
    ("55-removal", "removal of container 0123 is already in progress", "docker_leftover"),
    ("56-key-v1", "Unsupported config option for services.a: 'comand'", "compose_invalid"),
    ("56-key-v2", "validating /x/c.yml: services.a Additional property comand is not allowed", "compose_invalid"),
    ("56-key-v5", "validating /x/c.yml: services.a additional properties 'comand' not allowed", "compose_invalid"),
    (
        "56-yaml-v1",
        'yaml.scanner.ScannerError: mapping values are not allowed here\n  in "x", line 4',
        "compose_invalid",
    ),
    ("56-yaml-v2", "yaml: line 4: mapping values are not allowed in this context", "compose_invalid"),
    ("56-cycle-v1", "Circular dependency between b and a", "compose_invalid"),
    ("56-cycle-v2", "dependency cycle detected: a -> b -> a", "compose_invalid"),
    ("56-undefined-v1", "Service 'a' depends on service 'zz' which is undefined.", "compose_invalid"),
    ("56-undefined-v2", 'service "a" depends on undefined service "zz": invalid compose project', "compose_invalid"),
    ("56-network-v1", 'Service "a" uses an undefined network "nope"', "compose_invalid"),
    (
        "56-volume-v1",
        'Named volume "nope:/x:rw" is used in service "a" but no declaration was found in the volumes section.',
        "compose_invalid",
    ),
    ("56-format-v1", 'Invalid interpolation format for "command" option in service "a": "${"', "compose_invalid"),
    ("56-mandatory-v1", 'Missing mandatory value for "command" option interpolating ${X:?msg}', "compose_invalid"),
    ("56-mandatory-v2", "required variable X is missing a value: msg", "compose_invalid"),
    ("56-version-v1", 'Version "9.9" in "/x/c.yml" is invalid.', "compose_invalid"),
    ("56-top-v1", "Top level object in '/x/c.yml' needs to be an object not '<class 'list'>'.", "compose_invalid"),
    ("56-top-v2", "Top-level object must be a mapping", "compose_invalid"),
    ("56-service", "no such service: a", "compose_invalid"),
    ("57-memory", "Minimum memory limit allowed is 6MB", "compose_invalid"),
    ("57-port-v2", "Invalid hostPort: 99999", "compose_invalid"),
    ("57-port-v1", 'Cannot create container for service a: invalid port specification: "99999"', "compose_invalid"),
    ("57-reference", "no such image: Bad Ref!!: invalid reference format", "compose_invalid"),
    ("58", "failed to start daemon: Devices cgroup isn't mounted", "docker_daemon_down"),
    (
        "F13-memory",
        "fatal error: failed to reserve page summary memory\n\nruntime stack:\nruntime.throw({0x2335a4?, 0x7f07?})",
        "resource_limit",
    ),
    (
        "F13-processes-plugin",
        "unknown shorthand flag: 'p' in -p\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\n"
        "Run 'docker --help' for more information",
        "resource_limit",
    ),
    ("F13-processes-no-plugin", "docker: 'compose' is not a docker command.\nSee 'docker --help'", "resource_limit"),
    ("nothing", " Network x_default  Created\n Container x-a-1  Created", "unknown"),
    ("empty", "", "unknown"),
]


@pytest.mark.parametrize(("text", "kind"), [pytest.param(text, kind, id=name) for name, text, kind in TABLE])
def test_each_message_has_its_kind(text, kind):
    assert meaning(text).kind == kind


def test_the_earliest_telling_line_wins_over_later_wrappers():
    text = f"Creating x ... error\nERROR: for x  {TAKEN}\nEncountered errors while bringing up the project.\nNo such container: x"
    assert meaning(text).kind == "name_conflict"


def test_colours_and_progress_do_not_hide_a_message():
    assert (
        meaning("\x1b[31mERROR\x1b[0m: for a  Bind for 0.0.0.0:80 failed:\x1b[1m port is already allocated\r\n").kind
        == "port_conflict"
    )


def test_a_message_broken_by_width_is_joined():
    assert meaning("Bind for 0.0.0.0:80 failed: port is already\nallocated").kind == "port_conflict"


def test_a_line_that_ends_in_a_colon_brings_its_reason():
    text = "The Compose file './c.yml' is invalid because:\nUnsupported config option for services.a: 'comand'"
    assert meaning(text).line.endswith("is invalid because: Unsupported config option for services.a: 'comand'")

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person can do about each kind of failure."""

from __future__ import annotations

# RUN stands for the id of the run that is concerned.
NEXT_STEPS = {
    "docker_daemon_down": "start the Docker engine on that node (`systemctl start docker`), then run again",
    "docker_permission": "let the user reach the Docker engine (group docker), or use a user who may",
    "image_not_found": "check the image's name, or load it on the node (`docker load`); `make images` builds ours",
    "image_auth": "log in to the registry on the node (`docker login`)",
    "registry_unreachable": "load the image on the node (`docker load`), or give the node a way to the registry",
    "port_conflict": "end the process that the message names, or publish another port in the compose file",
    "disk_full": "make room on that node or controller; `testcell results --cleanup` removes old runs",
    "artifact_corrupt": "run again; when it comes back, check the disk and memory of that node and of the controller",
    "lock_held": "wait for the run that the message names (`--wait` does), or end it; an abandoned lease expires by itself",
    "ssh_auth": "check user and key in the inventory; `ssh USER@HOST true` must work without a question",
    "ssh_hostkey": "compare the host key with the node's, then add it: `ssh-keyscan HOST >> ~/.ssh/known_hosts`",
    "ssh_refused": "check address and port in the inventory and that sshd runs on the node",
    "ssh_timeout": "check that the node is up and reachable from here",
    "ssh_dropped": "check that the node is up and reachable from here, and its sshd's log",
    "node_unreachable": "check that the node is up and reachable from here",
    "dns_failure": "check the host name in the inventory, or use an address",
    "interpreter_missing": "install python3 (3.9 or newer) on the node, or set ansible_python_interpreter",
    "cleanup_failed": "look at what is left on the node, then `testcell cleanup RUN`",
    "service_died": "read the service's log in nodes/<node>/services/ of the case",
    "container_exited": "read the service's log in nodes/<node>/services/ of the case",
    "container_oom": "give the service more memory (`mem_limit`), or let it load less",
    "service_unhealthy": "read the service's log in nodes/<node>/services/ of the case, or try its healthcheck there",
    "health_timeout": "read the service's log; raise startup_timeout, or health_check_timeout, when it only needs longer",
    "test_failed": "read test_artifacts/ and the script's log of the case",
    "test_timeout": "read the script's log; raise test_execution.timeout when it only needs longer",
}


def next_step(error_kind: str, run_id: str) -> str:
    """Return what a person can do about a failure, "" when there is nothing better than reading on."""
    return NEXT_STEPS.get(error_kind, "").replace("RUN", run_id)

# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making and mending the nodes of a lab, each on its own, so that they can be done side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from . import plan
from .docker_cli import Docker
from .errors import LabError
from .model import LABEL, LABEL_DIGEST, LABEL_NODE, Node, Wanted
from .observe import Image, images

# A node is a machine of its own: all rights inside but none that its host lacks, its own cgroups, and /proc as it is.
RIGHTS = (
    "--cgroupns=private",
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=systempaths=unconfined",
)


def bring_up(docker: Docker, wanted: Wanted, step: plan.Step, public_key: str) -> None:
    """Do the step of one node; the node may not be ready when this returns."""
    node = step.node
    if step.action == plan.RECREATE:
        discard(docker, node.container)
    if step.action in {plan.CREATE, plan.RECREATE}:
        _create(docker, wanted, node, public_key)
    elif step.action == plan.START:
        docker("start", node.container)
    elif step.action == plan.UNPAUSE:
        docker("unpause", node.container)
    elif step.action == plan.ATTACH:
        _attach(docker, wanted, node)


def host_key(docker: Docker, node: Node, timeout_s: int) -> str:
    """Return type and key of the node's host key once its sshd and its engine answer; LabError when they do not."""
    try:
        return docker("exec", node.container, "/opt/testcell/ready", str(timeout_s)).strip()
    except LabError as error:
        raise LabError(f"{node.name}: {error}") from None


def missing_images(docker: Docker, node: Node, wanted: Sequence[Image]) -> tuple[str, ...]:
    """Return the names of the images that the node's engine lacks or has in another version."""
    if not wanted:
        return ()
    names = [image.name for image in wanted]
    # inspect fails for an absent image and prints the others
    script = 'docker image inspect "$@" 2>/dev/null || true'
    has = images(json.loads(docker("exec", node.container, "sh", "-c", script, "sh", *names) or "[]"))
    return tuple(image.name for image in wanted if has.get(image.name) != image)


def load(docker: Docker, node: Node, archive: Path) -> None:
    """Load the images of an archive made by `docker save` into the node's engine."""
    docker("exec", "--interactive", node.container, "docker", "load", "--quiet", stdin=archive)


def discard(docker: Docker, container: str) -> None:
    """Remove a node's container and the volume of the same name."""
    docker("rm", "--force", "--volumes", container)
    docker("volume", "rm", "--force", container)


def _create(docker: Docker, wanted: Wanted, node: Node, public_key: str) -> None:
    labels = {LABEL: wanted.name, LABEL_NODE: node.name, LABEL_DIGEST: node.digest}
    environment = {
        "TESTCELL_NODE_INDEX": str(node.index),
        "TESTCELL_COMPOSE": node.compose,
        "TESTCELL_AUTHORIZED_KEY": public_key,
    }
    docker("volume", "create", "--label", f"{LABEL}={wanted.name}", node.container)
    docker(
        *("run", "--detach", "--name", node.container, "--hostname", node.name, *RIGHTS),
        *("--network", wanted.network, "--ip", node.address),
        *("--publish", f"{node.host}:{node.port}:22", "--volume", f"{node.container}:/var/lib/docker"),
        *(f"--label={key}={value}" for key, value in labels.items()),
        *(f"--env={key}={value}" for key, value in environment.items()),
        wanted.image,
    )


def _attach(docker: Docker, wanted: Wanted, node: Node) -> None:
    """Put a node back on the lab's network at its own address, whether it is off it or has another one there."""
    try:
        docker("network", "disconnect", "--force", wanted.network, node.container)
    except LabError as error:
        if "is not connected" not in str(error):
            raise
    docker("network", "connect", "--ip", node.address, wanted.network, node.container)

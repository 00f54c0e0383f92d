# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab as a whole: what would change, making it as wanted, taking it away and proving that nothing is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from . import addresses, files, nodes, observe, plan
from .docker_cli import Docker
from .errors import LabError
from .model import LABEL, LABEL_PORT, Link, Node, Wanted, loopbacks, nodes_of
from .observe import Image, Observed

Item = TypeVar("Item")
Result = TypeVar("Result")
PROC = Path("/proc/net")
NO_KEY = "not made yet"


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be, one sentence each; the nodes as they are then; images that this machine lacks."""

    actions: tuple[str, ...]
    nodes: tuple[Node, ...]
    images_missing: tuple[str, ...] = ()


def up(docker: Docker, wanted: Wanted, check: bool) -> Outcome:
    """Make the lab as wanted and return what was done; with check, only what would be done."""
    files.refuse_foreign_inventory(wanted)
    node_image, images, absent = _images(docker, wanted)
    observed = observe.observe(docker, wanted.name)
    link = observed.link or _new_link(docker, wanted)
    key = files.public_key(wanted)
    actions = [] if key else ["make a key pair"]
    if not key:
        key = NO_KEY if check else files.make_key_pair(wanted)
    members = nodes_of(wanted, link, ",".join((*node_image.layers, node_image.inputs)), key)
    steps = plan.node_steps(members, observed)
    surplus = plan.surplus(members, observed)
    actions += _sentences(observed, link, steps, surplus)
    if not check:
        _remove_surplus(docker, surplus)
        if observed.link is None:
            _make_network(docker, wanted, link)
        _in_parallel(partial(nodes.bring_up, docker, wanted, public_key=key), steps)
        actions += _finish(docker, wanted, members, images)
    return Outcome(tuple(actions), members, absent)


def down(docker: Docker, wanted: Wanted, check: bool) -> Outcome:
    """Remove everything of the lab, prove it by listing, and return what was removed; with check, what would be."""
    files.refuse_foreign_inventory(wanted)
    observed = observe.observe(docker, wanted.name)
    actions = [f"remove container {name}" for name in sorted(observed.containers)]
    actions += [f"remove volume {name}" for name in observed.volumes]
    actions += [f"remove network {name}" for name in observed.networks]
    actions += [f"remove {path.name}" for path in files.present(wanted)]
    if not check:
        _remove(docker, observed)
        files.remove(wanted)
        _prove_empty(observe.observe(docker, wanted.name))
    return Outcome(tuple(actions), ())


def _images(docker: Docker, wanted: Wanted) -> tuple[Image, tuple[Image, ...], tuple[str, ...]]:
    """Return the nodes' image, the images to load, and the names of those that this machine lacks."""
    here = observe.images(docker.inspect("image", (wanted.image, *wanted.images)))
    if wanted.image not in here:
        raise LabError(f"the image {wanted.image} of the nodes is absent; make it with setup/images")
    present = tuple(here[name] for name in wanted.images if name in here)
    return here[wanted.image], present, tuple(name for name in wanted.images if name not in here)


def _new_link(docker: Docker, wanted: Wanted) -> Link:
    """Return a free subnet and a free port for a lab that has no network yet."""
    routed = addresses.routed_networks((PROC / "route").read_text())
    subnet = addresses.free_subnet((*observe.used_networks(docker), *routed))
    tables = (PROC / name for name in ("tcp", "tcp6"))
    listening = frozenset().union(*(addresses.listeners(table.read_text()) for table in tables if table.exists()))
    return Link(subnet, addresses.ssh_port(loopbacks(wanted), listening))


def _make_network(docker: Docker, wanted: Wanted, link: Link) -> None:
    labels = (f"--label={LABEL}={wanted.name}", f"--label={LABEL_PORT}={link.port}")
    docker("network", "create", "--subnet", str(link.subnet), *labels, wanted.network)


def _sentences(observed: Observed, link: Link, steps: Sequence[plan.Step], surplus: Sequence[str]) -> list[str]:
    made = [] if observed.link else [f"create network {link.subnet}"]
    removed = [f"remove container {name}" for name in surplus]
    return made + removed + [f"{step.action} {step.node.name}" for step in steps if step.action != plan.KEEP]


def _remove_surplus(docker: Docker, surplus: Iterable[str]) -> None:
    for container in surplus:
        nodes.discard(docker, container)


def _finish(docker: Docker, wanted: Wanted, members: Sequence[Node], images: Sequence[Image]) -> list[str]:
    """Wait for the nodes, give them their images, write the files; return what was done."""
    keys = _in_parallel(partial(nodes.host_key, docker, timeout_s=wanted.timeout_s), members)
    lacking = _in_parallel(partial(nodes.missing_images, docker, wanted=images), members)
    todo = {node: names for node, names in zip(members, lacking) if names}
    _load(docker, wanted, todo)
    actions = [f"load {', '.join(names)} into {node.name}" for node, names in todo.items()]
    host_keys = {node.name: key for node, key in zip(members, keys)}
    for path, text in (
        (wanted.known_hosts, files.known_hosts_text(members, host_keys)),
        (wanted.inventory, files.inventory_text(wanted, members)),
    ):
        if files.write(path, text):
            actions.append(f"write {path.name}")
    return actions


def _load(docker: Docker, wanted: Wanted, todo: dict[Node, tuple[str, ...]]) -> None:
    """Save each set of images once and load it into the nodes that lack it, side by side."""
    for names in sorted(set(todo.values())):
        with tempfile.TemporaryDirectory(prefix="images-", dir=wanted.state_dir) as folder:
            archive = Path(folder) / "images.tar"
            docker("save", "--output", str(archive), *names)
            _in_parallel(partial(nodes.load, docker, archive=archive), [node for node in todo if todo[node] == names])


def _remove(docker: Docker, observed: Observed) -> None:
    if observed.containers:
        docker("rm", "--force", "--volumes", *sorted(observed.containers))
    if observed.volumes:
        docker("volume", "rm", "--force", *observed.volumes)
    for network in observed.networks:
        docker("network", "rm", network)


def _prove_empty(observed: Observed) -> None:
    if not observed.empty:
        left = ", ".join((*sorted(observed.containers), *observed.volumes, *observed.networks))
        raise LabError(f"the lab is not gone, the engine still lists: {left}")


def _in_parallel(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the results in the order of the items; all are tried, then the first error is raised."""
    with ThreadPoolExecutor(max_workers=max(len(items), 1)) as pool:
        futures = [pool.submit(work, item) for item in items]
    return [future.result() for future in futures]

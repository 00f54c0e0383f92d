# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a case's containers by Compose, with all its semantics, and start none of them."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import beneath, compose_cli, durable, procs
from .command import Done, run
from .compose_cli import Compose
from .context import Context
from .engine import Engine, connect
from .errors import CellError
from .messages import meaning, plain
from .objects import PROJECT, RUN, by_service, containers, of_case
from .params import number, refuse, text, texts
from .request import choice, mapping

OVERRIDE = "testcell.override.yml"
LOCK = "compose.lock"
PROJECT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,200}\Z")
PULLS = ("missing", "never", "always")
STDERR_KEPT = 4096
SLOW_PULL = "raise deployment_timeout, or pull it there beforehand"
MAKE_S = 60.0  # what the making has at least, however long the pull took


@dataclass(frozen=True)
class Call:
    """One project on this node: everything a Compose call needs."""

    ctx: Context
    engine: Engine
    compose: Compose
    base: tuple[str, ...]
    env: dict[str, str]
    services: tuple[str, ...]
    project: str
    deadline: float

    def run(self, *words: str, least_s: float = 1.0) -> Done:
        """Run a Compose command within what is left of the time limit, but least_s at least.

        Raise what its words mean when it fails.
        """
        left = self.deadline - self.ctx.clock.monotonic()
        argv = [*self.base, *words]
        done = run(argv, self.env, max(left, least_s), self.ctx.root)
        if done.ok:
            return done
        kept = plain(done.err or done.out)[-STDERR_KEPT:]
        if done.timed_out:
            message = f"compose {words[0]} did not end within {done.seconds:.0f} s"
            raise CellError("docker_timeout", message, argv=argv, stderr=kept, timed_out=True)
        found = meaning(done.err + "\n" + done.out)
        kind = "compose_invalid" if found.kind == "unknown" and words[0] == "config" else found.kind
        message = f"compose {words[0]} failed with exit code {done.code}: {found.line[:500]}"
        raise CellError(kind, message, argv=argv, exit_code=done.code, stderr=kept)


def compose(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Make the containers of args.services and return {containers, images, warnings, seconds}.

    args.override: the override file's content, already escaped for Compose. args.images: service -> image, and
    args.compose: the Compose of this node as `facts` has it; each saves a call of Compose where it is known. Without
    args.compose, args.argv names the program.
    """
    began = ctx.clock.monotonic()
    call = _prepare(ctx, args)
    if ctx.check:
        up = [*call.base, *_up(call)]
        return {
            "containers": [],
            "images": [],
            "warnings": [],
            "seconds": 0.0,
            "would_run": up,
            "compose": call.compose.as_dict(),
        }
    with _alone(ctx, call):
        return _made_by(call, ctx, args, began)


@contextmanager
def _alone(ctx: Context, call: Call) -> Iterator[None]:
    """Wait until no other call makes the containers of the case: one whose caller was cut off goes on to its end."""
    folder_fd = beneath.case_folder(ctx)
    try:
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
    try:
        left_s = call.deadline - ctx.clock.monotonic()
        durable.take_lock(fd, left_s, "the containers are made by an earlier call", "docker_timeout")
        yield
    finally:
        os.close(fd)


def _made_by(call: Call, ctx: Context, args: dict[str, Any], began: float) -> dict[str, Any]:
    _write_override(ctx, args)
    said = _have_images(call, mapping(args, "images"), choice(args, "pull", PULLS, "missing"))
    said += _make(call).err
    _prove_labels(call)
    made = _made(call)
    _prove_mounts(call, made)
    return {
        "containers": made,
        "images": _image_records(call, made),
        "warnings": compose_cli.warnings(said),
        "seconds": round(ctx.clock.monotonic() - began, 3),
        "compose": call.compose.as_dict(),
    }


def _prepare(ctx: Context, args: dict[str, Any]) -> Call:
    """Return the project's call; raise when a name or path is not allowed or no Compose answers."""
    project, timeout_s = text(args, "project"), number(args, "timeout_s", 600, 1, 86400)
    if not PROJECT_NAME.match(project):
        raise refuse("project", project, "small letters, digits, - and _, beginning with a letter or digit")
    files, services = texts(args, "files"), texts(args, "services")
    if not files or not services:
        raise refuse("files" if not files else "services", [], "at least one")
    engine = connect(ctx.environ)
    own = {str(key): str(value) for key, value in mapping(args, "env").items()}
    env = compose_cli.environment(ctx.environ, own, engine.path, _mark(ctx), timeout_s)
    chosen = compose_cli.told(mapping(args, "compose")) or compose_cli.choose(env, texts(args, "argv"))
    folder = ctx.case_dir.joinpath(*beneath.base_parts(args.get("dir_rel") or ""))
    paths = [str(folder.joinpath(*beneath.parts(name))) for name in (*files, OVERRIDE)]
    base = [*chosen.argv, "--project-name", project, "--project-directory", str(folder)]
    base += [word for path in paths for word in ("--file", path)]
    return Call(ctx, engine, chosen, tuple(base), env, services, project, ctx.clock.monotonic() + timeout_s)


def _mark(ctx: Context) -> str:
    """Return the unit token of a Compose call."""
    key = procs.root_key(ctx.root) if ctx.root.exists() else "0" * 8
    return f"{key}:{ctx.needed_run.id}:compose:{secrets.token_hex(4)}"


def _up(call: Call) -> list[str]:
    return ["up", "--no-start", "--no-deps", "--no-build", *call.services]


def _make(call: Call) -> Done:
    """Make the containers; where Compose's words say nothing to us, ask whether its files are to blame."""
    try:
        return call.run(*_up(call), least_s=MAKE_S)
    except CellError as exc:
        if exc.kind == "unknown":
            call.run("config")
        raise


def _write_override(ctx: Context, args: dict[str, Any]) -> None:
    """Write the override file beside the scenario's own; JSON is YAML."""
    data = json.dumps(mapping(args, "override"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    folder = beneath.case_folder(ctx, args.get("dir_rel") or "")
    try:
        durable.replace_bytes(folder, OVERRIDE, data.encode(), 0o644)
    finally:
        os.close(folder)


def _have_images(call: Call, known: dict[str, Any], pull: str) -> str:
    """Make sure that every service's image is on the node and return what Compose said on the way."""
    images = {str(service): str(image) for service, image in known.items()}
    if any(service not in images for service in call.services):
        words = ("config", "--format", "json") if call.compose.kind == compose_cli.PLUGIN else ("config",)
        images = compose_cli.images(call.compose.kind, call.run(*words).out)
    wanted = {service: images[service] for service in call.services if images.get(service)}
    absent = [service for service in wanted if call.engine.image(wanted[service]) is None]
    if absent and pull == "never":
        raise _no_image(wanted, absent, "and pulling is switched off")
    to_pull = list(wanted) if pull == "always" else absent
    if not to_pull:
        return ""
    call.ctx.emit({"services": to_pull, "images": sorted({wanted[service] for service in to_pull})})
    try:
        said = call.run("pull", "--quiet", *to_pull).err
    except CellError as exc:
        missed = [service for service in to_pull if call.engine.image(wanted[service]) is None] or to_pull
        detail = {**exc.detail, "images": sorted({wanted[service] for service in to_pull})}
        # A way to the registry that is too slow is no fault of the engine that waits for it.
        late = exc.detail.get("timed_out")
        kind = "registry_unreachable" if late else exc.kind
        said = f"{exc.message}; {SLOW_PULL}" if late else exc.message
        raise CellError(kind, f"{_named(wanted, missed)} was not pulled: {said}", **detail) from None
    absent = [service for service in wanted if call.engine.image(wanted[service]) is None]
    if absent:
        raise _no_image(wanted, absent, "after a pull that claims success")
    return said


def _no_image(images: dict[str, str], absent: list[str], why: str) -> CellError:
    return CellError(
        "image_not_found",
        f"{_named(images, absent)} is not on this node, {why}",
        images=sorted(images[service] for service in absent),
    )


def _named(images: dict[str, str], services: list[str]) -> str:
    return "image " + ", ".join(f"{images[service]} (service {service})" for service in services)


def _made(call: Call) -> list[dict[str, Any]]:
    """Return the containers that were made for the services; raise when one has none."""
    found = by_service(containers(call.engine, of_case(call.ctx.needed_run)))
    absent = [service for service in call.services if service not in found]
    if absent:
        raise CellError("compose_invalid", f"compose made no container for: {', '.join(absent)}", services=absent)
    return [
        {"service": service, "id": one.id, "name": one.name, "image": one.image, "image_id": one.image_id}
        for service in call.services
        for one in found[service]
    ]


def _prove_labels(call: Call) -> None:
    """Raise when an object of the project lacks the run's label, by which cleaning goes; it is removed at once."""
    project = [f"{PROJECT}={call.project}"]
    lists = {"networks": call.engine.networks(project), "volumes": call.engine.volumes(project)}
    lists = {"containers": call.engine.containers(project), **lists}
    bare: list[str] = []
    for kind, records in lists.items():
        for record in records:
            if (record.get("Labels") or {}).get(RUN) != call.ctx.needed_run.id:
                name = str(record.get("Name") or (record.get("Names") or [record.get("Id")])[0]).lstrip("/")
                call.engine.remove(kind, str(record.get("Id") or name))
                bare.append(f"{kind[:-1]} {name}")
    if bare:
        message = f"made without the label {RUN}, so removed again: {', '.join(bare)}"
        raise CellError("internal_error", message, objects=bare)


def _prove_mounts(call: Call, made: list[dict[str, Any]]) -> None:
    """Raise when a bind mount's source outside the case is absent: the engine would make an empty folder there."""
    case = str(call.ctx.case_dir) + "/"
    for one in made:
        for mount in call.engine.inspect(one["id"]).get("Mounts") or []:
            source = str(mount.get("Source") or "")
            if mount.get("Type") == "bind" and not source.startswith(case) and _absent(source):
                message = f"service {one['service']} binds {source}, which does not exist on this node"
                raise CellError("mount_invalid", message, service=one["service"], path=source)


def _absent(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _image_records(call: Call, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return {service, image, id, digest} of each service's image."""
    records: list[dict[str, Any]] = []
    for one in made:
        image = call.engine.image(one["image_id"]) or {}
        digests = image.get("RepoDigests") or [""]
        records.append({"service": one["service"], "image": one["image"], "id": one["image_id"], "digest": digests[0]})
    return records


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"compose": compose}

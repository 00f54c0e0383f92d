# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind `dockerd_restart`: the engine itself goes down for a while, with every container that it does not keep alive.

Where systemd runs the engine, systemd is asked. Elsewhere the daemon is ended by its number, and started again as it was:
with its own arguments, environment, folder, control groups and output. A program that only minds the daemon (a service
manager, a loop in a shell) is stopped meanwhile, and does the starting afterwards. The run's containers that ended with the
engine are started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import lifetime, mounts, procs
from ..command import run
from ..engine import Engine
from ..errors import CellError
from ..objects import RUN, containers, of_run
from ..procs import STOPPED, Proc
from ..request import choice
from . import boxes
from .fault import Aim, Effect, Place

SYSTEMD = Path("/run/systemd/system")
UNITS = ("docker.socket", "docker.service")
SIGNALS = ("TERM", "KILL")
END_S = 25.0  # an engine that was asked to end stops its containers first
START_S = 60.0
MINDER_S = 10.0  # how long whoever minds the daemon may take to start it again
ASK_S = 2.0
LAUNCH_S = 20.0
REAP_S = 15.0
COMMAND_S = 90.0
SPACES = ("mnt", "net", "pid")
RUNNING = ("running", "paused")
PID_WORDS, EXEC_WORDS = ("--pidfile", "-p"), ("--exec-root",)
EXEC_ROOT = "/var/run/docker"
# Below the exec root: the number of the containerd that the engine has started for itself.
CONTAINERD_NOTE = "containerd/containerd.pid"
KEEPING = ("always", "unless-stopped")
STARTER = """
for group; do
  shift
  [ "$group" != -- ] || break
  echo $$ >"$group/cgroup.procs" 2>/dev/null || true
done
"$@" &
"""
Json = dict[str, Any]


class DockerdRestart:
    """params.signal: TERM (the engine ends as its manager ends it) or KILL."""

    kind = "dockerd_restart"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return that we may not end the engine, or that containers of others would not come back with it."""
        choice(params, "signal", SIGNALS, SIGNALS[0])
        daemon = lifetime.serving(place.engine.path)
        if daemon is None:
            return f"the process that serves {place.engine.path} cannot be told"
        if os.geteuid() not in (0, os.stat(f"/proc/{daemon.pid}").st_uid):
            return f"the engine (pid {daemon.pid}) belongs to another user"
        elsewhere = [name for name in SPACES if _space(daemon.pid, name) != _space(os.getpid(), name)]
        if elsewhere:
            return f"the engine (pid {daemon.pid}) has {', '.join(elsewhere)} namespaces of its own"
        lost = _lost(place)
        return f"containers of others would not come back with the engine: {', '.join(lost)}" if lost else ""

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return how the daemon runs, who minds it, and which containers of the run are up."""
        daemon = lifetime.serving(place.engine.path)
        if daemon is None:
            raise CellError("chaos_unsupported", f"the process that serves {place.engine.path} cannot be told")
        manager = _manager(place, daemon)
        up = [box for box in containers(place.engine, of_run(place.ctx.needed_run)) if box.state in RUNNING]
        looks = ((box.id, boxes.look(place.engine, box.id)) for box in up)
        return {
            "socket": place.engine.path,
            "boot_id": procs.boot_id(),
            "daemon": [daemon.pid, daemon.start],
            "kin": [daemon.pid, *_children(daemon.pid)],
            "minder": None if manager else _minder(daemon),
            "systemd": manager,
            "life": {} if manager else _life(daemon),
            "up": {name: box.started for name, box in looks if box},
        }

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """End the engine and keep it down."""
        if undo["systemd"]:
            _systemctl(place, "stop", undo["systemd"])
            return
        if undo["minder"]:
            procs.send(Proc(*undo["minder"]), signal.SIGSTOP)
        daemon = Proc(*undo["daemon"])
        if choice(aim.params, "signal", SIGNALS, SIGNALS[0]) == "TERM":
            procs.send(daemon, signal.SIGTERM)
            place.ctx.clock.until(lambda: not procs.alive(daemon), END_S)
        procs.send(daemon, signal.SIGKILL)
        if not place.ctx.clock.until(lambda: not procs.alive(daemon), END_S):
            raise CellError("chaos_unsupported", f"the engine (pid {daemon.pid}) does not end")

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure whether the engine answers."""
        why = _silence(place.engine)
        alive = int(procs.alive(Proc(*undo["daemon"]))) if undo else 1
        if not why:
            return Effect(False, {"answers": 1, "daemon": alive}, "the engine answers")
        return Effect(True, {"answers": 0, "daemon": alive, "error": why})

    def undo(self, place: Place, undo: Json) -> None:
        """Have the engine up again, and with it the run's containers that ended with it."""
        engine = Engine(undo["socket"], place.engine.timeout)
        if _silence(engine) or self._is_minder_stopped(undo):
            self._start(place, engine, undo)
        if not place.ctx.clock.until(lambda: self._is_up(engine, undo), START_S):
            raise CellError("docker_daemon_down", f"the engine does not answer after its start: {_silence(engine)}")
        for name in _down(engine, undo):
            engine.start(name, START_S)

    def _start(self, place: Place, engine: Engine, undo: Json) -> None:
        """Have whoever runs the engine start it; where that is nobody, nothing is done yet."""
        if undo["systemd"]:
            _systemctl(place, "start", undo["systemd"])
        elif undo["minder"] and procs.alive(Proc(*undo["minder"])):
            self._bury(place, undo)
            procs.send(Proc(*undo["minder"]), signal.SIGCONT)
            place.ctx.clock.until(lambda: not _silence(engine), MINDER_S)
        else:
            place.ctx.clock.until(lambda: not any(map(_is_there, undo["kin"])), REAP_S)

    def _bury(self, place: Place, undo: Json) -> None:
        """Leave nothing that the next daemon could take for the dead one, or for its containerd; the minder reaps the daemon."""
        if not procs.alive(Proc(*undo["daemon"])):
            place.ctx.clock.until(lambda: not any(map(procs.identify, undo["kin"])), REAP_S)
            _forget_dead(undo["daemon"][0], undo["life"]["argv"])

    def _is_up(self, engine: Engine, undo: Json) -> bool:
        """Return whether the engine answers; start it where it does not and nobody else does that, also once more."""
        if not _silence(engine):
            return True
        others = undo["systemd"] or (undo["minder"] and _children(undo["minder"][0]))
        # Whoever starts the engine at boot has started it after one.
        if not others and undo["boot_id"] == procs.boot_id() and not _runs(undo["life"]["argv"]):
            _forget_dead(undo["daemon"][0], undo["life"]["argv"])
            _launch(undo["life"])
        return False

    def _is_minder_stopped(self, undo: Json) -> bool:
        stat = procs.read_stat(undo["minder"][0]) if undo["minder"] else None
        return stat is not None and stat.start == undo["minder"][1] and stat.state in STOPPED

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return that the engine does not answer, or is not minded, or which containers ended with it and are not up again."""
        engine = Engine(undo["socket"], place.engine.timeout)
        why = _silence(engine)
        if why:
            return [f"the engine does not answer: {why}"]
        minded = (
            [f"process {undo['minder'][0]}, which minds the engine, is stopped"]
            if self._is_minder_stopped(undo)
            else []
        )
        return minded + [f"container {name[:12]} has not been started again" for name in _down(engine, undo)]


def _space(pid: int, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


def _lost(place: Place) -> list[str]:
    """Return the running containers of others that no restart policy brings back, where the engine does not keep them alive."""
    if place.engine.info().get("LiveRestoreEnabled"):
        return []
    own = place.ctx.needed_run.id
    others = [box for box in containers(place.engine, []) if box.state in RUNNING and box.labels.get(RUN) != own]
    return [box.name for box in others if _policy(place.engine, box.id) not in KEEPING]


def _policy(engine: Engine, container: str) -> str:
    return str(((engine.inspect(container).get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "")


def _silence(engine: Engine) -> str:
    """Return why the engine does not answer, "" where it does."""
    try:
        engine.with_timeout(ASK_S).version(ASK_S)
    except CellError as exc:
        return exc.message
    return ""


def _down(engine: Engine, undo: Json) -> list[str]:
    """Return the run's containers that were up and have not been started since they ended."""
    found = []
    for name, started in undo["up"].items():
        box = boxes.look(engine, name)
        if box is not None and not box.running and box.started == started:
            found.append(name)
    return found


# -- where systemd runs the engine ---------------------------------------------------------------------------------


def _manager(place: Place, daemon: Proc) -> list[str]:
    """Return the units of systemd that run this very engine, [] where it is not run by one."""
    if not SYSTEMD.is_dir():
        return []
    done = run(["systemctl", "show", "--value", "-p", "MainPID", UNITS[1]], place.ctx.environ, COMMAND_S)
    if not done.ok or done.out.strip() != str(daemon.pid):
        return []
    asked = {name: run(["systemctl", "is-active", "--quiet", name], place.ctx.environ, COMMAND_S) for name in UNITS}
    return [name for name, done in asked.items() if done.ok]


def _systemctl(place: Place, word: str, units: list[str]) -> None:
    done = run(["systemctl", word, *units], place.ctx.environ, COMMAND_S)
    if not done.ok:
        raise CellError(
            "chaos_not_reverted", f"systemctl {word} {' '.join(units)} ended with {done.code}: {done.err.strip()}"
        )


# -- where the daemon is on its own --------------------------------------------------------------------------------


def _minder(daemon: Proc) -> list[int] | None:
    """Return the process that has the daemon as its only child, and so may be there to start it again."""
    stat = procs.read_stat(daemon.pid)
    parent = procs.identify(stat.ppid) if stat and stat.ppid > 1 else None
    if parent is None or parent.pid in procs.lineage():
        return None
    return [parent.pid, parent.start] if _children(parent.pid) == [daemon.pid] else None


def _children(pid: int) -> list[int]:
    """Return the living children of a process."""
    stats = ((found, procs.read_stat(found)) for found in procs.pids())
    return [found for found, stat in stats if stat is not None and stat.ppid == pid and not stat.gone]


def _life(daemon: Proc) -> Json:
    """Return how a process was started, and where what it writes goes, if that is a file."""
    place = Path(f"/proc/{daemon.pid}")
    words = [word.decode("utf-8", "surrogateescape") for word in (place / "cmdline").read_bytes().split(b"\0")[:-1]]
    pairs = (place / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    return {
        "argv": [os.readlink(place / "exe").replace(" (deleted)", ""), *words[1:]],
        "env": dict(pair.split("=", 1) for pair in pairs if "=" in pair),
        "cwd": os.readlink(place / "cwd"),
        "out": [_file(place / "fd" / number) for number in ("1", "2")],
        "groups": _groups(place),
    }


def _file(descriptor: Path) -> str:
    try:
        path = os.readlink(descriptor)
    except OSError:
        return os.devnull
    return path if os.path.isfile(path) else os.devnull


def _groups(place: Path) -> list[str]:
    """Return the folders of the control groups that a process is in."""
    tops: dict[str, str] = {}
    for mount in mounts.current():
        for name in mount.options if mount.kind == "cgroup" else ("",) if mount.kind == "cgroup2" else ():
            tops.setdefault(name, mount.point)
    found = []
    for line in (place / "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        top = tops.get(controllers.split(",")[0])
        if top:
            found.append(f"{top}{path}".rstrip("/"))
    return found


def _is_there(pid: int) -> bool:
    """Return whether a number is taken, if only by a body that waits to be reaped: an engine takes that for a living one."""
    return os.path.exists(f"/proc/{pid}")


def _runs(argv: list[str]) -> bool:
    """Return whether a program runs with these very arguments."""
    return any(procs.arguments(pid)[1:-1] == argv[1:] and procs.identify(pid) is not None for pid in procs.pids())


def _forget_dead(pid: int, argv: list[str]) -> None:
    """Remove the notes of the numbers of a dead daemon and of its containerd.

    While such a body waits to be reaped, or another process has the number, a new daemon takes it for living: it does not
    start, or waits in vain for that containerd.
    """
    _forget(Path(_given(argv, PID_WORDS, lifetime.PID_NOTE)), lambda noted: noted == pid)
    _forget(Path(_given(argv, EXEC_WORDS, EXEC_ROOT)) / CONTAINERD_NOTE, _is_no_containerd)


def _given(argv: list[str], words: tuple[str, ...], otherwise: str) -> str:
    """Return the value that was given last for one of these options."""
    given = [after for before, after in zip(argv, argv[1:]) if before in words]
    given += [word.partition("=")[2] for word in argv if word.partition("=")[0] in words and "=" in word]
    return given[-1] if given else otherwise


def _is_no_containerd(pid: int) -> bool:
    return procs.identify(pid) is None or "containerd" not in os.path.basename(procs.arguments(pid)[0])


def _forget(note: Path, is_dead: Callable[[int], bool]) -> None:
    with suppress(OSError, ValueError, IndexError):
        if is_dead(int(note.read_text(encoding="ascii"))):
            note.unlink()


def _launch(life: Json) -> None:
    """Start a daemon as it was: in its groups, and the child of nobody, so that it outlives us."""
    out, err = (os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC) for path in life["out"])
    try:
        words = ["/bin/sh", "-c", STARTER, "sh", *life["groups"], "--", *life["argv"]]
        started = subprocess.run(
            words,
            env=life["env"],
            cwd=life["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            timeout=LAUNCH_S,
            check=False,
        )
        if started.returncode != 0:
            raise CellError("chaos_not_reverted", f"{life['argv'][0]} cannot be started: status {started.returncode}")
    finally:
        os.close(out)
        os.close(err)


KINDS = {"dockerd_restart": DockerdRestart()}

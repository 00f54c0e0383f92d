# SPDX-License-Identifier: MIT
"""Real runs: Ansible as a user starts it, nodes with their own sshd and Docker engine, containers, real engines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB_INVENTORY = ROOT / "inventories" / "lab" / "hosts"
NODES = ("node1", "node2", "node3")
TIMEOUT_S = 300
KEPT = ("PATH", "HOME", "DOCKER_HOST", "LANG", "ANSIBLE_LOG_PATH")

# Ansible without our package: -S leaves out the .pth files that an editable install puts beside it.
BARE = (
    "import sys; sys.path.append({site!r}); sys.argv[0] = 'ansible-playbook'; "
    "from ansible.cli.playbook import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Ended:
    """What a run left: exit status, the screen, and its folder."""

    rc: int
    screen: str
    folder: Path | None

    @property
    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    def case(self, index=0):
        return self.summary["cases"][index]

    def file(self, name):
        return (self.folder / self.case()["path"] / name).read_text(errors="replace")


def ansible_command(inventory, variables, playbook="site.yml"):
    program = BARE.format(site=sysconfig.get_paths()["purelib"])
    words = [sys.executable, "-S", "-c", program, str(ROOT / playbook), "-i", str(inventory)]
    return [*words, "-e", json.dumps({key: str(value) for key, value in variables.items()})]


def environment():
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    return {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}


def newest(results):
    runs = sorted(path for path in results.glob("2*") if path.is_dir()) if results.is_dir() else []
    return runs[-1] if runs else None


def run_site(inventory, results, **variables):
    """Run site.yml to its end with a bare ansible-core, as AWX or a user without our package does."""
    variables = {"results_dir": results, **variables}
    done = subprocess.run(
        ansible_command(inventory, variables),
        cwd=results.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(errors="replace"), newest(results))


@contextmanager
def running_site(inventory, results, **variables):
    """Start site.yml in a session of its own, its screen in a file; at the end nothing of it runs any more."""
    screen = results.parent / "screen.txt"
    with screen.open("wb") as stream:
        process = subprocess.Popen(
            ansible_command(inventory, {"results_dir": results, **variables}),
            cwd=results.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def started_in(folder):
    """Return the processes that were started in a folder and are there yet, as a run's ssh and what holds it are."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if Path(os.readlink(process / "cwd")) == folder:
                found.append(int(process.name))
    return found


def still_running(folder):
    """Return the command lines of the processes that were started in a folder and are there yet."""
    found = []
    for pid in started_in(folder):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def run_command(*words, cwd=ROOT, timeout=TIMEOUT_S):
    """Run our command line to its end."""
    command = [str(Path(sys.executable).parent / "testcell"), *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )


def on_node(node, command):
    """Run a shell line on a lab node, past Ansible, and return what it printed."""
    done = subprocess.run(
        ["docker", "exec", f"testcell-lab-{node}", "sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def leavings(node):
    """Return what of ours is on a node: containers, networks, volumes by label, files, processes by mark."""
    lines = []
    for kind in ("container ls -aq", "network ls -q", "volume ls -q"):
        lines += on_node(node, f"docker {kind} --filter label=testcell.run").split()
    lines += on_node(node, "ls -A /var/tmp/testcell-0/runs 2>/dev/null || true").split()
    lines += on_node(node, "grep -la TESTCELL_UNIT= /proc/[0-9]*/environ 2>/dev/null || true").split()
    return lines

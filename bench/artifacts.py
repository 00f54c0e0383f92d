# SPDX-License-Identifier: MIT
"""How long it takes until artifacts of lab nodes are at home, beside rsync, scp and Ansible's own ways: JSON lines.

artifacts.py [--full]: with more rounds. Ours is the task `fetch_artifacts` in a playbook without an empty playbook;
tasks of others are timed the same way, and rsync and scp by themselves. The transfer that the task makes is timed by
itself as well, in a process that has it loaded. Each call connects anew and writes to a folder that was never there.
Many small files go to a new file system where one can be made: for some minutes after many files are deleted, ext4
takes twenty times as long to make one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import alone
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import Policy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.transfer import Wanted
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import NodeClient, Output
from rig import NODES, ROOT, Project, line

CIPHER = "aes128-gcm@openssh.com"
THERE = "/var/tmp/testcell-bench-artifacts"
SMALL, SMALL_BYTES = 10_000, 4096
DISK_BYTES = 12 << 30
LARGE_BYTES = 1 << 30
PARTS, PART_BYTES = 100, 10 << 20
FETCHED = 20
MEMORY_BYTES = 100 << 20
# Ansible's package with its collections, of which one is taken: it is not on PyPI alone.
COLLECTIONS = "ansible==12.3.0"
POSIX = "ansible_collections/ansible/posix/"
COLLECTIONS_FOLDER = ROOT / ".cache" / "bench-collections"
# The hash that is faster than the standard library's, for both ends.
FAST_HASH = "blake3==1.0.11"
FAST_HASH_FOLDER = ROOT / ".cache" / "bench-blake3"
FAST_HASH_THERE = "/usr/local/lib/python3.11/dist-packages/blake3"

MAKE = """
import os, sys
folder, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(folder)
block = 1 << 20
for place in range(count):
    parent = os.path.join(folder, "%03d" % (place // 500))
    os.makedirs(parent, exist_ok=True)
    with open(os.path.join(parent, "%05d.bin" % place), "wb") as stream:
        for start in range(0, size, block):
            stream.write(os.urandom(min(block, size - start)))
"""


@dataclass
class Rounds:
    """Seconds of each variant, by name."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def run(self, variants: Mapping[str, Callable[[], float]], rounds: int) -> None:
        """Call every variant once a round, in turn, each when the disk has all that the one before wrote.

        Ours waits until its files are on the disk, and would wait for those of its peers as well.
        """
        for _ in range(rounds):
            for name, call in variants.items():
                os.sync()
                self.seconds.setdefault(name, []).append(call())

    def median(self, name: str) -> float:
        """Return the median of a variant."""
        return statistics.median(self.seconds[name])


@dataclass
class Bench:
    """The folder of one benchmark on the controller, with a new destination for every call."""

    project: Project
    count: int = 0
    place: Path | None = None

    def destination(self) -> Path:
        """Return a folder that was never there; the folder above it is there."""
        self.count += 1
        place = (self.place or self.project.folder) / f"got{self.count:03d}"
        place.mkdir()
        return place

    def playbook(self, name: str, tasks: Sequence[Mapping[str, Any]], nodes: str = NODES[0], **environ: str) -> float:
        """Return the wall time of a playbook with these tasks on the nodes."""
        path = self.project.folder / f"{name}.yml"
        path.write_text(json.dumps([{"hosts": nodes, "gather_facts": False, "tasks": list(tasks)}]))
        return rig.playbook(path, self.project.folder, None, **environ)

    def ours(self, folder: str, nodes: str = NODES[0], **environ: str) -> float:
        """Return what our task takes for a folder of the nodes."""
        place = self.destination() / "{{ inventory_hostname }}"
        task = {"name": "Fetch", "enginelab.testcell.fetch_artifacts": {"src": folder, "dest": str(place)}}
        return self.playbook("ours", [task], nodes, **environ)

    def transfer(self, folder: str) -> float:
        """Return what the transfer of our task takes for a folder of the first node, by itself."""
        client, destination = Reach.to(NODES[0]).client(), self.destination() / "all"
        wanted = Wanted(destination, {"base": folder}, ("**",), max_files=SMALL, max_bytes=LARGE_BYTES)
        began = perf_counter()
        _, failure = alone.fetch(client, wanted, Policy(), NODES[0])
        seconds = perf_counter() - began
        assert failure is None, failure
        return seconds

    def bare(self, count: int, size: int) -> float:
        """Return what a connection to the first node takes, and then to make files here; nothing is sent or proved."""
        reach, place, content = Reach.to(NODES[0]), self.destination(), os.urandom(size)
        seconds = timed([*reach.ssh, reach.target, "true"])
        began = perf_counter()
        for number in range(count):
            parent = place / f"{number // 500:03d}"
            if not number % 500:
                parent.mkdir()
            fd = os.open(f"{parent}/{number:05d}.bin", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, content)
            os.utime(fd, ns=(0, 0))
            os.close(fd)
        return seconds + perf_counter() - began

    def synchronize(self, folder: str) -> float:
        """Return what ansible.posix.synchronize takes for a folder of the first node."""
        asked = {"mode": "pull", "src": f"{folder}/", "dest": f"{self.destination()}/"}
        options = {"ANSIBLE_COLLECTIONS_PATH": f"{COLLECTIONS_FOLDER}:{ROOT / 'collections'}"}
        return self.playbook("synchronize", [{"name": "Synchronize", "ansible.posix.synchronize": asked}], **options)

    def fetch(self, files: Sequence[str]) -> float:
        """Return what ansible.builtin.fetch takes for files of the first node."""
        asked = {"src": "{{ item }}", "dest": f"{self.destination()}/"}
        return self.playbook("fetch", [{"name": "Fetch", "ansible.builtin.fetch": asked, "loop": list(files)}])

    def rsync(self, folder: str, node: str = NODES[0]) -> float:
        """Return what `rsync -a -W` takes for a folder of a node."""
        reach = Reach.to(node)
        words = ["rsync", "-a", "-W", "-e", " ".join(reach.ssh), f"{reach.target}:{folder}/", f"{self.destination()}/"]
        return timed(words)

    def scp(self, path: str) -> float:
        """Return what scp takes for one file of the first node."""
        reach = Reach.to(NODES[0])
        return timed(["scp", *reach.ssh[1:], f"{reach.target}:{path}", f"{self.destination()}/"])


@dataclass(frozen=True)
class Reach:
    """How a node of the lab is reached without Ansible: ssh with its options, and user@host."""

    ssh: tuple[str, ...]
    target: str

    @classmethod
    def to(cls, node: str) -> Reach:
        """Return the way to a node, by what the inventory says; the fast cipher is asked for."""
        words = [str(rig.BIN / "ansible-inventory"), "-i", str(rig.INVENTORY), "--host", node]
        known = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        options = str(known["ansible_ssh_common_args"]).split()
        ssh = ("ssh", "-c", CIPHER, "-i", str(known["ansible_ssh_private_key_file"]), *options)
        return cls(ssh, f"{known['ansible_user']}@{known['ansible_host']}")

    def words(self, command: str) -> list[str]:
        """Return the call of ssh for a command on the node."""
        return [*self.ssh, self.target, f"/bin/sh -c {shlex.quote(command)}"]

    def client(self) -> NodeClient:
        """Return our program on the node."""

        def execute(command: str, stdin: bytes) -> Output:
            done = subprocess.run(self.words(command), input=stdin, capture_output=True, check=False)
            return Output(done.returncode, done.stdout.decode(), done.stderr.decode())

        return NodeClient(execute, package.build("cellnode"), "/usr/bin/python3", streamed=self.words)


def timed(words: Sequence[str]) -> float:
    """Return the wall time of a command that must end well."""
    began = perf_counter()
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=rig.LIMIT_S)
    return perf_counter() - began


def posix_collection() -> None:
    """Have the collection of synchronize below .cache."""
    if (COLLECTIONS_FOLDER / POSIX).is_dir():
        return
    COLLECTIONS_FOLDER.mkdir(parents=True, exist_ok=True)
    words = ["download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(COLLECTIONS_FOLDER), COLLECTIONS]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    (wheel,) = COLLECTIONS_FOLDER.glob("ansible-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(COLLECTIONS_FOLDER, [name for name in archive.namelist() if name.startswith(POSIX)])
    wheel.unlink()


@contextmanager
def fast_hash(nodes: Sequence[str]) -> Iterator[dict[str, str]]:
    """Have the fast hash on nodes and below .cache; give the environment in which the controller finds it."""
    if not FAST_HASH_FOLDER.is_dir():
        words = ["install", "-q", "--no-deps", "--target", str(FAST_HASH_FOLDER), FAST_HASH]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    package = str(FAST_HASH_FOLDER / "blake3")
    try:
        for node in nodes:
            subprocess.run(["docker", "cp", package, f"testcell-lab-{node}:{FAST_HASH_THERE}"], check=True)
        yield {"PYTHONPATH": str(FAST_HASH_FOLDER)}
    finally:
        for node in nodes:
            rig.on_node(node, "rm", "-rf", FAST_HASH_THERE)


def make(node: str, name: str, count: int, size: int) -> str:
    """Make files of random bytes on a node and return their folder."""
    folder = f"{THERE}/{name}"
    rig.on_node(node, "python3", "-I", "-", folder, str(count), str(size), stdin=MAKE)
    return folder


@contextmanager
def new_file_system(folder: Path) -> Iterator[Path]:
    """Give a folder of a new ext4 file system in a file; an ordinary folder where that cannot be had."""
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(DISK_BYTES)
    make, mount = ["mkfs.ext4", "-q", "-F", "-i", "8192", str(image)], ["mount", "-o", "loop", str(image), str(place)]
    mounted = all(subprocess.run(words, check=False, capture_output=True).returncode == 0 for words in (make, mount))
    try:
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
        image.unlink()


def small_files(bench: Bench, rounds: int) -> Iterator[dict[str, object]]:
    """Yield D1."""
    with new_file_system(bench.project.folder) as place:
        yield from _small_files(replace(bench, place=place), rounds)


def _small_files(bench: Bench, rounds: int) -> Iterator[dict[str, object]]:
    folder = make(NODES[0], "small", SMALL, SMALL_BYTES)
    few = [f"{folder}/000/{place:05d}.bin" for place in range(FETCHED)]
    found = Rounds()
    variants: dict[str, Callable[[], float]] = {
        "empty": lambda: bench.playbook("empty", []),
        "ours": lambda: bench.ours(folder),
        "transfer": lambda: bench.transfer(folder),
        "rsync": lambda: bench.rsync(folder),
        "synchronize": lambda: bench.synchronize(folder),
        "bare": lambda: bench.bare(SMALL, SMALL_BYTES),
    }
    bench.ours(folder)  # brings our program to the node
    found.run(variants, rounds)
    found.run({"fetch": lambda: bench.fetch(few)}, 1)
    empty = found.median("empty")
    ours, rounds_made = found.median("ours") - empty, {"rounds": rounds, "files": SMALL, "bytes_each": SMALL_BYTES}
    yield beside("D1-small-rsync", ours, "rsync -a -W", found.median("rsync"), 0.9, **rounds_made)
    alone_s = found.median("transfer")
    yield beside("D1-small-rsync-by-itself", alone_s, "rsync -a -W", found.median("rsync"), 0.9, **rounds_made)
    yield beside("D1-small-synchronize", ours, "synchronize", found.median("synchronize") - empty, 0.29, **rounds_made)
    yield _bare(found, empty, rounds_made)
    each = (found.median("fetch") - empty) / FETCHED
    times = each / (ours / SMALL)
    facts = {"target": 5000, "holds": times >= 5000, "times_faster": round(times), **rounds_made}
    yield line("D1-small-fetch", ours / SMALL, "s a file", "fetch", each, **facts)


def _bare(found: Rounds, empty: float, rounds_made: dict[str, int]) -> dict[str, object]:
    """Return what nobody can be faster than, beside the peer that the farthest target is held against."""
    floor, peer = found.median("bare"), found.median("synchronize") - empty
    facts = {"target": None, "holds": None, "of_rsync": round(floor / found.median("rsync"), 3), **rounds_made}
    return line("D1-small-bare", floor, "s to connect and to make the files", "synchronize", peer, **facts)


def large_file(bench: Bench, rounds: int) -> Iterator[dict[str, object]]:
    """Yield D2 and D5."""
    folder = make(NODES[0], "large", 1, LARGE_BYTES)
    path = f"{folder}/000/00000.bin"
    found = Rounds()
    variants: dict[str, Callable[[], float]] = {
        "empty": lambda: bench.playbook("empty", []),
        "ours": lambda: _emptied(bench, lambda: bench.ours(folder)),
        "scp": lambda: _emptied(bench, lambda: bench.scp(path)),
        "synchronize": lambda: _emptied(bench, lambda: bench.synchronize(folder)),
        "fetch": lambda: _emptied(bench, lambda: bench.fetch([path])),
    }
    found.run(variants, rounds)
    fast = Rounds()
    with fast_hash(NODES[:1]) as environ:
        fast.run({"ours": lambda: _emptied(bench, lambda: bench.ours(folder, **environ))}, rounds)
    empty, facts = found.median("empty"), {"rounds": rounds, "bytes": LARGE_BYTES}
    seconds = {"stdlib": found.median("ours") - empty, "fast": fast.median("ours") - empty}
    targets = {"stdlib": {"scp": 1.6, "fetch": 0.36}, "fast": {"scp": 1.2, "fetch": 0.25}}
    for way, ours in seconds.items():
        yield beside(f"D2-large-{way}-scp", ours, f"scp -c {CIPHER}", found.median("scp"), targets[way]["scp"], **facts)
        yield beside(
            f"D2-large-{way}-fetch", ours, "fetch", found.median("fetch") - empty, targets[way]["fetch"], **facts
        )
        peer = found.median("synchronize") - empty
        yield beside(f"D2-large-{way}-synchronize", ours, "synchronize", peer, 0.45, **facts)
    yield from memory(bench, folder)


def _emptied(bench: Bench, call: Callable[[], float]) -> float:
    """Return what a call returns, and remove what it fetched: a few large files cost nothing to remove."""
    before = bench.count
    try:
        return call()
    finally:
        for number in range(before, bench.count):
            shutil.rmtree(bench.project.folder / f"got{number + 1:03d}")


def three_nodes(bench: Bench, rounds: int) -> Iterator[dict[str, object]]:
    """Yield D3."""
    with ThreadPoolExecutor(len(NODES)) as pool:
        folders = set(pool.map(lambda node: make(node, "parts", PARTS, PART_BYTES), NODES))
    (folder,) = folders
    facts = {"rounds": rounds, "nodes": len(NODES), "files": PARTS, "bytes_each": PART_BYTES}
    ways: dict[str, AbstractContextManager[dict[str, str]]] = {"stdlib": nullcontext({}), "fast": fast_hash(NODES)}
    for way, hashing in ways.items():
        with hashing as environ:
            ours, theirs = _three(bench, folder, environ, rounds)
        yield beside(f"D3-three-nodes-{way}", ours, "three rsync -a at once", theirs, 1.0, **facts)


def _three(bench: Bench, folder: str, environ: Mapping[str, str], rounds: int) -> tuple[float, float]:
    """Return what ours and what three rsync at once take for a folder of all nodes."""

    def parallel() -> float:
        began = perf_counter()
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(lambda node: bench.rsync(folder, node), NODES))
        return perf_counter() - began

    found = Rounds()
    variants: dict[str, Callable[[], float]] = {
        "empty": lambda: bench.playbook("empty", [], "all"),
        "ours": lambda: _emptied(bench, lambda: bench.ours(folder, "all", **environ)),
        "rsync": lambda: _emptied(bench, parallel),
    }
    found.run(variants, rounds)
    return found.median("ours") - found.median("empty"), found.median("rsync")


def memory(bench: Bench, folder: str) -> Iterator[dict[str, object]]:
    """Yield D5: the most that one process of the controller holds while it fetches a large file."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        empty = pool.submit(_peak_bytes, bench, "").result()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        held = pool.submit(_peak_bytes, bench, folder).result()
    facts = {"target": MEMORY_BYTES, "holds": held <= MEMORY_BYTES, "bytes": LARGE_BYTES}
    yield line("D5-memory", held, "bytes of the largest process", "empty playbook", empty, **facts)


def _peak_bytes(bench: Bench, folder: str) -> int:
    """Return what the largest process of a call held, "" for an empty playbook; only for a process of its own."""
    _emptied(bench, lambda: bench.ours(folder) if folder else bench.playbook("empty", []))
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def beside(figure: str, ours: float, peer: str, theirs: float, target: float, **facts: object) -> dict[str, object]:
    """Return a figure whose ratio to the peer may be target at most."""
    return line(figure, ours, "s", peer, theirs, target=target, holds=ours <= target * theirs, **facts)


def figures(project: Project, rounds: int) -> Iterator[dict[str, object]]:
    """Yield all figures."""
    bench = Bench(project)
    posix_collection()
    try:
        yield from small_files(bench, rounds)
        yield from three_nodes(bench, rounds)
        yield from large_file(bench, rounds)
    finally:
        for node in NODES:
            rig.on_node(node, "rm", "-rf", THERE)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    os.umask(0o022)
    with rig.lab(), rig.project() as project:
        return rig.show(figures(project, 7 if "--full" in sys.argv[1:] else 3))


if __name__ == "__main__":
    raise SystemExit(main())

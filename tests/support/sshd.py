# SPDX-License-Identifier: MIT
"""A node for one test: an sshd of its own at a loopback address, and faults on the packets that go there.

It is a container of the lab's node image on the network of this machine, with keys of its own and nothing but sshd.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

IMAGE = "testcell/node:1"
DEADLINE_S = 20.0
CONFIG = """
Port {port}
ListenAddress {host}
HostKey /node/host_key
AuthorizedKeysFile /node/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups {max_startups}
"""


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def make_key(path):
    """Write a key pair without a passphrase at path and path.pub."""
    path.unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(words, check=True, timeout=30)
    return path


class Sshd:
    """One sshd. folder: where its keys lie, and those of whoever may log in."""

    def __init__(self, folder: Path, host: str = "127.0.0.21", max_startups: str = "100") -> None:
        self.folder, self.host, self.port = folder, host, free_port(host)
        self.key, self.known_hosts = folder / "id", folder / "known_hosts"
        self._name = f"testcell-test-sshd-{uuid.uuid4().hex[:12]}"
        self._rules: list[list[str]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.change_host_key()
        self.know(self.host, self.port)
        shutil.copy(f"{make_key(self.key)}.pub", folder / "authorized_keys")
        (folder / "config").write_text(CONFIG.format(port=self.port, host=host, max_startups=max_startups))

    def change_host_key(self) -> None:
        make_key(self.folder / "host_key")

    def know(self, host: str, port: int) -> None:
        """Let ssh know the host key at one more address, such as that of a wire to it."""
        public = (self.folder / "host_key.pub").read_text()
        with self.known_hosts.open("a") as stream:
            stream.write(f"[{host}]:{port} {public}")

    def revoke(self) -> None:
        (self.folder / "authorized_keys").write_text("")

    def start(self) -> None:
        shell = "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f /node/config"
        words = ["run", "--detach", "--init", "--network=host", "--cap-add=NET_ADMIN"]
        self._docker(
            *words, f"--name={self._name}", f"--volume={self.folder}:/node", "--entrypoint=sh", IMAGE, "-c", shell
        )
        self._await()

    def _await(self) -> None:
        end = time.monotonic() + DEADLINE_S
        while not self.answers():
            assert time.monotonic() < end, f"sshd did not come up: {self._docker('logs', self._name)}"
            time.sleep(0.02)

    def restart(self) -> None:
        """End sshd with all sessions and start it again; the files of the node stay."""
        self._docker("restart", "--time=0", self._name)
        self._await()

    def answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as probe:
                return probe.recv(4).startswith(b"SSH")
        except OSError:
            return False

    def stop(self) -> None:
        """End sshd and all sessions, and let packets through again."""
        self.mend()
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", self._name], capture_output=True, check=False, timeout=60
        )

    def shell(self, command: str) -> str:
        """Run a shell line on the node, past sshd."""
        return self._docker("exec", self._name, "sh", "-c", command)

    def kill_sessions(self) -> None:
        """Kill the processes of sshd that serve somebody; the one that listens stays."""
        self.shell("pkill -9 -f '^sshd: root' || true")

    def spoil(self, *directions: str, match: tuple[str, ...] = (), target: str = "DROP") -> None:
        """Drop the packets that match: `requests` on their way to the node, `replies` from it."""
        for direction in directions:
            ends = {"requests": ["-d", self.host], "replies": ["-s", self.host]}[direction]
            port = {"requests": "--dport", "replies": "--sport"}[direction]
            rule = ["INPUT", "-i", "lo", *ends, "-p", "tcp", port, str(self.port), *match]
            rule += ["-m", "comment", "--comment", self._name, "-j", target]
            self._docker("exec", self._name, "iptables", "-I", *rule)
            self._rules.append(rule)

    def mend(self) -> None:
        """Let every packet through again."""
        while self._rules:
            self._docker("exec", self._name, "iptables", "-D", *self._rules.pop())

    def _docker(self, *words: str) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

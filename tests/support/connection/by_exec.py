# SPDX-License-Identifier: MIT
"""A connection to a container by `docker exec`, as simple as Ansible allows."""

from __future__ import annotations

import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: by_exec
short_description: Run commands in a container
description: [Run commands in a container.]
author: Testcell contributors
options:
  remote_addr:
    description: The container's name.
    type: str
    vars: [{name: ansible_host}]
"""


class Connection(ConnectionBase):
    """One command after another, each whole."""

    transport = "by_exec"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        words = ["docker", "exec", "-i", self.get_option("remote_addr"), "/bin/sh", "-c", cmd]
        done = subprocess.run(words, input=in_data or b"", capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        raise AssertionError(f"no file is copied by itself: {in_path}")

    def fetch_file(self, in_path, out_path):
        raise AssertionError(f"no file is fetched by itself: {in_path}")

    def close(self):
        self._connected = False

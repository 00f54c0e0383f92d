# SPDX-License-Identifier: MIT
"""The socket is found, and a call that another thread has begun can be broken off."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import dial
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.mark.parametrize(
    ("environ", "existing", "path"),
    [
        pytest.param({}, ["/var/run/docker.sock"], "/var/run/docker.sock", id="default"),
        pytest.param({"DOCKER_HOST": "unix:///x/y.sock"}, [], "/x/y.sock", id="docker-host"),
        pytest.param({"XDG_RUNTIME_DIR": "/run/me"}, ["/run/me/docker.sock"], "/run/me/docker.sock", id="rootless"),
        pytest.param({"XDG_RUNTIME_DIR": "/run/me"}, [], "/var/run/docker.sock", id="none"),
    ],
)
def test_the_socket_is_the_one_that_is_named_or_there(environ, existing, path):
    assert dial.socket_path(environ, existing.__contains__) == path


def test_another_kind_of_docker_host_is_refused():
    with pytest.raises(CellError) as caught:
        dial.socket_path({"DOCKER_HOST": "tcp://127.0.0.1:2375"})
    assert "tcp://127.0.0.1:2375" in caught.value.message


@pytest.fixture
def pair():
    """Two connected sockets; the second one stands for the engine."""
    ours, engines = socket.socketpair()
    ours.settimeout(5)
    with ours, engines:
        yield ours, engines


@pytest.mark.parametrize("first", ["take", "break_off"])
def test_a_call_that_is_broken_off_before_or_after_it_began_has_ended(pair, first):
    hold = dial.Hold()
    work = {"take": lambda: hold.take(pair[0]), "break_off": hold.break_off}
    work.pop(first)()
    work.popitem()[1]()
    assert pair[0].recv(1) == b""


def test_a_call_that_is_over_is_not_broken_off_for_the_next_owner_of_its_descriptor(pair):
    hold = dial.Hold()
    hold.take(pair[0])
    hold.take(None)
    hold.break_off()
    pair[1].sendall(b"x")
    assert pair[0].recv(1) == b"x"

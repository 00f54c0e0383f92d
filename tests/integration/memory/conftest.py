# SPDX-License-Identifier: MIT
"""The databases that results may be kept in: a file, and a server of the tests' own."""

from __future__ import annotations

import itertools

import postgres
import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def server():
    """The URL of a PostgreSQL server."""
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def numbers():
    return itertools.count(1)


@pytest.fixture
def new_server(server, numbers):
    """The URL of an empty database on that server."""
    name = f"cells_{next(numbers)}"
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database of each kind."""
    return f"sqlite:///{tmp_path}/testcell.db" if request.param == "sqlite" else request.getfixturevalue("new_server")

# SPDX-License-Identifier: MIT
"""The list beside a folder that was fetched without a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import alone, partial
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.bring import Brought
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import Policy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.transfer import Fetched, Wanted

FILES = [{"path": 'a "b"', "size": 1}, {"path": "\u00e4\udcff\n", "size": 2}]


@pytest.mark.parametrize("files", [[], FILES[:1], FILES], ids=["none", "one", "several"])
def test_the_list_is_json_with_a_line_for_each_file(files):
    content = {"node": "n1", "bytes": 3}
    written = alone._document(content, [json.dumps(one, ensure_ascii=False) for one in files])
    assert json.loads(written) == {**content, "files": files}
    lines = [line.strip().rstrip(",") for line in written.decode().splitlines()]
    assert [json.loads(line) for line in lines if line.startswith('{"path"')] == files


WRITTEN = {"schema_version": 1, "node": "n1", "refused": [], "missing": [], "transfer": {"seconds": 1}, "files": FILES}


@pytest.mark.parametrize(
    ("content", "files", "says"),
    [
        ({"transfer": {"seconds": 2}}, 2, True),
        ({"refused": [{"path": "l", "kind": "k", "why": "w"}]}, 2, False),
        ({"missing": ["*.log"]}, 2, False),
        ({"node": "n2"}, 2, False),
        ({}, 1, False),
    ],
    ids=["only-slower", "refused", "missing", "other-node", "fewer-files"],
)
def test_a_list_that_no_longer_says_what_is_so_is_written_anew(content, files, says):
    now = {key: value for key, value in WRITTEN.items() if key != "files"} | content
    assert alone._says(WRITTEN, now, files) is says
    assert alone._says({}, now, files) is False


class Brings:
    """A way that brings nothing, and keeps what is there or not."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, client, policy):
        return self

    def bring(self, transfers):
        for transfer in transfers:
            transfer.close()
        if not self.kept:
            partial.remove(transfers[0].wanted.destination)
        failure = ArtifactError("transfer_failed", "cut", ())
        return Brought(fetched=[Fetched(Path("unused"), (), "", partial=True)], failures=[failure])


@pytest.mark.parametrize("kept", [True, False])
def test_the_list_of_a_part_goes_with_the_part(tmp_path, monkeypatch, kept):
    (tmp_path / "home.partial").mkdir()
    listed = tmp_path / "home.partial.manifest.json"
    listed.write_text("{}")
    monkeypatch.setattr(alone, "Bringing", Brings(kept))
    alone.fetch(None, Wanted(tmp_path / "home", {"base": "/x"}, ("**",), 1, 1), Policy(), "n1")
    assert listed.exists() is kept


@pytest.mark.parametrize("there", [True, False])
def test_what_the_node_has_no_more_stays_with_its_proof(tmp_path, there):
    wanted = Wanted(tmp_path / "home", {"base": "/x"}, ("**",), 1, 1)
    path = alone.manifest_of(wanted.destination)
    if there:
        path.write_text(json.dumps(WRITTEN))
    none = Fetched(wanted.destination, (), "", missing=("**",), changed=True)
    found = alone._result(wanted, none, Brought(fetched=[none], failures=[]), "n1")
    assert (found["manifest"], found["changed"], found["missing"]) == (str(path), not there, ["**"])
    assert len(json.loads(path.read_text())["files"]) == (len(FILES) if there else 0)


def fetched(tmp_path, node):
    """Return what a fetch to `home` fails with; the way brings nothing."""
    with pytest.raises(ArtifactError) as caught:
        alone.fetch(None, Wanted(tmp_path / "home", {"base": "/x"}, ("**",), 1, 1), Policy(), node)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".fetching")) == []
    return caught.value


def test_a_place_with_files_of_another_node_is_refused(tmp_path):
    alone.manifest_of(tmp_path / "home").write_text(json.dumps(WRITTEN))
    found = fetched(tmp_path, "n2")
    assert found.kind == "config_invalid" and "files of 'n1', and 'n2' is asked for" in str(found)


def test_a_place_takes_one_fetch_at_a_time(tmp_path):
    with alone._only_one(tmp_path / "home"):
        with (
            pytest.raises(ArtifactError, match=r"files come to .* at this moment") as caught,
            alone._only_one(tmp_path / "home"),
        ):
            raise AssertionError("two have it")
        assert caught.value.kind == "lock_held"
    with alone._only_one(tmp_path / "home"):
        assert [path.name for path in tmp_path.iterdir()] == [".home.fetching"]
    assert list(tmp_path.iterdir()) == []

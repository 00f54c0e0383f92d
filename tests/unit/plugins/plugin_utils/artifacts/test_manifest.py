# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import Any

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import manifest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

SHA = "ab" * 32
OF_OLD = {"path": "a", "size": 1, "mode": 420, "sha256": SHA, "mtime": 1.5, "mtime_ns": 1_500_000_000, "ctime_ns": 7}
OF_NOW = {"path": "a", "size": 1, "mode": 420, "mtime_ns": 1_500_000_000, "ctime_ns": 7, "digest": f"sha256:{SHA}"}


@pytest.mark.parametrize("entry", [OF_OLD, OF_NOW], ids=["first-form", "second-form"])
def test_both_forms_of_an_entry_are_written_in_the_second(entry: dict[str, Any]) -> None:
    note = {"files": [entry], "missing": [{"what": "b", "why": "no file of this name"}], "refused": []}
    document = manifest.of_case("20260102_030405", CaseRef("s", "c", 2), {"n1": note})
    assert document == {
        "schema_version": 2,
        "run_id": "20260102_030405",
        "scenario": "s",
        "case": "c",
        "attempt": 2,
        "nodes": {
            "n1": {
                "files": [
                    {
                        "path": "a",
                        "size": 1,
                        "mode": 420,
                        "mtime": 1.5,
                        "mtime_ns": 1_500_000_000,
                        "digest": f"sha256:{SHA}",
                    }
                ],
                "missing": [{"what": "b", "why": "no file of this name"}],
                "refused": [],
                "partial": False,
                "integrity": "full",
                "transfer": None,
            }
        },
    }


def test_what_a_collection_says_of_itself_is_kept() -> None:
    said = {"partial": True, "integrity": "size", "transfer": {"bytes": 1}}
    note = {"files": [{**OF_NOW, "digest": ""}], "missing": [], "refused": [], **said}
    document = manifest.of_case("20260102_030405", CaseRef("s", "", 1), {"n1": note})
    assert {key: document["nodes"]["n1"][key] for key in said} == said
    found = manifest.read_case(json.dumps(document).encode())
    assert found.files == {"a": manifest.Claim(1)} and found.unproved == 1 and found.partial == ("n1",)


@pytest.mark.parametrize(
    ("digest", "read"),
    [
        ("sha256:" + SHA, {"sha256": SHA}),
        ("blake2b:" + "ab" * 64, {"blake2b": "ab" * 64}),
        ("blake3:" + SHA, {"blake3": SHA}),
        ("xxh3_128:" + "ab" * 16, {"xxh3_128": "ab" * 16}),
        ("", {}),
        ("md5:" + "ab" * 16, None),
        ("sha1:" + "ab" * 20, None),
        ("sha256:" + SHA[:-1], None),
        ("sha256:" + SHA.upper(), None),
        (SHA, None),
    ],
)
def test_b87_only_digests_that_prove_something_are_read(digest: str, read: dict[str, str] | None) -> None:
    content = _of_run(files=[{"path": "a", "size": 1, "digest": digest}])
    if read is None:
        with pytest.raises(manifest.ManifestError, match="has the digest"):
            manifest.read_run(content)
    else:
        assert manifest.read_run(content).files["a"].digests == read


@pytest.mark.parametrize("path", odd.UNMADE[:2])
def test_a_path_that_is_only_odd_can_be_listed(path: str) -> None:
    assert list(manifest.read_run(_of_run(files=[{**ENTRY, "path": path}])).files) == [path]


def _of_run(**changes: Any) -> bytes:
    document = {"schema_version": 2, "run_id": "20260102_030405", "cases": [], "files": [], "growing": []}
    return json.dumps({**document, **changes}).encode()


ENTRY = {"path": "a", "size": 1, "digest": f"sha256:{SHA}"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is no JSON", id="empty"),
        pytest.param(b'{"a": ' * 100_000, "is no JSON", id="deep"),
        pytest.param(b"\xff", "is no JSON", id="not-utf-8"),
        pytest.param(b"[]", "is no JSON object", id="list"),
        pytest.param(_of_run(schema_version=3), "schema_version is 3; known: 2", id="of-tomorrow"),
        pytest.param(_of_run(run_id=7), "run_id is missing", id="no-run-id"),
        pytest.param(_of_run(files={}), "files is no list", id="files-no-list"),
        pytest.param(_of_run(files=[[]]), "no plain relative path", id="entry-no-object"),
        pytest.param(_of_run(files=[{**ENTRY, "size": -1}]), "has the size -1", id="negative-size"),
        pytest.param(_of_run(files=[{**ENTRY, "size": True}]), "has the size True", id="size-no-number"),
        pytest.param(_of_run(files=[{"path": "a", "size": 1}]), "has no digest", id="no-digest"),
        pytest.param(_of_run(files=[ENTRY, ENTRY]), "is named twice", id="twice"),
        pytest.param(_of_run(files=[ENTRY], cases=[ENTRY]), "is named twice", id="case-and-file"),
        *(
            pytest.param(_of_run(files=[{**ENTRY, "path": path}]), "no plain relative path", id=f"B80-{path!a}")
            for path in odd.UNSAFE
        ),
    ],
)
def test_b87_what_is_no_manifest_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(manifest.ManifestError, match=said):
        manifest.read_run(content)

# SPDX-License-Identifier: MIT
"""`results import`, `export` and `db` as a person uses them."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import remembered
import sealed
from small_disk import small_disk

RUN = "20260102_030405"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("TESTCELL_DATABASE_URL", raising=False)


def rows(cli, *more):
    return list(csv.DictReader(io.StringIO(cli("results", "export", *more).out)))


def test_runs_of_another_folder_are_imported_once(project: Path, cli, tmp_path: Path) -> None:
    remembered.write(tmp_path / "old", RUN, remembered.attempt(), remembered.attempt("second", verdict="fail"))
    answer = cli("results", "import", str(tmp_path / "old"))
    assert answer.code == 0 and f"1 run(s) taken into {project}/results/testcell.db; 0 were there already" in answer.out
    found = cli("results", "import", str(tmp_path / "old" / RUN), "--format", "json").json
    assert found == {"added": 0, "unchanged": 1, "gone": 0, "problems": []}
    assert [row["error_kind"] for row in rows(cli, "--what", "failures")] == ["engine_dead"]


def test_b89_a_broken_file_is_named_and_ends_with_3(cli, tmp_path: Path) -> None:
    bad = remembered.write(tmp_path / "old", RUN)
    (bad / "summary.json").write_text('{\n"run_id": NaN}')
    remembered.write(tmp_path / "old", "20260102_030406")
    answer = cli("results", "import", str(tmp_path / "old"))
    assert answer.code == 3
    assert f"result_invalid: {bad}/summary.json:2: run_id: NaN is not a number that JSON has" in answer.out
    assert "2 run(s) taken" in answer.out


def test_what_is_not_there_is_refused(cli, tmp_path: Path) -> None:
    answer = cli("results", "import", str(tmp_path / "none"))
    assert answer.code == 2 and "is no folder and no archive" in answer.err


def test_an_export_goes_into_a_new_file_only(project: Path, cli, tmp_path: Path) -> None:
    remembered.write(project / "results", RUN)
    target = tmp_path / "attempts.csv"
    assert cli("results", "export", "--format", "csv", "--typed", "--output", str(target)).code == 0
    assert target.read_text().splitlines()[1].startswith(f'"{RUN}","ctl","first",""')
    assert cli("results", "export", "--output", str(target)).code == 2


def test_runs_that_a_new_database_is_made_of_count_as_imported(project: Path, cli) -> None:
    for number in range(3):
        remembered.write(project / "results", f"2026010{number + 1}_000000")
    bad = remembered.write(project / "results", RUN)
    (bad / "summary.json").write_text("{")
    answer = cli("results", "import")
    assert answer.code == 3 and f"{bad}/summary.json:1" in answer.out
    assert "4 run(s) taken into" in answer.out and "; 0 were there already" in answer.out
    assert "0 run(s) taken into" in cli("results", "import").out


def test_f57_an_export_that_finds_no_room_is_no_success(project: Path, tmp_path: Path) -> None:
    remembered.write(project / "results", RUN)
    words = [sys.executable, "-m", "testcell", "results", "export", "--results-dir", project / "results"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 5 and "No space left on device: the answer" in done.stderr
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "ballast").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
        done = subprocess.run([*words, "--output", disk / "a.csv"], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 2 and f"{disk}/a.csv: cannot be written: No space left" in done.stderr
        assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_the_database_is_described_and_damage_is_mended(project: Path, cli) -> None:
    remembered.write(project / "results", RUN)
    found = cli("results", "db", "--format", "json").json
    file = project / "results" / "testcell.db"
    assert (found["database"], found["rows"]["runs"], found["damage"]) == (str(file), 1, None)
    assert "every page is whole" in cli("results", "db", "--check").out
    remembered.spoil(file, "metrics")
    answer = cli("results", "db", "--check")
    assert answer.code == 5 and "was damaged" in answer.out
    assert cli("results", "db", "--check").code == 0 and len(rows(cli)) == 1
    file.write_bytes(b"no database at all")
    answer = cli("results", "export")
    assert answer.code == 0 and f"warning: db_corrupt: {file} is no SQLite database" in answer.err and RUN in answer.out


def test_what_the_database_knows_stays_when_runs_are_removed(project: Path, cli) -> None:
    for number in range(3):
        remembered.write(project / "results", f"2026010{number + 1}_000000")
    assert cli("results", "prune", "--keep", "1", "--dry-run").code == 0
    assert not (project / "results" / "testcell.db").exists()
    answer = cli("results", "prune", "--keep", "1")
    assert "2 run(s) removed" in answer.out
    assert len(rows(cli)) == 3
    assert cli("results", "db", "--format", "json").json["rows"]["runs"] == 3


def test_a_run_that_is_archived_and_removed_is_taken_up_before(project: Path, cli) -> None:
    folder = sealed.write(project / "results")
    assert cli("results", "archive", folder.name, "--remove").code == 0
    assert not folder.exists() and cli("results", "db", "--format", "json").json["rows"]["runs"] == 1


def test_runs_can_be_removed_when_the_database_cannot_be_used(project: Path, cli) -> None:
    for number in range(2):
        remembered.write(project / "results", f"2026010{number + 1}_000000")
    (project / "results" / "testcell.db").mkdir()
    answer = cli("results", "prune", "--keep", "1")
    assert answer.code == 0 and "1 run(s) removed" in answer.out and "warning: db_readonly" in answer.err


ORDER = [("", "", "results/testcell.db"), ("file.db", "", "file.db"), ("file.db", "variable.db", "variable.db")]


@pytest.mark.parametrize(("in_file", "in_variable", "used"), ORDER, ids=["built-in", "configuration", "variable"])
def test_the_variable_beats_the_configuration(project: Path, cli, monkeypatch, in_file, in_variable, used) -> None:
    if in_file:
        (project / "config" / "defaults.yaml").write_text(
            f"results: {{database_url: 'sqlite:///{project}/{in_file}'}}\n"
        )
    if in_variable:
        monkeypatch.setenv("TESTCELL_DATABASE_URL", f"sqlite:///{project}/{in_variable}")
    assert cli("results", "db", "--format", "json").json["database"] == str(project / used)


def test_a_password_is_never_shown(project: Path, cli, monkeypatch) -> None:
    url = "postgresql://anna:geheim@127.0.0.1:1/cells"
    monkeypatch.setenv("TESTCELL_DATABASE_URL", url)
    answer = cli("results", "db")
    assert answer.code == 5 and "node_unreachable: postgresql://127.0.0.1:1/cells" in answer.err
    assert "geheim" not in answer.out + answer.err
    (project / "config" / "defaults.yaml").write_text(f"results: {{database_url: '{url}'}}\n")
    for words in (("config", "show", "one", "--origin"), ("validate",), ("run", "--all", "--dry-run")):
        shown = cli(*words)
        assert "geheim" not in shown.out + shown.err, words


def test_a_run_that_goes_on_has_the_url_for_its_owner_alone_and_loses_it_at_the_end(build, tmp_path: Path) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import folder, plan

    url = "postgresql://anna:geheim@h/cells"
    decided = build.plan(tmp_path, build.case(), database_url=url)
    decided.run_dir.mkdir()
    plan.save(decided)
    assert "geheim" not in (decided.run_dir / plan.NAME).read_text() + repr(decided)
    assert plan.load(decided.run_dir).database_url == folder.database_url(decided.run_dir) == url
    assert os.stat(decided.run_dir / folder.DATABASE).st_mode & 0o777 == 0o600
    plan.forget_values(decided.run_dir)
    assert plan.load(decided.run_dir).database_url == ""
    assert not [path for path in decided.run_dir.rglob("*") if path.is_file() and "geheim" in path.read_text()]


def test_an_archive_is_taken_in_and_one_that_is_cut_is_refused(project: Path, cli, tmp_path: Path) -> None:
    sealed.write(tmp_path / "elsewhere", RUN)
    archive = tmp_path / "run.tar.gz"
    assert cli("results", "archive", RUN, "--to", str(archive), "--results-dir", str(tmp_path / "elsewhere")).code == 0
    assert cli("results", "import", str(archive), "--format", "json").json["added"] == 1
    assert [row["scenario"] for row in rows(cli)] == ["first", "second"]
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-200])
    answer = cli("results", "import", str(cut))
    assert answer.code == 5 and "is no whole archive of a run" in answer.err

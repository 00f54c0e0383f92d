# SPDX-License-Identifier: MIT
"""A run whose services and test write their secrets: no file of its results holds one, whatever failed."""

from __future__ import annotations

import base64
import json

import pytest
from cellruns import ROOT, run_site

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
OF_THE_CALLER, OF_THE_SERVICE, OF_THE_FILE = "caller-gave-7f3a9c", "service-has-51be2d", "file-says-0c44ee"
SHAPED = "hf_abcdefghijklmnopqrstuvwx"
SECRETS = (OF_THE_CALLER, OF_THE_SERVICE, OF_THE_FILE, SHAPED, base64.b64encode(OF_THE_CALLER.encode()).decode())
TALKER = f"""
  talker:
    image: testcell/engine-sim:1
    entrypoint: [sh, -c]
    command:
      - |
        echo plain words stay; echo caller $$CALLER_TOKEN; echo mine $$OWN_KEY; echo file $$FILE_TOKEN; echo {SHAPED}
        echo $$CALLER_TOKEN | tr -d '\\n' | base64
        sleep 4; echo last words of $$OWN_KEY; exit 3
    environment:
      CALLER_TOKEN: ${{CALLER_TOKEN}}
      OWN_KEY: {OF_THE_SERVICE}
      FILE_TOKEN: ${{FILE_TOKEN}}
"""
SCRIPT = f"""
echo plain words stay; echo "token $CALLER_TOKEN"; echo {OF_THE_FILE}; printf %s {SHAPED[:9]}; sleep 0.3; echo {SHAPED[9:]}
exec sleep 30
"""


def test_no_file_of_the_results_holds_a_secret(results, project):
    folder = project(script=SCRIPT, collection_mode="comprehensive") / "scenarios" / "probe"
    meta, compose = folder / "metadata.yml", folder / "docker-compose.yml"
    meta.write_text(
        meta.read_text()
        .replace("      role: router\n", "      role: router\n    - name: talker\n      node: auto\n")
        .replace("  timeout: 60\n", "  timeout: 60\n  collection_mode: comprehensive\n")
    )
    compose.write_text(compose.read_text() + TALKER)
    (folder / ".env").write_text(f"FILE_TOKEN={OF_THE_FILE}\n")
    run = run_site(
        LOCAL,
        results,
        testcell_project_dir=folder.parents[1],
        scenario="probe",
        testcell_environment=f"CALLER_TOKEN={OF_THE_CALLER}",
    )
    failure = run.case()["failure"]
    assert (failure["error_kind"], failure["service"]) == ("service_died", "talker"), run.screen
    assert "last words of ***" in failure["evidence"]
    assert [secret for secret in SECRETS if secret in run.screen] == []
    found = [path for path in run.folder.rglob("*") if path.is_file()]
    assert len(found) > 20
    assert [path for path in found for secret in SECRETS if secret.encode() in path.read_bytes()] == []
    for name in ("test.log", "nodes/local/services/talker.log"):
        assert "plain words stay\n" in run.file(name)
        assert "***\n" in run.file(name)
    assert json.loads(run.file("nodes/local/evidence/hidden.json"))["services/talker.log"] >= 6
    system = {path.name for path in (run.folder / run.case()["path"] / "nodes/local/system").iterdir()}
    assert {"samples.csv", "meminfo.txt", "sysctl.txt", "docker_system_df.json"} <= system

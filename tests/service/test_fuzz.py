"""Whatever the OpenAPI document allows, and what it does not: no fault of the service, and no undocumented answer."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
@pytest.mark.sample
def test_whatever_is_asked_is_answered_as_documented(served, tmp_path):
    program = Path(sysconfig.get_path("scripts"), "schemathesis")
    command = [program, "run", f"{served.url}/openapi.json", "--checks", CHECKS, "--max-examples", "10", "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fault of biranet" not in served.log.read_text()

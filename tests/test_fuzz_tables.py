"""Whatever is done to a table, a card or a state, it is read within its bounds or refused; and a kill loses nothing."""

import json
import subprocess
import sys

import pytest

import fuzz_tables
import kills

pytestmark = pytest.mark.slow


def test_many_damaged_tables_neither_crash_nor_hang_nor_pass(tmp_path):
    out = tmp_path / "found.json"
    subprocess.run([sys.executable, fuzz_tables.__file__, "--cases", "6000", "--seed", "7", "--out", out], check=True)
    found = json.loads(out.read_text())
    assert found["finds"] == []
    assert found["kinds"].keys() == {kind.__name__ for kind in (*fuzz_tables.KINDS, *fuzz_tables.SLOW_KINDS)}
    assert all(counts["read"] for counts in found["kinds"].values())


def test_a_killed_command_can_be_run_again(tmp_path):
    out = tmp_path / "found.json"
    subprocess.run([sys.executable, kills.__file__, "--kills", "1", "--seed", "7", "--out", out], check=True)
    found = json.loads(out.read_text())
    assert found["finds"] == []
    assert found["kills"] == len(kills.COMMANDS)

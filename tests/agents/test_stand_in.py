"""The program that ``init`` writes keeps the contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.contract import parse_metrics, parse_result

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "jobs" / "templates" / "program.py"


@pytest.mark.parametrize("is_asked_to_end", [False, True])
def test_its_files_are_what_the_orchestrator_reads(tmp_path, is_asked_to_end):
    task = {
        "trial": 3,
        "hyperparameters": {"learning_rate": 0.01, "width": 16},
        "budget": {"epochs": 3},
    }
    (tmp_path / "hyperparameters.json").write_text(json.dumps(task))
    if is_asked_to_end:
        (tmp_path / "STOP").touch()
    subprocess.run([sys.executable, PROGRAM, tmp_path / "hyperparameters.json"], check=True)
    result = parse_result((tmp_path / "results.json").read_bytes())
    lines, _ = parse_metrics((tmp_path / "metrics.jsonl").read_bytes())
    assert result.status == ("pruned" if is_asked_to_end else "completed")
    assert len(lines) == (1 if is_asked_to_end else 3)
    assert all(0 <= line.time < 3600 for line in lines)  # since the start, not since 1970


def test_the_program_to_begin_with_runs_by_hand_beside_its_file(tmp_path):
    task = {"trial": 3, "hyperparameters": {"x": 0.5, "y": 0}, "budget": {"epochs": 2}}
    (tmp_path / "hyperparameters.json").write_text(json.dumps(task))
    program = ROOT / "templates" / "program.py"
    subprocess.run([sys.executable, program, "hyperparameters.json"], cwd=tmp_path, check=True)
    assert parse_result((tmp_path / "results.json").read_bytes()).trial == 3

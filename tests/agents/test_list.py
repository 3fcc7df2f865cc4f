"""`list`: each run by its own metric, and those that are not like the others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_steering_verbs import CONFIG, progress

from agents.commands.listing import list_json, list_text
from agents.config import load
from agents.ledger import Ledger
from agents.progress import write_heartbeat
from agents.space import SearchSpace
from agents.workspace import create

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def base(tmp_path):
    """Four runs: two metrics, one of another version, one with a broken ledger."""
    from datetime import UTC, datetime, timedelta

    (tmp_path / "config.yaml").write_text(CONFIG)
    found = tmp_path / "all runs"
    for number, metric in enumerate(("accuracy", "loss", "accuracy", "accuracy")):
        loaded = load(tmp_path / "config.yaml", [f"directories.local_base={found}"])
        now = datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(hours=number)
        workspace = create(loaded.settings.directories, "fashion", loaded.resolved, now)
        space = SearchSpace.build(loaded.settings.search_space, [])
        url = f"sqlite:///{workspace.study_file}"
        Ledger.open(url, workspace.name, "maximize", space).close()
        write_heartbeat(workspace.progress_file, progress(metric=metric, best_value=0.5 + number))
    card = found / "20261124_140000_fashion" / "run.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "schema": 9}))
    (found / "20261124_150000_fashion" / "study.db").write_bytes(b"no database at all" * 100)
    return found


def test_each_run_stands_under_a_header_with_its_metric(base):
    header, first, second, *_ = list_text(base).splitlines()
    assert header.split() == ["STATE", "BEST", "METRIC", "TRIALS", "EXPERIMENT", "DIRECTORY"]
    assert first.split()[:5] == ["stopped", "0.5000", "accuracy", "6", "fashion"]
    assert second.split()[:5] == ["stopped", "1.5000", "loss", "6", "fashion"]
    assert header.index("METRIC") == first.index("accuracy") == second.index("loss")


def test_another_version_and_a_broken_ledger_are_told(base):
    lines = list_text(base).splitlines()
    assert lines[3].startswith("version 9")
    assert "2.5" not in lines[3]
    assert "another version (schema 9" in lines[4]
    assert lines[5].split()[:2] == ["broken", "3.5000"]
    assert "file is not a database" in lines[6]
    assert f"report '{base}/20261124_150000_fashion'" in lines[6]
    faults = [one["fault"] for one in json.loads(list_json(base))]
    assert faults[:2] == [None, None]
    assert all(faults[2:])


def test_a_ledger_that_is_gone_is_broken_and_one_on_a_server_is_not(base):
    first, second, *_ = sorted(base.iterdir())
    for run in (first, second):
        (run / "study.db").unlink()
        (run / "graph.db").touch()
    text = (second / "config.yaml").read_text()
    assert "storage: null" in text
    (second / "config.yaml").write_text(text.replace("storage: null", "storage: mysql://there"))
    faults = [one["fault"] for one in json.loads(list_json(base))]
    assert "study.db is gone" in faults[0]
    assert faults[1] is None


def test_it_imports_nothing_heavy():
    code = "import sys, agents.commands.listing; print('optuna' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

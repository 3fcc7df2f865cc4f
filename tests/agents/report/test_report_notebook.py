"""The notebook in examples/ opens a run."""

from pathlib import Path

import pytest
from report_runs import make_run

NOTEBOOK = Path(__file__).parents[3] / "examples" / "report.ipynb"


def executed(monkeypatch, run):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PILOTHOUSE_RUN", str(run))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3")
    client.execute(cwd=str(NOTEBOOK.parents[1]))
    return notebook


def texts(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield output.get("text") or "".join(output.get("data", {}).values())


def test_it_runs_from_top_to_bottom_and_shows_the_best_trial(tmp_path, monkeypatch):
    run = make_run(tmp_path / "a rün", 24)
    shown = "\n".join(texts(executed(monkeypatch, run)))
    assert "24 trials; stopped: 8 iterations" in shown
    assert "trial 20, accuracy_auc 0.8" in shown
    assert "'learning_rate': 0." in shown
    assert "<iframe srcdoc=" in shown


def test_it_is_kept_without_outputs():
    assert '"outputs": []' in NOTEBOOK.read_text()
    assert '"execution_count": null' in NOTEBOOK.read_text()
    assert '"output_type"' not in NOTEBOOK.read_text()

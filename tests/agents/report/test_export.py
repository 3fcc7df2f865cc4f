import csv
import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import CONFIG, make_run
from trials import trial

from agents.commands.export import cell, csv_text, export
from agents.errors import ConfigurationError
from agents.report.reading import read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("a rün of = mine"))


def table(content):
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_csv_has_a_row_for_each_trial_with_its_numbers_whole(run):
    rows, trials = table(export(run, "csv", None)), read_run(run).view.trials
    assert len(rows) == len(trials) == 24
    for row, known in zip(rows, trials, strict=True):
        assert int(row["trial"]) == known.number
        assert row["state"] == known.state.value
        assert row["value"] == ("" if known.value is None else str(known.value))
        assert float(row["parameters.learning_rate"]) == known.parameters["learning_rate"]
        assert row["parameters.nesterov"] == str(known.parameters["nesterov"]).lower()
        assert row["rationale"] == known.rationale
        assert row["job.started_at"] == (
            known.job.started_at.isoformat() if known.job.started_at else ""
        )


def test_columns_of_a_kind_stand_together(run):
    names = list(table(export(run, "csv", None))[0])
    kinds = [name.partition(".")[0] for name in names]
    assert names[:5] == ["trial", "iteration", "state", "origin", "value"]
    for kind in ("parameters", "metrics"):
        places = [i for i, found in enumerate(kinds) if found == kind]
        assert places == list(range(places[0], places[0] + len(places)))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]
)
def test_text_is_no_formula_to_a_spreadsheet_and_a_number_stays_one(text):
    named = trial(0, -0.5, parameters={text: text, "x": -3, "y": -1e-5}, rationale=text)
    (row,) = csv.DictReader(io.StringIO(csv_text([named]), newline=""))
    assert all(not value or value[0] not in "=+@\t\r\n" for value in (*row, *row.values()))
    assert row["rationale"].startswith("'")
    assert (row["value"], row["parameters.x"], row["parameters.y"]) == ("-0.5", "-3", "-1e-05")


@given(st.one_of(st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.integers())))
def test_no_text_whatever_begins_a_formula(value):
    assert not str(cell(value)).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_comes_back_as_one_cell(texts):
    trials = [trial(number, 0.5, rationale=text) for number, text in enumerate(texts)]
    rows = list(csv.DictReader(io.StringIO(csv_text(trials), newline="")))
    assert [row["rationale"] for row in rows] == [cell(text) for text in texts]


def test_json_holds_the_curves_and_what_the_summary_says(run):
    document = json.loads(export(run, "json", None))
    trials = read_run(run).view.trials
    assert [entry["trial"] for entry in document["trials"]] == [t.number for t in trials]
    assert document["trials"][3]["curve"]["accuracy"] == list(trials[3].curve.accuracy)
    assert document["best"]["trial"] == read_run(run).view.best.number
    assert document["metric"] == "accuracy_auc"


def test_parquet_reads_back_with_numbers_as_numbers(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "süch a name.parquet"
    assert export(run, "parquet", file) is None
    found = parquet.read_table(file).to_pydict()
    trials = read_run(run).view.trials
    assert found["trial"] == [t.number for t in trials]
    assert found["value"] == [t.value for t in trials]
    assert found["parameters.optimizer"] == [t.parameters["optimizer"] for t in trials]
    assert found["created_at"] == [t.created_at for t in trials]


def test_a_parameter_of_mixed_types_is_text_in_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    config = CONFIG.replace("choices: [adamw, sgd, lion]", "choices: [adamw, sgd, lion, 1, null]")
    run = make_run(tmp_path, 8, config=config)
    view = read_run(run).view
    mixed = [1, None, "adamw", True]
    from agents.commands.export import _column

    assert _column(mixed) == ["1", None, "adamw", "true"]
    assert _column([1, 2.5, None]) == [1.0, 2.5, None]
    assert _column([2**70, 1]) == [str(2**70), "1"]
    export(run, "parquet", tmp_path / "x.parquet")
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == len(view.trials)


def test_without_pyarrow_parquet_is_refused_with_a_way_on(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="pip install pyarrow"):
        export(run, "parquet", tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


def test_where_it_cannot_be_written_is_said(run, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot write"):
        export(run, "csv", tmp_path / "no such directory" / "x.csv")
    with pytest.raises(ConfigurationError, match="--output"):
        export(run, "parquet", None)


def test_the_verb_writes_to_the_screen_or_a_file(run, tmp_path):
    command = [sys.executable, "-m", "agents.run", "export", str(run)]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    assert shown == export(run, "csv", None)
    file = tmp_path / "trïals.csv"
    subprocess.run([*command, "--output", str(file)], check=True, capture_output=True)
    assert file.read_bytes() == shown
    refused = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)

"""metrics.jsonl through a disk that is full for a while; and files that are written whole or not."""

import os

import pytest

from training.contract import write_atomically
from training.metrics_file import MetricsFile


def test_what_cannot_be_written_is_written_with_the_next_line(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.add("1\n")
    path.rename(tmp_path / "kept")
    path.symlink_to("/dev/full")
    metrics.add("2\n")
    metrics.add("3\n")
    path.unlink()
    (tmp_path / "kept").rename(path)
    assert path.read_text() == "1\n"
    metrics.add("4\n")
    assert path.read_text() == "1\n2\n3\n4\n"
    said = capsys.readouterr().err
    assert said.count("warning:") == 1
    assert "metrics.jsonl: No space left on device: its lines are kept for later" in said


def test_processes_but_the_first_write_none(tmp_path):
    MetricsFile(None).add("1\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_whole_leaves_the_one_before_it_and_no_half(
    tmp_path, monkeypatch
):
    path = tmp_path / "results.json"
    write_atomically(path, b"before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]

"""What a poll brings of metrics files: every byte of every whole line once, whatever is in it."""

import secrets
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.job import JobRef
from scheduler.polling import WHOLE_FILE_BYTES
from scheduler.settings import LocalBatchSettings
from scheduler.transports.local import LocalTransport

LINE = st.binary(max_size=40).map(lambda line: line.translate(None, b"\n\0") + b"\n")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    base = tmp_path_factory.mktemp("news")
    made = Cluster(LocalTransport(), LocalBatch(LocalBatchSettings(slots=1)), str(base), "run")
    made.prepare()
    return made


def news(cluster, *files):
    """What one poll brings of `files` (content, offset), a job each."""
    refs = []
    for content, offset in files:
        name = f"job-{secrets.token_hex(8)}"
        Path(cluster.root, name).mkdir()
        Path(cluster.root, name, "metrics.jsonl").write_bytes(content)
        refs.append(JobRef(name, name, name, offset))
    seen = cluster.poll(refs)
    return [seen[ref.name].new_metrics for ref in refs]


@given(
    jobs=st.lists(
        st.tuples(st.lists(LINE, max_size=6), st.integers(0, 6), LINE), min_size=1, max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_the_whole_lines_behind_the_offset_come_and_nothing_else(cluster, jobs):
    files = [
        (b"".join(lines) + begun[:-1], sum(map(len, lines[:known]))) for lines, known, begun in jobs
    ]
    expected = [b"".join(lines[known:]) for lines, known, _ in jobs]
    assert news(cluster, *files) == expected


@pytest.mark.parametrize("more", [0, 1])
def test_files_around_the_limit_of_whole_reading_come_alike(cluster, more):
    line = b'{"step": 1}\n'
    content = line * (WHOLE_FILE_BYTES // len(line))
    content += b"x" * (WHOLE_FILE_BYTES - len(content) - 1 + more) + b"\n"
    offset = 5 * len(line)
    assert news(cluster, (content, offset)) == [content[offset:]]


def test_text_that_looks_like_our_frames_stays_content(cluster):
    content = b"\n@0123 result job 5\nhello\n%s %d \\n\n"
    assert news(cluster, (content, 0), (b"a\n", 0)) == [content, b"a\n"]

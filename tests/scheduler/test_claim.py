"""Two runs, or two copies of one, and a single directory on the cluster."""

import dataclasses

import pytest
from local_cluster import GOOD, make_cluster, request

from scheduler.claim import CARD, Claim
from scheduler.errors import SchedulerError

OURS = Claim("aaa", "one:/home/ann/results/run", begun=False)
THEIRS = Claim("bbb", "two:/home/bob/results/run", begun=False)
COPY = dataclasses.replace(OURS, place="two:/copy of/the run", begun=True)


def card(cluster):
    with open(f"{cluster.root}/{CARD}") as stream:
        return stream.read()


def test_the_first_run_has_the_directory_and_the_second_is_told_whose_it_is(tmp_path):
    cluster = make_cluster(tmp_path)
    assert cluster.prepare(claim=OURS) is None
    with pytest.raises(SchedulerError, match="belongs to another run, one:/home/ann/results/run"):
        make_cluster(tmp_path).prepare(claim=THEIRS)
    assert card(cluster) == "aaa one:/home/ann/results/run\n"
    assert make_cluster(tmp_path).prepare(claim=OURS) is None


def test_jobs_of_a_run_that_left_no_card_are_another_runs(tmp_path):
    cluster = make_cluster(tmp_path)
    cluster.prepare()
    cluster.submit([request("job", GOOD)])
    with pytest.raises(SchedulerError, match="belongs to another run:"):
        make_cluster(tmp_path).prepare(claim=OURS)


def test_a_run_of_an_older_version_that_knows_its_jobs_goes_on_with_them(tmp_path):
    cluster = make_cluster(tmp_path)
    cluster.prepare()
    cluster.submit([request("job", GOOD)])
    begun = dataclasses.replace(OURS, begun=True)
    assert make_cluster(tmp_path).prepare(claim=begun) is None
    assert card(cluster).startswith("aaa ")


def test_a_copy_that_goes_on_takes_over_and_the_original_submits_nothing_more(tmp_path):
    original, copy = make_cluster(tmp_path), make_cluster(tmp_path)
    original.prepare(claim=OURS)
    original.submit([request("first", GOOD)])
    assert copy.prepare(claim=COPY) == OURS.place
    with pytest.raises(SchedulerError, match=r"taken over \(aaa two:/copy of/the run\)"):
        original.submit([request("second", GOOD)])
    original.prepare()  # who only cancels claims nothing
    with pytest.raises(SchedulerError, match="taken over"):
        original.submit([request("second", GOOD)])
    assert not (tmp_path / "run" / "dir_second").exists()
    copy.submit([request("second", GOOD)])


def test_where_no_card_can_be_left_nobody_is_refused(tmp_path):
    cluster = make_cluster(tmp_path)
    cluster.prepare()
    with open(f"{cluster.root}/{CARD}", "w"):  # a full disk made it, and it says nothing
        pass
    assert cluster.prepare(claim=OURS) is None
    cluster.submit([request("job", GOOD)])


def test_a_place_may_have_any_name(tmp_path):
    odd = Claim("aaa", 'one:/it\'s $HOME "q"\\ \\new ü\n  x', begun=False)
    cluster = make_cluster(tmp_path)
    cluster.prepare(claim=odd)
    assert cluster.prepare(claim=odd) is None
    cluster.submit([request("job", GOOD)])
    assert card(cluster) == 'aaa one:/it\'s $HOME "q"\\ \\new ü x\n'

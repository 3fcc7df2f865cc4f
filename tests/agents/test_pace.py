from hypothesis import given
from hypothesis import strategies as st

from agents.pace import poll_interval

seconds = st.floats(0, 1e6)


@given(
    seconds,
    seconds,
    st.lists(seconds, max_size=5),
    st.lists(seconds, max_size=5),
    st.floats(0.01, 60),
    st.floats(60, 600),
)
def test_the_interval_stays_between_floor_and_ceiling(
    since, report, ages, durations, floor, ceiling
):
    assert floor <= poll_interval(since, report, ages, durations, floor, ceiling) <= ceiling


def test_polls_thin_out_while_nothing_happens():
    waits = [poll_interval(since, since, [], [], 1, 60) for since in (0, 20, 100, 10_000)]
    assert waits == [1, 2, 10, 60]


def test_half_the_time_to_an_expected_end_is_waited():
    assert poll_interval(0, 1e6, [100], [300, 300], 1, 600) == 100
    assert poll_interval(0, 1e6, [100, 290], [300, 300], 1, 600) == 5
    assert poll_interval(290, 1e6, [299.9], [300], 1, 600) == 1


def test_an_overdue_job_is_looked_for_often_at_first():
    assert poll_interval(400, 1e6, [301], [300], 1, 600) == 1
    assert poll_interval(400, 1e6, [400], [300], 1, 600) == 10


def test_epochs_keep_waits_short_and_do_not_make_polls_dense():
    """A scheduler is not asked at the floor for days because a network learns."""
    assert poll_interval(86_400, 20, [], [], 15, 600) == 60
    assert poll_interval(86_400, 86_400, [], [], 15, 600) == 600
    assert poll_interval(100, 1, [], [], 15, 600) == 15

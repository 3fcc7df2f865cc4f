from hypothesis import given
from hypothesis import strategies as st
from trials import failed, trial

from agents.config.model import LoopSettings
from agents.schedule import complete_iterations, iteration_of, next_iteration, quota, wanted


def batch(**fields):
    return LoopSettings(**{"max_iterations": 3, "jobs_per_iteration": 2, **fields})


def steady(**fields):
    return batch(schedule="steady", **fields)


def test_batch_fills_the_iteration_and_no_more():
    assert wanted([], 1, batch()) == 2
    assert wanted([trial(0, iteration=1)], 1, batch()) == 1
    assert wanted([trial(0, iteration=1), trial(1, iteration=1)], 1, batch()) == 0
    assert wanted([trial(0, 0.5, iteration=1), trial(1, 0.5, iteration=1)], 2, batch()) == 2


def test_steady_fills_the_free_slots_up_to_the_quota():
    done = [trial(i, 0.5) for i in range(4)]
    assert wanted(done, 1, steady()) == 2
    assert wanted([*done, trial(4)], 1, steady()) == 1
    assert wanted([*done, trial(4), trial(5)], 1, steady()) == 0
    assert wanted([*done, trial(4), trial(5, 0.1)], 1, steady()) == 0


def test_the_limit_on_trials_cuts_the_last_iteration():
    assert (
        wanted([trial(0, 0.5, iteration=1), trial(1, 0.5, iteration=1)], 2, batch(max_trials=3))
        == 1
    )
    assert quota(batch(max_trials=3)) == 3
    assert quota(batch(max_trials=30)) == 6


def test_an_iteration_is_complete_when_all_its_trials_have_ended():
    trials = [trial(0, 0.5, iteration=1), failed(1, iteration=1), trial(2, 0.5, iteration=2)]
    assert complete_iterations([*trials, trial(3, iteration=2)], batch()) == [1]
    assert complete_iterations([*trials, trial(3, 0.1, iteration=2)], batch()) == [1, 2]


def test_in_steady_schedule_a_group_that_is_not_full_is_complete_only_at_the_end():
    trials = [trial(i, 0.5, iteration=i // 2 + 1) for i in range(3)]
    assert complete_iterations(trials, steady()) == [1]
    assert complete_iterations(trials, steady(), stopping=True) == [1, 2]
    assert complete_iterations(trials, steady(max_trials=3)) == [1, 2]


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from(["batch", "steady"]), st.randoms())
def test_any_order_of_ends_leads_to_the_quota_with_iterations_without_a_hole(
    iterations, jobs, schedule, random
):
    loop = LoopSettings(max_iterations=iterations, jobs_per_iteration=jobs, schedule=schedule)
    trials, iteration = [], 1
    for _ in range(200):
        for _ in range(wanted(trials, iteration, loop)):
            own = iteration_of(trials, iteration, loop)
            trials.append(trial(len(trials), iteration=own))
        running = [t.number for t in trials if not t.state.is_finished]
        if not running:
            break
        ended = running if schedule == "batch" else [random.choice(running)]
        for number in ended:
            trials[number] = trial(number, 0.5, iteration=trials[number].iteration)
        done = complete_iterations(trials, loop)
        if len(done) >= iterations:
            break
        iteration = next_iteration(trials, loop)
    assert len(trials) == iterations * jobs
    assert complete_iterations(trials, loop) == list(range(1, iterations + 1))

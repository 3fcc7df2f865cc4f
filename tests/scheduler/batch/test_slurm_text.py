"""Slurm's answers, as recorded and as they could be, become what they mean."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.batch import slurm_listing, slurm_states
from scheduler.batch.slurm import SlurmBatch
from scheduler.batch_system import SubmitAnswer
from scheduler.errors import SchedulerAway, SchedulerError
from scheduler.job import Cause, JobRef, JobState, Resources
from scheduler.settings import SlurmBatchSettings

RECORDED = json.loads(
    (Path(__file__).parents[2] / "recordings" / "slurm.json").read_text(encoding="utf-8")
)
BATCH = SlurmBatch(SlurmBatchSettings(kind="slurm"))


def answer(name):
    said = RECORDED[name]
    return SubmitAnswer(int(said["rc"]), said["out"], said["err"])


def listing(*rows, jobs=("1",), code=0, stderr=""):
    refs = [JobRef("ours", "d", job_id) for job_id in jobs]
    return BATCH.parse_listing(refs, code, "\n".join([*rows, "END|"]), stderr)


@pytest.mark.parametrize(
    ("name", "job_id"),
    [("sbatch_ok", "1"), ("sbatch_parsable", "2"), ("bad_account_noacct", "12"), ("array", None)],
)
def test_job_id_in_a_recorded_answer(name, job_id):
    said = RECORDED[name]
    found = BATCH.parse_submit(SubmitAnswer(0, said["out"].splitlines()[-1], ""))
    assert found == job_id


@given(
    noise=st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(
        lambda text: not re.search(r"^\s*\d+(;[\w.-]+)?\s*$|Submitted", text, re.MULTILINE)
    ), max_size=4),
    number=st.integers(1, 10**8),
    cluster=st.sampled_from(["", ";alpha", ";c-2"]),
)  # fmt: skip
def test_job_id_is_found_in_any_noise(noise, number, cluster):
    text = "\n".join([*noise, f"{number}{cluster}", *noise])
    assert BATCH.parse_submit(SubmitAnswer(0, text, "")) == f"{number}{cluster}"


AWAY = ["ctld_down_sbatch_oksh", "ctld_frozen_sbatch", "munge_down_sbatch",
        "ctld_down_msgtimeout2_sbatch", "slurmconf_missing"]  # fmt: skip
REFUSED = ["bad_account", "bad_constraint", "bad_dep_syntax", "bad_gres", "bad_gres_name",
           "bad_gres_type", "bad_option", "bad_partition", "bad_qos", "bad_time", "crlf_script",
           "empty_script", "no_shebang", "too_much_mem", "missing_script"]  # fmt: skip


@pytest.mark.parametrize("name", AWAY)
def test_a_controller_away_is_no_refusal(name):
    assert BATCH.is_away(answer(name))
    assert not BATCH.is_backpressure(answer(name))


@pytest.mark.parametrize("code", [124, 137, 139, 143])
def test_an_sbatch_that_was_killed_may_have_had_its_job_taken(code):
    assert BATCH.is_away(SubmitAnswer(code, "", "Segmentation fault"))


@pytest.mark.parametrize(
    "said",
    ["Required partition not available (inactive or drain)", "Requested operation is presently disabled",
     "I/O error writing script/environment to file"],
)  # fmt: skip
def test_a_maintenance_and_a_full_disk_of_the_controller_are_waited_for(said):
    answer = SubmitAnswer(1, "", f"sbatch: error: Batch job submission failed: {said}")
    assert BATCH.is_backpressure(answer)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_final(name):
    assert not BATCH.is_away(answer(name))
    assert not BATCH.is_backpressure(answer(name))


def test_a_limit_on_jobs_is_backpressure():
    said = SubmitAnswer(1, "", RECORDED["acct_limit"]["err"])
    assert BATCH.is_backpressure(said)
    assert not BATCH.is_away(said)
    for limit in ("QOSMaxSubmitJobPerUserLimit", "AssocGrpSubmitJobsLimit"):
        assert BATCH.is_backpressure(SubmitAnswer(1, "", f"sbatch: error: {limit}"))
    for limit in ("QOSMaxWallDurationPerJobLimit", "QOSMaxCpuPerUserLimit"):
        assert not BATCH.is_backpressure(SubmitAnswer(1, "", f"sbatch: error: {limit}"))


@pytest.mark.parametrize(
    "name", ["ctld_down_squeue", "ctld_frozen_squeue", "munge_down_squeue", "slurmconf_missing"]
)
def test_a_listing_that_failed_says_nothing_of_any_job(name):
    said = RECORDED[name]
    job = JobRef("ours", "d", "1")
    with pytest.raises(SchedulerAway):
        BATCH.parse_listing([job], int(said["rc"]), said["out"], said["err"])
    # Even with exit code 0 and an end mark, as `squeue --json` gave with the controller down.
    with pytest.raises(SchedulerAway):
        BATCH.parse_listing([job], 0, "END|", said["err"])


def test_a_listing_cut_short_says_nothing_of_any_job():
    with pytest.raises(SchedulerAway, match="cut short"):
        BATCH.parse_listing([JobRef("ours", "d", "1")], 0, "Q|1|RUNNING|ours|None", "")


def test_every_state_of_the_table_is_read():
    for state, (expected, cause) in slurm_states.STATES.items():
        found = listing(f"Q|1|{state}|ours|None")["1"]
        assert (found.state, found.cause, found.raw_state) == (expected, cause, state)


def test_a_state_of_tomorrow_is_not_the_end():
    assert listing("Q|1|TELEPORTING|ours|None")["1"].state is JobState.UNKNOWN


def test_completing_after_a_time_limit_has_its_cause_already():
    found = listing("Q|1|COMPLETING|ours|TimeLimit")["1"]
    assert (found.state, found.cause) == (JobState.RUNNING, Cause.WALLTIME)


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        ("PartitionTimeLimit", True),
        ("PartitionNodeLimit", True),
        ("BadConstraints", True),
        ("DependencyNeverSatisfied", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("QOSMaxGRESPerNode", True),
        ("QOSMinGRES", True),
        ("Priority", False),
        ("Dependency", False),
        ("JobHeldUser", False),
        ("PartitionDown", False),
        ("AssocGrpCPUMinutesLimit", False),
        ("AssocGrpNodeLimit", False),
        ("AssocMaxJobsLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("QOSMaxCpuPerUserLimit", False),
        ("ReqNodeNotAvail, UnavailableNodes:n1", False),
    ],
)
def test_what_lies_in_the_request_is_told_from_what_time_mends(reason, never):
    found = listing(f"Q|1|PENDING|ours|{reason}")["1"]
    assert found.never_starts is never
    assert ("it will never start" in found.reason) is never
    assert not listing(f"Q|1|RUNNING|ours|{reason}")["1"].never_starts


def test_reasons_may_hold_commas_and_bars():
    text = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority"
    assert listing(f"Q|1|PENDING|ours|{text}")["1"].reason == text
    assert listing("Q|1|PENDING|ours|a|b")["1"].reason == "a|b"


def test_cancelled_by_somebody_in_the_books():
    found = listing("A|1|CANCELLED by 0|0:0|ours|lab")["1"]
    assert (found.cause, found.raw_state) == (Cause.CANCELLED, "CANCELLED")
    assert found.reason == "CANCELLED by 0"
    assert listing("A|1|CANCELLED+|0:0|ours|lab")["1"].cause is Cause.CANCELLED


def test_recorded_books_are_read():
    rows = [
        f"A|{line.split('|')[0]}|{line.split('|')[3]}|{line.split('|')[4]}|ours|lab"
        for line in RECORDED["sacct_parsable"]["out"].splitlines()
    ]
    jobs = [row.split("|")[1] for row in rows if row.split("|")[1].isdigit()]
    found = listing(*rows, jobs=jobs)
    assert found["2"].exit_code == 3
    assert found["3"].exit_code == 137
    assert found["4"].state is JobState.RUNNING
    assert found["5"].cause is Cause.CANCELLED


def test_recorded_jobs_of_the_controller_are_read():
    for name, code in (("sctl_showjob_done", 3),):
        line = RECORDED[name]["out"]
        row = slurm_listing.read_rows(f"C|{line}")[0]
        found = slurm_listing.read_listing([JobRef("fail3", "d", row.number)], [row])
        assert found[row.number].exit_code == code


def test_how_a_job_failed_comes_from_the_controller_at_once():
    found = listing(
        "Q|1|FAILED|ours|NonZeroExitCode",
        "C|JobId=1 JobName=ours JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0",
    )["1"]
    assert (found.state, found.exit_code) == (JobState.ENDED, 3)


def test_the_books_being_away_leaves_the_end_open():
    assert listing("U|1")["1"].state is JobState.UNKNOWN
    assert listing("U|1")["1"].is_forgotten


def test_a_suspended_job_says_that_it_is():
    assert listing("Q|1|SUSPENDED|ours|None")["1"].reason == "suspended"
    assert listing("Q|1|RUNNING|ours|None")["1"].reason == ""


def test_a_job_that_only_the_books_still_have_is_forgotten():
    found = listing("A|1|RUNNING|0:0|ours|lab")["1"]
    assert found.is_forgotten
    assert "not in the queue" in found.reason
    assert not listing("A|1|COMPLETED|0:0|ours|lab")["1"].is_forgotten
    assert not listing("Q|1|RUNNING|ours|None", "A|1|RUNNING|0:0|ours|lab")["1"].is_forgotten


def test_another_jobs_row_under_our_number_is_not_ours():
    assert listing("Q|1|RUNNING|theirs|None") == {}
    assert listing("A|1|COMPLETED|0:0|theirs|lab") == {}
    assert listing("A|1|COMPLETED|0:0|allocation|lab")["1"].state is JobState.ENDED


def test_a_renamed_job_is_known_by_where_it_lies():
    renamed = ("Q|1|FAILED|mine", "P|1|/r/d")
    why = "C|JobId=1 JobName=mine JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0"
    assert listing("ROOT: /r", *renamed, why)["1"].exit_code == 3
    assert listing("ROOT: /elsewhere", *renamed, why) == {}
    assert listing(*renamed, why) == {}
    assert listing("ROOT: /r", "A|1|FAILED|1:0|m|ine|lab", "P|1|/r/d")["1"].exit_code == 1
    shared = JobRef("trial", "d/some/trial", "1", shared_job="pack")
    said = "ROOT: /r\nQ|1|RUNNING|mine|None\nP|1|/r/d\nEND|"
    assert BATCH.parse_listing([shared], 0, said, "")["1"].state is JobState.RUNNING


def test_parts_of_a_job_are_one_job():
    assert listing("Q|1+0|COMPLETED|ours|None", "Q|1+1|RUNNING|ours|None")["1"].state is (
        JobState.RUNNING
    )
    assert listing("Q|1_[3-9%3]|PENDING|ours|x", "Q|1_2|FAILED|ours|y")["1"].state is (
        JobState.QUEUED
    )
    ended = listing("Q|1+0|COMPLETED|ours|None", "Q|1+1|NODE_FAIL|ours|None")["1"]
    assert ended.cause is Cause.NODE_FAILURE


def test_clusters_of_a_federation_are_kept_apart():
    found = listing(
        "CLUSTER: a", "Q|7|RUNNING|ours|None", "CLUSTER: b", "Q|7|PENDING|ours|None",
        jobs=("7;a", "7;b"),
    )  # fmt: skip
    assert found["7;a"].state is JobState.RUNNING
    assert found["7;b"].state is JobState.QUEUED


@given(st.text())
def test_any_text_can_be_read(text):
    for row in slurm_listing.read_rows(text):
        assert row.number.isdigit()


@given(st.integers(0, 255), st.integers(1, 64))
def test_exit_codes_as_a_shell_has_them(code, signal):
    assert slurm_listing.exit_code(f"{code}:0") == code
    assert slurm_listing.exit_code(f"0:{signal}") == 128 + signal


def test_out_of_memorys_own_signal_is_none():
    assert slurm_listing.exit_code("0:125") is None


@given(
    value=st.text(min_size=1).filter(lambda text: not text.isprintable() or set(text) & set('"\\'))
)
def test_no_value_can_end_its_line(value):
    with pytest.raises(SchedulerError):
        BATCH.directives("name", Resources(directives={"comment": value}))


@given(name=st.text())
def test_a_directive_has_a_name_that_is_one(name):
    try:
        lines = BATCH.directives("name", Resources(directives={name: "x"}))
    except SchedulerError:
        return
    assert f"#SBATCH --{name}=x" in lines
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", name)


def test_directives_replace_ours():
    lines = BATCH.directives(
        "n", Resources(gpus=2, nodes=2, directives={"gpus-per-node": "a100:2", "nodes": "4-8"})
    )
    assert "#SBATCH --gpus-per-node=a100:2" in lines
    assert "#SBATCH --nodes=4-8" in lines
    assert not any("gres" in line for line in lines)

"""PBS's answers, as recorded and as they could be, become what they mean."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.batch import pbs_listing, pbs_states
from scheduler.batch.pbs import PbsBatch, pbs_name
from scheduler.batch_system import SubmitAnswer
from scheduler.errors import SchedulerAway, SchedulerError
from scheduler.job import Cause, JobRef, JobState, Resources
from scheduler.settings import PbsBatchSettings

RECORDED = json.loads(
    (Path(__file__).parents[2] / "recordings" / "openpbs.json").read_text(encoding="utf-8")
)
BATCH = PbsBatch(PbsBatchSettings(kind="pbs"))


def answer(name):
    said = RECORDED[name]
    return SubmitAnswer(int(said["rc"]), said["out"], said["err"])


def recorded(name):
    """The last job of a recorded qstat, read as ours."""
    attributes = {}
    job_id = ""
    for fact in RECORDED[name]["facts"]:
        if fact.startswith("Job Id: "):
            job_id, attributes = fact.removeprefix("Job Id: "), {}
        else:
            key, _, value = fact.partition("=")
            attributes[key] = json.loads(value) if value.startswith('"') else value
    rows = [pbs_listing.Row(job_id, attributes)]
    job = JobRef("ours", "d", job_id)
    return pbs_listing.read_listing([job], rows, {"ours": attributes["Job_Name"]})[job_id]


def listing(*rows, jobs=("1.server",), codes=(0,), stderr=""):
    refs = [JobRef("ours", "d", job_id) for job_id in jobs]
    ends = [f"CODE|{code}" for code in codes]
    return BATCH.parse_listing(refs, 0, "\n".join([*rows, *ends, "END|"]), stderr)


@pytest.mark.parametrize(
    ("name", "state", "cause", "code"),
    [
        ("qstat_f_json_R", JobState.RUNNING, None, None),
        ("qstat_f_json_S", JobState.RUNNING, None, None),
        ("qstat_f_json_E", JobState.RUNNING, None, None),
        ("qstat_f_json_W", JobState.QUEUED, None, None),
        ("qstat_f_json_H", JobState.QUEUED, None, None),
        ("json_prologue_exit2", JobState.QUEUED, None, None),
        ("qstat_xf_json_ok", JobState.ENDED, None, 0),
        ("qstat_xf_json_rc3", JobState.ENDED, None, 3),
        ("final_T1", JobState.ENDED, None, 44),
        ("qstat_xf_json_nf", JobState.ENDED, None, 127),
        ("qstat_xf_json_k9", JobState.ENDED, None, 137),
        ("qstat_xf_json_segv", JobState.ENDED, None, 139),
        ("qstat_xf_json_sig", JobState.ENDED, None, 143),
        ("qstat_xf_json_wall", JobState.ENDED, Cause.WALLTIME, None),
        ("qstat_xf_json_wtrap", JobState.ENDED, Cause.WALLTIME, None),
        ("qstat_xf_json_del", JobState.ENDED, Cause.CANCELLED, 143),
        ("qstat_xf_json_force", JobState.ENDED, Cause.CANCELLED, 137),
        ("json_qdel_trapping", JobState.ENDED, Cause.CANCELLED, 137),
        ("qstat_xf_json_delq", JobState.ENDED, Cause.CANCELLED, None),
        ("qstat_xf_json_dep", JobState.ENDED, Cause.CANCELLED, None),
        ("json_prologue_exit1", JobState.ENDED, Cause.CANNOT_START, None),
        ("momback_N1", JobState.ENDED, Cause.NODE_FAILURE, None),
    ],
)
def test_recorded_jobs_mean_what_happened_to_them(name, state, cause, code):
    found = recorded(name)
    assert (found.state, found.cause, found.exit_code) == (state, cause, code)


def test_a_suspended_job_says_so():
    why = "Not Running: Insufficient amount of resource: ncpus (R: 10 A: 4 T: 16)"
    row = f"Job Id: 1.server|Job_Name=ours|job_state=S|substate=45|comment={why}"
    found = listing(row)["1.server"]
    assert (found.state, found.reason) == (JobState.RUNNING, f"suspended: {why}")
    silent = listing("Job Id: 1.server|Job_Name=ours|job_state=U")["1.server"]
    assert (silent.state, silent.reason) == (JobState.RUNNING, "suspended")


def test_what_never_starts_says_so():
    assert "never start" in recorded("qstat_f_json_Q_never").reason
    assert recorded("qstat_f_json_Q_never").never_starts
    assert not recorded("qstat_f_json_Q_insufficient").never_starts
    assert "administrator" in recorded("json_prologue_exit2").reason
    assert "qrls" in recorded("qstat_f_json_H").reason
    assert recorded("qstat_f_json_Q_insufficient").reason.startswith("Not Running")


def test_recorded_lines_are_read():
    (row,) = pbs_listing.read_rows(RECORDED["qstat_dsv"]["out"])
    assert row.job_id == "126.pbs-host"
    assert row.attributes["job_state"] == "H"
    assert row.attributes["Job_Name"] == "123"
    rows = pbs_listing.read_rows(RECORDED["qstat_xf_dsv_three"]["out"])
    assert [row.job_id for row in rows] == ["131.pbs-host", "137.pbs-host", "144.pbs-host"]


@pytest.mark.parametrize("name", ["down_qsub", "down_qsub_f"])
def test_a_server_away_is_no_refusal(name):
    assert BATCH.is_away(answer(name))
    assert not BATCH.is_backpressure(answer(name))


@pytest.mark.parametrize(
    "name",
    ["qsub_max_queued", "qsub_queued_threshold", "qsub_server_max_queued", "qsub_queue_disabled"],
)
def test_a_limit_or_a_closed_queue_is_backpressure(name):
    assert BATCH.is_backpressure(answer(name))
    assert not BATCH.is_away(answer(name))


def test_a_full_tmp_on_the_login_node_is_backpressure():
    said = "qsub: could not create/open tmp file /tmp/pbsscrptUWe for script"
    assert BATCH.is_backpressure(SubmitAnswer(1, "", said))


@pytest.mark.parametrize(
    "name",
    [name for name, said in RECORDED.items() if name.startswith("qsub_") and said["rc"] in
     ("170", "187", "188", "166", "32", "159", "2", "154", "175", "6")],
)  # fmt: skip
def test_a_refusal_is_final(name):
    assert not BATCH.is_away(answer(name))
    assert not BATCH.is_backpressure(answer(name))


@pytest.mark.parametrize(
    ("code", "why"), [(127, "No such file or directory"), (126, "Permission denied")]
)
def test_a_qsub_that_cannot_be_run_was_asked_nothing(code, why):
    said = f"timeout: failed to run command 'qsub': {why}"
    assert not BATCH.is_away(SubmitAnswer(code, "", said))


def test_every_job_taken_has_its_id():
    taken = [name for name, said in RECORDED.items()
             if re.match(r"qsub .*\.sh$", said["cmd"]) and said["rc"] == "0" and "-J" not in said["cmd"]
             and not said.get("facts")]  # fmt: skip
    assert len(taken) > 20
    for name in taken:
        assert re.fullmatch(r"\d+\.pbs-host", BATCH.parse_submit(answer(name)))


@pytest.mark.parametrize("name", ["down_qstat", "down_qstat_json", "down_qselect"])
def test_a_server_that_is_down_says_nothing_of_any_job(name):
    said = RECORDED[name]
    with pytest.raises(SchedulerAway):
        listing(codes=(int(said["rc"]),), stderr=said["err"])


def test_a_server_that_is_down_is_told_once_and_in_one_line():
    refused = "Connection refused\nqstat: cannot connect to server pbs-host (errno=15010)\n"
    with pytest.raises(SchedulerAway) as error:
        listing(codes=(255,), stderr=refused * 3)
    said = "Connection refused; qstat: cannot connect to server pbs-host (errno=15010)"
    assert str(error.value) == f"qstat failed (exit code 255): {said}"


def test_a_hung_server_says_nothing_of_any_job():
    with pytest.raises(SchedulerAway, match="hung"):
        listing(codes=(124,))
    with pytest.raises(SchedulerAway, match="not found"):
        listing(codes=(127,))
    with pytest.raises(SchedulerAway, match="cut short"):
        BATCH.parse_listing([], 0, "CODE|0", "")


def test_a_call_that_was_never_made_is_no_empty_listing():
    job = JobRef("ours", "d", "2.server")
    with pytest.raises(SchedulerAway, match="not asked about all jobs"):
        BATCH.parse_listing([job], 0, "END|", "mktemp: failed")
    # Trials of one job are asked about once.
    assert BATCH.parse_listing([job, job], 0, "CODE|153\nEND|", "") == {}


@pytest.mark.parametrize("code", [134, 139, 143])
def test_a_qsub_that_was_killed_may_have_had_its_job_taken(code):
    assert BATCH.is_away(SubmitAnswer(code, "", ""))


def test_unknown_and_finished_jobs_leave_the_others_listed():
    row = "Job Id: 2.server|Job_Name=ours|job_state=R"
    found = listing(row, jobs=("1.server", "2.server"), codes=(153,))
    assert list(found) == ["2.server"]
    assert listing(row, jobs=("2.server",), codes=(35,))["2.server"].state is JobState.RUNNING


def test_a_servers_other_name_is_the_same_server():
    row = "Job Id: 2.server|Job_Name=ours|job_state=R"
    assert "2.server.site.org" in listing(row, jobs=("2.server.site.org",))


def test_another_jobs_row_under_our_number_is_not_ours():
    assert listing("Job Id: 1.server|Job_Name=theirs|job_state=F") == {}


def test_a_variable_cannot_pretend_to_be_an_attribute():
    line = r"Job Id: 1.server|Job_Name=ours|Variable_List=A=x\|job_state=F|job_state=R"
    assert listing(line)["1.server"].state is JobState.RUNNING


def test_every_exit_status_of_pbs_has_a_cause():
    for status, (cause, words) in pbs_states.EXIT_CAUSES.items():
        row = f"Job Id: 1.server|Job_Name=ours|job_state=F|Exit_status={status}|substate=93"
        found = listing(row)["1.server"]
        assert (found.cause, found.reason, found.exit_code) == (cause, words, None)
    unknown = listing("Job Id: 1.server|Job_Name=ours|job_state=F|Exit_status=-99")["1.server"]
    assert unknown.cause is Cause.NODE_FAILURE


escaped = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\x85")
)


@given(comment=escaped, variables=escaped, state=st.sampled_from("QRHEF"))
def test_values_come_back_whatever_they_hold(comment, variables, state):
    def escape(text):
        return text.replace("\\", "\\\\").replace("|", "\\|")

    line = (
        f"Job Id: 1.server|Job_Name=ours|Variable_List={escape(variables)}"
        f"|comment={escape(comment)}|job_state={state}"
    )
    (row,) = pbs_listing.read_rows(line)
    assert row.attributes["comment"] == comment
    assert row.attributes["job_state"] == state


@given(st.text())
def test_any_text_can_be_read(text):
    pbs_listing.read_rows(text)
    BATCH.parse_found(text)


@given(st.from_regex(r"[A-Za-z0-9._+-]{1,230}[a-z0-9]", fullmatch=True), st.integers(15, 230))
def test_a_short_name_is_the_end_of_the_long_one(name, length):
    short = pbs_name(name, length)
    assert name.endswith(short)
    assert 1 <= len(short) <= length
    assert short[0] not in ".+_-"


def test_directives():
    lines = BATCH.directives(
        "n",
        Resources(nodes=2, tasks=4, cpus=8, gpus=4, memory_mb=2048, walltime_seconds=3700,
                  queue="debug", account="proj",
                  directives={"filesystems": "home:eagle", "place": "scatter", "mail-user": "a@b.c",
                              "mail-type": "abe", "depend": "afterok:1", "hold": None}),
    )  # fmt: skip
    assert lines == [
        "#PBS -r n", "#PBS -q debug", "#PBS -A proj", "#PBS -M a@b.c", "#PBS -m abe", "#PBS -h",
        "#PBS -l select=2:ncpus=8:ngpus=4:mem=2048mb:mpiprocs=2", "#PBS -l walltime=01:01:40",
        "#PBS -l filesystems=home:eagle", "#PBS -l place=scatter", "#PBS -W depend=afterok:1",
    ]  # fmt: skip


def test_a_gpu_type_has_no_common_name_in_pbs():
    with pytest.raises(SchedulerError, match="select"):
        BATCH.directives("n", Resources(gpus=1, gpu_type="a100"))
    select = "1:ncpus=8:ngpus=1:gputype=a100"
    lines = BATCH.directives("n", Resources(gpus=1, directives={"select": select}))
    assert f"#PBS -l select={select}" in lines


@given(value=st.text(min_size=1).filter(lambda text: not text.isprintable()))
def test_no_value_can_end_its_line(value):
    with pytest.raises(SchedulerError):
        BATCH.directives("name", Resources(directives={"filesystems": value}))


def test_a_submission_that_would_wait_for_the_jobs_end_is_refused():
    with pytest.raises(SchedulerError, match="'block' is set by Pilothouse"):
        BATCH.directives("job", Resources(directives={"block": "true"}))


@pytest.mark.parametrize(
    ("who", "cause"),
    [("Scheduler@pbs-host", Cause.PREEMPTED), ("alice@pbs-host", Cause.CANCELLED)],
)
def test_a_job_that_its_scheduler_deleted_was_preempted(who, cause):
    comment = f"Job run at Mon Nov 23 at 18:11 on (n1:ncpus=1) and terminated by {who}"
    line = f"Job Id: 7.pbs|Job_Name=job|job_state=F|substate=91|Exit_status=271|comment={comment}"
    rows = pbs_listing.read_rows(line)
    seen = pbs_listing.read_listing([JobRef("job", "d", "7.pbs")], rows, {"job": "job"})
    assert seen["7.pbs"].cause is cause


def test_resources_of_a_site_may_have_capitals():
    asked = {"Qlist": "gpu", "Walltime": "00:10:00", "PLACE": "scatter"}
    lines = BATCH.directives("name", Resources(walltime_seconds=3600, directives=asked))
    assert "#PBS -l Qlist=gpu" in lines
    assert "#PBS -l place=scatter" in lines
    assert [line for line in lines if "walltime" in line.lower()] == ["#PBS -l walltime=00:10:00"]
    with pytest.raises(SchedulerError, match="set by Pilothouse"):
        BATCH.directives("name", Resources(directives={"Output": "x"}))

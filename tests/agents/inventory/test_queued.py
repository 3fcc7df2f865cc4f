"""``queue JOB`` and ``queue --cancel``, with commands of both schedulers that answer by script."""

import getpass
import os

import forked
import pytest

CONFIG = """\
experiment: {id: queued}
search_space: {x: {type: float, low: 0, high: 1}}
training: {command: ["true", "{hyperparameters}"]}
cluster: {batch_system: {kind: KIND, bin_directory: BIN}}
"""
ME = getpass.getuser()
MARKED = 'printf "${4%%|*}|"; '
"""Before a row: what the script wants to see at its beginning (``squeue -h -a -o FORMAT``)."""
SLURM = {
    "squeue": f"{MARKED}echo '7|{ME}|RUNNING|debug|1|4|1:00:00|1795667757|None|N/A|1795667757|mine one'\n"
    f"{MARKED}echo '8|{ME}|PENDING|debug|1|4|1:00:00|N/A|Priority|N/A|1795667757|mine two'\n"
    f"{MARKED}echo '9|other|RUNNING|debug|1|4|1:00:00|1795667757|None|N/A|1795667757|theirs'",
    "scontrol": '[ "$3" = 7 ] && { echo "JobId=7 JobName=one"; exit 0; }; exit 1',
    "sacct": 'echo "JobID|State"; [ "$4" = 3 ] && echo "3|TIMEOUT"; true',
    "scancel": '[ "$1" = 8 ] && { echo "job 8 is held by a hook"; exit 1; }; echo "$1" >> LOG',
    "sinfo": "exit 1",
    "sacctmgr": "exit 1",
}
PBS = {
    "qstat": 'case "$*" in "-x -f 5.srv") echo "Job Id: 5.srv";; *) echo "qstat: Unknown Job Id" >&2; '
    "exit 153;; esac",
}


def site(tmp_path, kind, programs):
    there = tmp_path / "bin"
    there.mkdir()
    for name, text in programs.items():
        path = there / name
        path.write_text("#!/bin/sh\n" + text.replace("LOG", str(tmp_path / "log")) + "\n")
        path.chmod(0o755)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("KIND", kind).replace("BIN", str(there)))

    def run(*words):
        return forked.command(
            ["queue", "--config", config, *words], environment={**os.environ, "COLUMNS": "80"}
        )

    return run


@pytest.fixture
def slurm(tmp_path):
    return site(tmp_path, "slurm", SLURM)


def test_all_that_is_known_of_a_job_in_the_queue_or_in_the_accounts(slurm):
    assert "JobName=one" in slurm("7").stdout
    ended = slurm("3")
    assert ended.stdout.splitlines() == ["JobID=3", "State=TIMEOUT"]
    assert ended.returncode == 0
    unknown = slurm("7", "4")
    assert unknown.returncode == 1
    assert "JobName=one" in unknown.stdout
    assert "error: 4: not known" in unknown.stderr


def test_a_job_of_pbs(tmp_path):
    run = site(tmp_path, "pbs", PBS)
    assert "Job Id: 5.srv" in run("5.srv").stdout
    unknown = run("6")
    assert unknown.returncode == 1
    assert "Unknown Job Id" in unknown.stderr


def test_a_pbs_without_a_history_has_an_answer_for_what_it_has_alone(tmp_path):
    qstat = (
        'case "$*" in "-f 5.srv") echo "Job Id: 5.srv";; '
        '-x*) echo "qstat: PBS is not configured to maintain job history 5.srv" >&2;; '
        "*) exit 153;; esac"
    )
    run = site(tmp_path, "pbs", {"qstat": qstat})
    assert run("5.srv").stdout == "Job Id: 5.srv\n"
    unknown = run("6")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "error: 6: not in the queue, and this PBS keeps no history" in unknown.stderr


EVIL = r"9|mallory\033[2J|PENDING|debug|1|4|1:00:00|N/A|Why\033]0;x\007|N/A|1795667757|evil\033[31mred\033]0;pwned\007"


def test_no_job_of_another_user_writes_to_my_terminal(tmp_path):
    listing = {
        "squeue": f"{MARKED}printf '{EVIL}\\n'",
        "scontrol": f"printf '{EVIL}\\nline two\\n'",
    }
    run = site(tmp_path, "slurm", {**SLURM, **listing})
    for words in (["--all"], ["--all", "--json"], ["9"]):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert "evilred" in done.stdout, words
        assert not {"\x1b", "\x07"} & {*done.stdout}
    assert "line two" in done.stdout.splitlines()


def test_no_line_of_a_listing_is_a_job_s_name(tmp_path):
    row = r"Job Id: 5.srv|Job_Name=a\\nmy job\033[0m|Job_Owner=eve@x|job_state=Q|queue=q|comment=no\\nroom"
    run = site(tmp_path, "pbs", {"qstat": f"""case "$*" in *dsv) printf '{row}\\n';; esac"""})
    shown = run("--all").stdout
    assert "a my job" in shown
    assert "no room" in shown
    assert "\x1b" not in shown


def test_a_job_that_is_cancelled_is_mine_and_named(slurm, tmp_path):
    done = slurm("7", "--cancel")
    assert (done.returncode, done.stdout) == (0, "cancelled: 7 (mine one)\n"), done.stderr
    assert (tmp_path / "log").read_text() == "7\n"
    for words, said in (
        (["9", "--cancel"], "no job of yours is queued or runs as 9"),
        (["4", "--cancel"], "no job of yours"),
        (["7; rm -rf x", "--cancel"], "give a job's id"),
        (["--cancel"], "2 jobs of yours, and nobody can be asked here"),
        (["7", "--json"], "leave them out"),
    ):
        refused = slurm(*words)
        assert refused.returncode == 2, refused.stdout
        assert said in " ".join(refused.stderr.split())
    assert (tmp_path / "log").read_text() == "7\n"


def test_all_of_mine_and_what_could_not_be(slurm, tmp_path):
    done = slurm("--cancel", "--yes")
    assert done.returncode == 1
    assert "cancelled: 7" in done.stdout
    assert "error: 8: job 8 is held by a hook" in done.stderr
    assert (tmp_path / "log").read_text() == "7\n"

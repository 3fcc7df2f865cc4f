"""qsub, qstat, qselect, qdel and qalter that answer as a real OpenPBS 23.06 was recorded to answer.

Called with the name of the command and its arguments, with PBS's state in the directory $REPLAY_PBS: one file a job.
Jobs are real child processes. Words and exit codes are those of tests/recordings/openpbs.json; the
lines of ``-F dsv`` were taken from a server built from source. Files in the directory change the
weather: ``history_off``, ``down``, ``frozen``, ``closed``, ``limit`` (holding a number).
"""

import contextlib
import fcntl
import getpass
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ["REPLAY_PBS"])
HOST = "pbs-host"
KILL_DELAY = 10


class Job:
    """One job's record on disk."""

    def __init__(self, number):
        self.path = STATE / f"{number}.job"

    def read(self):
        return json.loads(self.path.read_text())

    def change(self, **values):
        with locked():
            return self.write(**values)

    def write(self, **values):
        record = {**(self.read() if self.path.exists() else {}), **values}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(record))
        new.rename(self.path)
        return record


class locked:
    def __enter__(self):
        self.file = (STATE / "lock").open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def fail(code, text):
    print(text, file=sys.stderr)
    sys.exit(code)


def jobs():
    numbers = sorted(int(path.stem) for path in STATE.glob("*.job"))
    return {number: Job(number).read() for number in numbers}


def qsub(arguments):
    options, script = {}, None
    lines = Path(arguments[-1]).read_text().splitlines()
    words = [word for line in lines if line.startswith("#PBS ") for word in line[5:].split(" ", 1)]
    words += arguments[:-1]
    script = arguments[-1]
    held = "-h" in words
    words = [word for word in words if word != "-h"]
    resources = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        options[key] = value.strip('"')
        if key == "-l":
            resources.update(dict([options[key].split("=", 1)]))
    if options.get("-q", "workq") != "workq":
        fail(170, "qsub: Unknown queue")
    if (STATE / "closed").exists():
        fail(173, "qsub: Queue is not enabled")
    with locked():
        limit = STATE / "limit"
        waiting = [job for job in jobs().values() if job["job_state"] != "F"]
        if limit.exists() and len(waiting) >= int(limit.read_text()):
            fail(38, "qsub: would exceed complex's per-user limit")
        number = 1 + max([0, *jobs()])
        hours, minutes, seconds = resources.get("walltime", "100:00:00").split(":")
        Job(number).write(
            Job_Name=options["-N"],
            job_state="H" if held else "Q",
            substate=20 if held else 10,
            Hold_Types="u" if held else "n",
            script=str(Path(script).resolve()),
            directory=os.getcwd(),
            Output_Path=f"{HOST}:{options['-o']}",
            walltime=int(hours) * 3600 + int(minutes) * 60 + int(seconds),
            Variable_List="PBS_O_LANG=C.UTF-8,TRICK=a\\|job_state=F|comment=b",
        )
    if not held:
        subprocess.Popen(
            [sys.executable, __file__, "run", str(number)], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    print(f"{number}.{HOST}")


def run(arguments):
    """The life of one job: what server and MOM do."""
    number = int(arguments[0])
    job = Job(number)
    time.sleep(0.2)
    where = f"Job run at Mon Nov 23 at 18:04 on ({HOST}:ncpus=1)"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ph_")}
    with locked():  # A job is either queued or running with its session, to whoever deletes it.
        record = job.read()
        if record["job_state"] != "Q":
            return
        child = subprocess.Popen(
            [record["script"]],
            cwd=os.path.expanduser("~"),
            env={**environment, "PBS_JOBID": f"{number}.{HOST}", "PBS_ENVIRONMENT": "PBS_BATCH"},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        job.write(job_state="R", substate=42, run_count=1, session_id=child.pid, comment=where)
    end = "finished"
    try:
        child.wait(record["walltime"])
    except subprocess.TimeoutExpired:
        end = "exceeded resource walltime"
        end_session(child.pid)
    status = child.wait()
    status = 256 - status if status < 0 else status
    if end != "finished":
        status = -29
    elif job.read().get("deleted"):
        end = f"terminated by {getpass.getuser()}@{HOST}"
    elif status:
        end = "failed"
    job.change(job_state="E", substate=51)
    time.sleep(0.2)
    substate = 91 if "terminated" in end else 92 if end == "finished" else 93
    job.change(job_state="F", substate=substate, Exit_status=status, comment=f"{where} and {end}")


def end_session(session):
    """TERM, and after a while KILL, for every process of the job."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = subprocess.run(["pgrep", "-s", str(session)], capture_output=True, text=True)
        for pid in found.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)
        limit = time.monotonic() + KILL_DELAY
        while number == signal.SIGTERM and time.monotonic() < limit:
            if subprocess.run(["pgrep", "-s", str(session)], capture_output=True).returncode:
                return
            time.sleep(0.1)


def qdel(arguments):
    code = 0
    for job_id in arguments:
        number = int(job_id.partition(".")[0])
        with locked():
            code = delete(number) or code
    sys.exit(code)


def delete(number):
    """The exit code of deleting one job, which nobody else changes meanwhile."""
    record = jobs().get(number)
    if record is None or (record["job_state"] == "F" and history_off()):
        print(f"qdel: Unknown Job Id {number}.{HOST}", file=sys.stderr)
        return 153
    if record["job_state"] == "F":
        print(f"qdel: Job has finished {number}.{HOST}", file=sys.stderr)
        return 35
    if record["job_state"] in "QH":
        Job(number).write(job_state="F", substate=91)
        return 0
    Job(number).write(deleted=True)
    subprocess.Popen(
        [sys.executable, __file__, "end", str(record["session_id"])], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return 0


def qalter(arguments):
    """A person renames a job: ``-N NAME ID``, the one option that is known."""
    Job(int(arguments[-1].partition(".")[0])).change(Job_Name=arguments[1])


def qstat(arguments):
    history = "-x" in arguments
    ids = [word for word in arguments if word[0].isdigit()]
    if arguments[: arguments.index("dsv") + 1] != ["-x"] * history + ["-f", "-F", "dsv"]:
        fail(2, "qstat: the replay knows -f -F dsv alone")
    code = 0
    for job_id in ids:
        number = int(job_id.partition(".")[0])
        record = jobs().get(number)
        if history and history_off():
            print(f"qstat: PBS is not configured to maintain job history {number}.{HOST}",
                  file=sys.stderr)  # fmt: skip
        elif record is None or (record["job_state"] == "F" and history_off()):
            print(f"qstat: Unknown Job Id {number}.{HOST}", file=sys.stderr)
            code = 153
        elif record["job_state"] == "F" and not history:
            print(f"qstat: {number}.{HOST} Job has finished, use -x or -H to obtain historical "
                  "job information", file=sys.stderr)  # fmt: skip
            code = 35
        else:
            print(dsv(number, record))
    sys.exit(code)


def dsv(number, record):
    order = ("Job_Name", "job_state", "Hold_Types", "Output_Path", "substate", "Variable_List",
             "comment", "run_count", "Exit_status")  # fmt: skip
    text = {key: str(record[key]) for key in order if key in record}
    fields = [
        f"{key}={value.replace(chr(92), chr(92) * 2).replace('|', chr(92) + '|')}"
        for key, value in text.items()
    ]
    return "|".join([f"Job Id: {number}.{HOST}", "Job_Owner=alice@pbs-host", *fields])


def qselect(arguments):
    if "-x" in arguments and history_off():
        print("qselect: PBS is not configured to maintain job history", file=sys.stderr)
        return
    name = arguments[arguments.index("-N") + 1]
    for number, record in jobs().items():
        if record["Job_Name"] == name and ("-x" in arguments or record["job_state"] != "F"):
            print(f"{number}.{HOST}")


def history_off():
    return (STATE / "history_off").exists()


def main():
    command, *arguments = sys.argv[1:]
    if command == "end":
        return end_session(int(arguments[0]))
    if command == "run":
        return run(arguments)
    while (STATE / "frozen").exists():
        time.sleep(0.1)
    if (STATE / "down").exists():
        fail(255 if command == "qstat" else 162,
             f"Connection refused\n{command}: cannot connect to server {HOST} (errno=15010)")  # fmt: skip
    commands = {"qsub": qsub, "qdel": qdel, "qstat": qstat, "qselect": qselect, "qalter": qalter}
    return commands[command](arguments)


if __name__ == "__main__":
    main()

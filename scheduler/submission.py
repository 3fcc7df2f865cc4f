"""Submitting all jobs of an iteration in one round trip, each exactly once.

The script decides nothing that it cannot know. For each job it holds one of four answers:

* ``job.id`` is there already: the job was taken before, its answer is printed again; where no id can
  be read in it, it is put away as ``submit.unread`` and the job is looked for by name, never
  submitted again;
* ``submitting`` is there without an answer: an earlier script was cut off (or still runs), so the
  batch system is asked for a job of that name, and a job that has begun is known by its lock;
* the batch system took it now: its answer is written to ``job.id`` by rename;
* the batch system did not: its answer is kept in ``submit.answer`` and printed.

A withdrawal asks the same and submits nothing: by making ``submitting`` itself it keeps an earlier script that
is only late from submitting either.

A job whose directory cannot be reached or filled is none of these: nothing is known of it, and
nothing was asked of the batch system.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scheduler.batch_system import BatchSystem, SubmitAnswer
from scheduler.job import InDoubt, JobRequest, NeverSubmitted, Refused, Submitted, Unwritable
from scheduler.plain import in_one_line
from scheduler.shell import FRAMES, Frame, heredoc, home_path

IN_DOUBT_SECONDS = 180
"""A submission cut off longer ago than this, with no job of its name listed, did not happen.

Longer than any time-out of a scheduler's own commands, so that a late acceptance still shows."""

UNBOOKED_SECONDS = 3600
"""The same where the accounting cannot be asked, which alone remembers a job that has ended already."""

NOT_FOUND = 127
"""A shell's exit code where there is no such command: a mistake of the configuration, not a trial's."""

# `submitting` is made by one process only (set -C: O_EXCL). Few processes a job: at fifty jobs they
# are most of what a submission takes.
_SCRIPT = """
cd "$PH_ROOT" || exit 95
ph_in=$PH_ROOT/.incoming.$$
mkdir "$ph_in" && tar -xf - -C "$ph_in" || { rm -rf "$ph_in"; exit 94; }
ph_now=$(date +%s)
while read -r ph_name ph_dir ph_script ph_mode; do
  [ -d "$PH_ROOT/$ph_dir" ] || mkdir -p "$PH_ROOT/$ph_dir"
  cd "$PH_ROOT/$ph_dir" || { ph_text full "$ph_name" "$ph_dir"; continue; }
  [ "$ph_mode" = find ] && [ -s job.id ] && mv job.id submit.unread
  if [ -s job.id ]; then
    ph_text taken "$ph_name" "$(cat job.id)"
    continue
  fi
  [ "$ph_mode" = again ] && rm -f submitting submit.answer
  set -C
  if ! echo "$ph_now" 2> /dev/null > submitting; then
    set +C
    [ -s submit.answer ] && ph_text answer "$ph_name" "$(cat submit.answer)"
    # An empty one was made where there was no room for its words: nobody has submitted by it.
    if ! read -r ph_since < submitting; then
      ph_since=$ph_now
      echo "$ph_now" > submitting || { ph_text full "$ph_name" "$ph_dir"; continue; }
    fi
    [ -s submit.unread ] && ph_text unread "$ph_name" "$(cat submit.unread)"
    ph_out=$(ph_find "$ph_name" 2>/dev/null)
    case $? in
      0) ph_kind=doubt ;;
      2) ph_kind=unbooked ;;
      *) ph_text away "$ph_name" ""; continue ;;
    esac
    ph_text "$ph_kind" "$ph_name" "$((ph_now - ph_since))
$ph_out"
    [ -s lock/job ] && ph_text began "$ph_name" "$(cat lock/job)"
    continue
  fi
  set +C
  # From here on an earlier script that was only late finds `submitting`, and submits nothing either.
  [ "$ph_mode" = withdraw ] && { ph_text never "$ph_name" ""; continue; }
  # Without a file for its errors the batch system is not asked at all.
  if ! [ -s submitting ] || ! cp -R "$ph_in/$ph_dir/." . || ! true > submit.err; then
    rm -f submitting
    ph_text full "$ph_name" "$ph_dir"
    continue
  fi
  ph_out=$(ph_submit "$ph_script" "$ph_name" 2> submit.err)
  ph_code=$?
  ph_said=
  [ -s submit.err ] && ph_said=$(cat submit.err)
  ph_answer="$ph_code
$ph_out
--
$ph_said"
  if [ "$ph_code" = 0 ]; then
    printf '%s\\n' "$ph_out" > job.id.tmp && mv job.id.tmp job.id
  else
    printf '%s\\n' "$ph_answer" > submit.answer.tmp && mv submit.answer.tmp submit.answer
  fi
  ph_text answer "$ph_name" "$ph_answer"
done"""


Mode = Literal["once", "find", "withdraw"]
"""Submit what was never submitted; only look by name for what the batch system took; or look for what may
have been submitted, and see to it that what was not never is."""


@dataclass(frozen=True)
class Submission:
    """A script and its input, to be run by a transport."""

    script: str
    stdin: bytes


def submission(
    requests: Sequence[JobRequest],
    scripts: Mapping[str, str],
    batch: BatchSystem,
    root: str,
    nonce: str,
    mode: Mode = "once",
    again: frozenset[str] = frozenset(),
) -> Submission:
    """The script that submits `requests`; `scripts` are their rendered job scripts by name.

    `again` names jobs of which it is certain that an earlier submission did not take: they are
    submitted anew. All others are treated by `mode`.
    """
    rows = "".join(
        f"{request.name} {request.directory} {batch.script_name} "
        f"{'again' if request.name in again else mode}\n"
        for request in requests
    )
    script = (
        f"ph_nonce={nonce}\nPH_ROOT={home_path(root)}\n{FRAMES}"
        f"{batch.submit_shell()}{batch.find_shell()}"
        f"{_SCRIPT}{heredoc(rows)}"
        'rm -rf "$ph_in"\n'
    )
    sent = requests if mode == "once" else ()
    return Submission(script, _tar(sent, scripts, batch.script_name))


def _tar(requests: Sequence[JobRequest], scripts: Mapping[str, str], script_name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for request in requests:
            files = {**request.files, script_name: scripts[request.name].encode()}
            for name, content in files.items():
                info = tarfile.TarInfo(posixpath.join(request.directory, name))
                info.size = len(content)
                # The script may hold secrets that the environment of the jobs needs.
                info.mode = 0o700 if name == script_name else 0o644
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


Answer = Submitted | Refused | Unwritable | InDoubt | NeverSubmitted


@dataclass(frozen=True)
class Unread:
    """The batch system took the job, and no id can be made out in its answer: it has to be found."""

    name: str


def read_answers(frames: Iterable[Frame], batch: BatchSystem) -> dict[str, Answer | Unread]:
    """What the script's output says about each job, by name; jobs it does not mention are absent."""
    by_name: dict[str, dict[str, str]] = {}
    for frame in frames:
        by_name.setdefault(frame.name, {})[frame.kind] = frame.content.decode(errors="replace")
    return {name: _read_answer(name, said, batch) for name, said in by_name.items()}


def _read_answer(name: str, said: Mapping[str, str], batch: BatchSystem) -> Answer | Unread:
    if "taken" in said:
        return _from_answer(name, SubmitAnswer(0, said["taken"], ""), batch)
    if "full" in said:
        message = f"cannot write to {said['full']} on the cluster (disk full, quota, permissions?)"
        return Unwritable(name, message)
    if "never" in said:
        return NeverSubmitted(name)
    why = ""
    if "answer" in said:
        answer = _split_answer(said["answer"])
        if not batch.is_away(answer):
            return _from_answer(name, answer, batch)
        why = in_one_line(answer.stderr or answer.stdout)
    if "doubt" in said or "unbooked" in said:
        seconds, _, found = said.get("doubt", said.get("unbooked", "")).partition("\n")
        # A batch system without a memory lists no job that has ended; its lock says that it ran.
        ids = batch.parse_found(found) or said.get("began", "").split()
        return Submitted(name, ids[0]) if ids else _not_found(name, float(seconds or 0), said, why)
    return InDoubt(name, 0.0, accepted="unread" in said, why=why)


def _not_found(name: str, seconds: float, said: Mapping[str, str], why: str) -> Answer:
    """A job of which neither the batch system nor its lock gives an id."""
    unread = said.get("unread")
    is_old = seconds > (IN_DOUBT_SECONDS if "doubt" in said else UNBOOKED_SECONDS)
    if unread is None:
        return InDoubt(name, seconds, did_not_happen=is_old, why=why)
    if not is_old or "began" in said:
        return InDoubt(name, seconds, accepted=True, why=why)
    return Refused(
        name,
        f"the batch system said that it took the job, in words without a job id: {unread[:500]!r}; "
        f"{seconds:.0f} s later it lists no job named {name}. It is not submitted again: see whether "
        "a wrapper of sbatch or qsub on the cluster changes what they print or the job's name "
        "(cluster.batch_system.bin_directory leads past it)",
    )


def _split_answer(text: str) -> SubmitAnswer:
    code, _, rest = text.partition("\n")
    stdout, _, stderr = rest.partition("\n--\n")
    return SubmitAnswer(int(code) if code.isdigit() else 1, stdout, stderr)


def _from_answer(name: str, answer: SubmitAnswer, batch: BatchSystem) -> Answer | Unread:
    if answer.code == 0:
        job_id = batch.parse_submit(answer)
        return Unread(name) if job_id is None else Submitted(name, job_id)
    message = (answer.stderr.strip() or answer.stdout.strip() or _wordless(answer.code))[:2000]
    if answer.code == NOT_FOUND:
        message += "; set cluster.batch_system.bin_directory to the directory of its commands"
        return Refused(name, message, backpressure=True)
    is_full = bool(_FULL.search(message))
    return Refused(name, message, backpressure=is_full or batch.is_backpressure(answer))


_FULL = re.compile(r"No space left on device|Disk quota exceeded")
"""A disk where the commands of a batch system work: time mends it, for all trials alike."""


def _wordless(code: int) -> str:
    """Where the command's words were kept in a file that had no room for them, for one."""
    return f"exit code {code}, without a word (is a disk full there?)"

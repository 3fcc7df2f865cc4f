"""Asking about all jobs in flight in one round trip: their states and their new files.

The batch system is listed first and the files are read after it, so that a job that ends between
the two shows its result, never its absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scheduler.batch_system import BatchSystem
from scheduler.errors import SchedulerAway
from scheduler.job import JobRef, Listing, Observation
from scheduler.plain import printable
from scheduler.sentinel import PROGRAM, read_sentinel
from scheduler.shell import FRAMES, Frame, heredoc, home_path
from training.contract import MAX_RESULT_BYTES

MAX_METRICS_BYTES = 256 * 1024
"""New metric lines of one job in one poll; what is left comes with the next."""
WHOLE_FILE_BYTES = 64 * 1024
"""Up to this size a metrics file is read from its beginning, by one process for all of them."""
STDERR_TAIL_BYTES = 4000

_LISTING = """
cd "$PH_ROOT" || exit 95
ph_err=$(ph_temporary) || ph_err=/dev/null
ph_out=$(ph_list 2> "$ph_err")
ph_code=$?
ph_text listing "$ph_code" "$ph_out"
[ "$ph_err" = /dev/null ] || { ph_text errors - "$(head -c 4000 "$ph_err")"; rm -f "$ph_err"; }
set --
while read -r ph_name ph_dir ph_offset; do
  [ -s "$ph_dir/metrics.jsonl" ] && set -- "$@" "$ph_dir/metrics.jsonl"
done"""

# Sizes come in the order of the jobs: one `wc` for all, and one pass over both; then one `awk` brings
# the news of all files of ordinary size. A poll of a hundred jobs must not start hundreds of
# processes. The exit code, which is written last, is read before the result: a result that is read
# after it is whole.
_FILES = """
ph_news() {
  awk -v nonce="$ph_nonce" '{
    at = 0; text = ""
    while ((getline line < $4) > 0) {
      end = at + length(line) + 1
      if (end > $2 && end <= $3) text = text substr(line, ($2 > at ? $2 - at : 0) + 1) "\\n"
      at = end
    }
    close($4)
    if (text == "") next
    printf "\\n@%s metrics %s %d\\n", nonce, $1, length(text)
    printf "%s", text
  }'
}
ph_sizes=
ph_grown=
[ "$#" -gt 0 ] && ph_sizes=$(wc -c "$@" 2>/dev/null)
exec 3<<PH_SIZES
$ph_sizes
PH_SIZES
read -r ph_size ph_file <&3
while read -r ph_name ph_dir ph_offset; do
  if [ -e "$ph_dir/lock" ]; then
    ph_holder=
    [ -s "$ph_dir/lock/job" ] && read -r ph_holder < "$ph_dir/lock/job"
    ph_text started "$ph_name" "$ph_holder"
  fi
  if [ "$ph_file" = "$ph_dir/metrics.jsonl" ]; then
    ph_new=$((ph_size - ph_offset))
    if [ "$ph_new" -gt 0 ] && [ "$ph_size" -le WHOLE_MAX ]; then
      ph_grown="$ph_grown$ph_name $ph_offset $ph_size $ph_file
"
    elif [ "$ph_new" -gt 0 ]; then
      [ "$ph_new" -gt METRICS_MAX ] && ph_new=METRICS_MAX
      ph_bytes metrics "$ph_name" "$ph_file" "$ph_new" "$ph_offset"
    fi
    read -r ph_size ph_file <&3 || ph_file=
  fi
  if [ -s "$ph_dir/exit_code" ]; then
    ph_exit=
    read -r ph_exit < "$ph_dir/exit_code"
    ph_text exit "$ph_name" "$ph_exit"
    [ -s "$ph_dir/job.err" ] && ph_text stderr "$ph_name" "$(tail -c STDERR_MAX "$ph_dir/job.err")"
  elif [ -e "$ph_dir/exit_code" ]; then
    ph_text unsaid "$ph_name" ""
  elif [ ! -e "$ph_dir/lock" ] && [ -s "$ph_dir/job.err" ]; then
    # One that never began: what should have launched it says why.
    ph_text stderr "$ph_name" "$(tail -c STDERR_MAX "$ph_dir/job.err")"
  elif [ ! -e "$ph_dir/lock" ] && [ -s "$ph_dir/../exit_code" ] && [ -s "$ph_dir/../job.err" ]; then
    # A trial of a job that has ended, and that never began: what started it may say why.
    ph_text stderr "$ph_name" "$(tail -c STDERR_MAX "$ph_dir/../job.err")"
  fi
  if [ -f "$ph_dir/results.json" ]; then
    ph_text exists "$ph_name" ""
    ph_new=$(wc -c < "$ph_dir/results.json") && ph_new=$((ph_new))
    [ "$ph_new" -gt RESULT_MAX ] && ph_new=RESULT_MAX
    ph_bytes result "$ph_name" "$ph_dir/results.json" "$ph_new" 0
  fi
done"""


def poll_script(jobs: Sequence[JobRef], batch: BatchSystem, root: str, nonce: str) -> str:
    """The script that asks about `jobs`."""
    rows = heredoc("".join(f"{job.name} {job.directory} {job.metrics_offset}\n" for job in jobs))
    files = (
        _FILES.replace("METRICS_MAX", str(MAX_METRICS_BYTES))
        .replace("RESULT_MAX", str(MAX_RESULT_BYTES + 1))
        .replace("WHOLE_MAX", str(WHOLE_FILE_BYTES))
        .replace("STDERR_MAX", str(STDERR_TAIL_BYTES))
    )
    return (
        f"ph_nonce={nonce}\nPH_ROOT={home_path(root)}\n{FRAMES}"
        f"ph_list() {{\n{batch.list_shell(one_a_job(jobs))}\n}}\n"
        f"{_LISTING}{rows}{files}{rows}"
        '[ -z "$ph_grown" ] || printf "%s" "$ph_grown" | ph_news\n'
        "ph_text end - ''\n"
    )


def one_a_job(jobs: Sequence[JobRef]) -> list[JobRef]:
    """One reference to each job of the batch system; trials may share one."""
    return list({job.job_id or job.batch_name: job for job in jobs}.values())


def read_observations(
    frames: Iterable[Frame], jobs: Sequence[JobRef], batch: BatchSystem
) -> dict[str, Observation]:
    """What a poll's output says of each of `jobs`, by name.

    Raises SchedulerAway where the batch system did not answer, or the script did not come to its end
    (a shell there that could not start another process): then nothing is known of any job.
    """
    by_name: dict[str, dict[str, bytes]] = {}
    listing: Frame | None = None
    errors, is_whole = "", False
    for frame in frames:
        if frame.kind == "listing":
            listing = frame
        elif frame.kind == "errors":
            errors = frame.content.decode(errors="replace")
        elif frame.kind == "end":
            is_whole = True
        else:
            by_name.setdefault(frame.name, {})[frame.kind] = frame.content
    if listing is None:
        raise SchedulerAway(f"the poll's output holds no listing of {batch.name} jobs")
    listed = batch.parse_listing(
        jobs, int(listing.name), listing.content.decode(errors="replace"), errors
    )
    if not is_whole:
        raise SchedulerAway("the poll broke off over the jobs' files")
    return {job.name: _observation(job, listed, by_name.get(job.name, {})) for job in jobs}


def _observation(
    job: JobRef, listed: Mapping[str, Listing], files: Mapping[str, bytes]
) -> Observation:
    sentinel = read_sentinel(files.get("exit", b"").decode(errors="replace"))
    return Observation(
        name=job.name,
        listing=listed.get(job.job_id) if job.job_id else None,
        started="started" in files,
        exit_code=sentinel.code if sentinel else None,
        result=files.get("result"),
        new_metrics=files.get("metrics", b""),
        stderr_tail=printable(files.get("stderr", b"").decode(errors="replace")),
        holder=files.get("started", b"").decode(errors="replace").strip() or None,
        is_sentinel_empty="unsaid" in files,
        is_result_unread="exists" in files and "result" not in files,
        ended_by=sentinel.by if sentinel else PROGRAM,
    )

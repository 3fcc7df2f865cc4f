"""The Slurm batch system: sbatch, squeue, and for what squeue has forgotten sacct or scontrol.

Seen to work with Slurm 22.05. Nothing here needs Slurm's JSON output: it is several times slower,
changes between versions, and a controller that is down gives an empty list with exit code 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from scheduler.batch import slurm_listing, slurm_states
from scheduler.batch.directives import check_directive
from scheduler.batch.identity import SAY_ROOT, root_in
from scheduler.batch_system import CUT_OFF, SubmitAnswer
from scheduler.errors import SchedulerAway, SchedulerError
from scheduler.job import JobRef, Listing, Resources
from scheduler.settings import SlurmBatchSettings
from scheduler.shell import quote

# Variables of a caller that itself runs inside a job, or has defaults in its profile, would
# override the script's directives (sbatch: command line, then environment, then script) and leak
# into the job. How to reach the controller and who we are stays.
_PREPARE = r"""
for ph_variable in $(awk 'BEGIN { for (name in ENVIRON)
    if (name ~ /^(SLURM|SBATCH|SQUEUE|SACCT|SCANCEL|SCONTROL)_[A-Z0-9_]+$/ &&
        name !~ /^SLURM_(CONF|CONF_SERVER|JWT|SACK_SOCKET)$/) print name }'); do
  unset "$ph_variable"
done
ph_me=$(id -u)
if command -v timeout > /dev/null 2>&1; then
  ph_timed() { timeout -k 5 "$ph_limit" "$@"; }
else
  ph_timed() { "$@"; }
fi
"""

_SUBMIT = """
ph_submit() {
  ph_own_locale
  ph_timed sbatch --parsable ${ph_clusters:+-M "$ph_clusters"} \\
    --job-name="$2" "$1" < /dev/null
}
"""

# A job's name is anybody's text, and Slurm takes line breaks in it: what counts as a row, or as a field of
# the books, bears the mark of this script, which no name can know. Each row is followed by one of the job's
# directory.
_ROWS = r"""
ph_squeue() {
  ph_rows=$(ph_timed squeue -h -t all "$@" -o "$ph_nonce|Q|%i|%T|%j|%r
$ph_nonce|P|%i|%Z" < /dev/null) || return $?
  ph_rows=$(printf '%s\n' "$ph_rows" | sed -n "s/^$ph_nonce|//p")
}
ph_sacct() {
  ph_rows=$(ph_timed sacct -X -n -P --delimiter="|$ph_nonce|" "$@" \
    -o JobID,State,ExitCode,Cluster,WorkDir,JobName < /dev/null 2>&1) || return $?
  ph_rows=$(printf '%s\n' "$ph_rows" | awk -F "[|]$ph_nonce[|]" 'NF > 5 && /^[0-9]/ {
    printf "A|%s|%s|%s|%s|%s\nP|%s|%s\n", $1, $2, $3, $6, $4, $1, $5 }')
}
"""

# squeue forgets a job that ended (MinJobAge, 5 minutes by default), the accounting does not: where
# it cannot be asked, the code is 2.
_FIND = """
ph_find_in() {
  ph_squeue ${1:+-M "$1"} -u "$ph_me" --name="$2" || return 1
  if [ -z "$ph_rows" ]; then
    ph_sacct ${1:+-M "$1"} --name="$2" -S now-7days || case $? in
      127) return 0 ;;
      *) case $ph_rows in *'storage is disabled'*) return 0 ;; *) return 2 ;; esac ;;
    esac
  fi
  printf 'CLUSTER: %s\\n%s\\n' "$1" "$ph_rows"
}
ph_find() {
  [ -n "$ph_clusters" ] || { ph_find_in '' "$1"; return; }
  ph_books=0
  for ph_cluster in $(printf '%s' "$ph_clusters" | tr ',' ' '); do
    ph_find_in "$ph_cluster" "$1"
    case $? in 0) ;; 2) ph_books=2 ;; *) return 1 ;; esac
  done
  return $ph_books
}
"""

# A single id that squeue has forgotten is an error, one of several is not: a single one is asked
# for twice, so that an error always means trouble. What squeue does not list is looked up in the
# books; how a job failed (its exit code, at once) the controller alone knows, with accounting or
# without.
_LIST = r"""
ph_list_cluster() {
  ph_squeue ${1:+-M "$1"} --jobs="$2" || return $?
  printf '%s\n' "$ph_rows"
  for ph_id in $(printf '%s\n' "$ph_rows" | sed -n 's/^Q|\([0-9_]*\)|FAILED|.*/\1/p' | head -n 50); do
    ph_timed scontrol -o ${1:+-M "$1"} show job "$ph_id" < /dev/null 2> /dev/null \
      | sed -n '1s/^JobId/C|&/p'
  done
  ph_ask=$(printf '%s\n' "$ph_rows" | awk -F '|' -v ids="$2" '
    $1 == "Q" { sub(/[^0-9].*/, "", $2); seen[$2] = 1 }
    END { count = split(ids, all, ",")
      for (i = 1; i <= count; i++) if (!(all[i] in seen)) {
        seen[all[i]] = 1; text = text (text == "" ? "" : ",") all[i] }
      print text }')
  [ -n "$ph_ask" ] || return 0
  ph_sacct ${1:+-M "$1"} -j "$ph_ask"
  ph_code=$?
  case $ph_code:$ph_rows in
    0:*) printf '%s\n' "$ph_rows" ;;
    127:* | *'storage is disabled'*) ;;
    *) printf '%s\n' "$ph_ask" | tr ',' '\n' | sed 's/^/U|/' ;;
  esac
}
"""

# A number may have come to another job of mine, so it is cancelled together with its name; one that was
# renamed is known by where it lies, which one look tells of all.
_CANCEL = """
ph_failed=0
ph_lie=$(ph_timed squeue -h ${ph_clusters:+-M "$ph_clusters"} -u "$ph_me" -o '%i|%Z' < /dev/null) ||
  ph_failed=1
while read -r ph_name ph_id ph_cluster ph_dir; do
  [ "$ph_id" != - ] || ph_id=
  [ "$ph_cluster" != - ] || ph_cluster=
  ph_by_name=--name=$ph_name
  case "
$ph_lie
" in *"
$ph_id|$PH_ROOT/$ph_dir
"*) ph_by_name= ;; esac
  ph_said=$(ph_timed scancel ${ph_cluster:+-M "$ph_cluster"} -u "$ph_me" \\
    ${ph_by_name:+"$ph_by_name"} ${ph_id:+"$ph_id"} 2>&1 < /dev/null) && continue
  case $ph_said in
    *'Invalid job id'* | *'already completing or completed'*) ;;
    *) printf '%s\\n' "$ph_said" >&2; ph_failed=1 ;;
  esac
done"""

_OURS = frozenset({"array", "chdir", "clusters", "export-file", "job-name", "parsable"})
_OURS_TOO = frozenset({"quiet", "test-only", "verbose", "wait", "wrap", "help", "usage", "version"})


class SlurmBatch:
    """Implements `scheduler.batch_system.BatchSystem`."""

    name = "slurm"
    script_name = "job.slurm"
    job_id_variable = '"${SLURM_JOB_ID:-}"'
    close_descriptors = ""
    files_lag = True
    enforces_walltime = True
    inside_a_job = False

    def __init__(self, settings: SlurmBatchSettings) -> None:
        self._settings = settings

    def directives(self, name: str, resources: Resources) -> list[str]:
        """``#SBATCH`` lines. A further directive replaces ours of the same name.

        Never requeued by itself unless asked for (sites differ in the default): a preempted job
        comes back as a new attempt, with a directory of its own.
        """
        options: dict[str, str | int | None] = {"job-name": name, "output": "slurm.log"}
        if "requeue" not in resources.directives:
            options["no-requeue"] = None
        asked = {
            "nodes": resources.nodes,
            "ntasks": resources.tasks,
            "cpus-per-task": resources.cpus,
            "mem": None if resources.memory_mb is None else f"{resources.memory_mb}M",
            "gres": _gres(resources),
            "time": _time(resources.walltime_seconds),
            "partition": resources.queue,
            "account": resources.account,
        }
        options.update({key: value for key, value in asked.items() if value is not None})
        for key, value in resources.directives.items():
            check_directive(key, value, reserved=_OURS | _OURS_TOO)
            options[key] = value
        for key, value in options.items():
            check_directive(key, value)
        return [
            f"#SBATCH --{key}" if value is None else f"#SBATCH --{key}={_word(value)}"
            for key, value in options.items()
        ]

    def submit_shell(self) -> str:
        return self._prepare() + _SUBMIT

    def find_shell(self) -> str:
        return self._prepare() + _ROWS + _FIND

    def list_shell(self, jobs: Sequence[JobRef]) -> str:
        by_cluster: dict[str, list[str]] = {}
        for job in jobs:
            if job.job_id is not None:
                number, _, cluster = job.job_id.partition(";")
                by_cluster.setdefault(cluster, []).append(number)
        calls = "".join(
            f"printf 'CLUSTER: %s\\n' {quote(cluster)}\n"
            f"ph_list_cluster {quote(cluster)} {quote(_comma(numbers))} || return $?\n"
            for cluster, numbers in by_cluster.items()
        )
        return f"{self._prepare()}{SAY_ROOT}{_ROWS}{_LIST}{calls}echo 'END|'"

    def cancel_shell(self, jobs: Sequence[JobRef]) -> str:
        rows = "".join(_cancel_row(job, self._settings.clusters) for job in jobs)
        mark = "PH_CANCEL"
        return f"{self._prepare()}{_CANCEL} <<'{mark}'\n{rows}{mark}\n[ \"$ph_failed\" = 0 ]\n"

    def _prepare(self) -> str:
        where = self._settings.bin_directory
        path = f"PATH={quote(where)}:$PATH\n" if where else ""
        return (
            f"{path}ph_limit={math.ceil(self._settings.command_timeout)}\n"
            f"ph_clusters={quote(self._settings.clusters or '')}\n{_PREPARE}"
        )

    def parse_submit(self, answer: SubmitAnswer) -> str | None:
        for line in reversed(answer.stdout.split("\n")):
            bare = re.fullmatch(r"(\d+)(?:;([\w.-]+))?", line.strip())
            told = re.fullmatch(
                r"Submitted batch job (\d+)(?: on cluster ([\w.-]+))?", line.strip()
            )
            match = bare or told
            if match:
                return match[1] if match[2] is None else f"{match[1]};{match[2]}"
        return None

    def is_backpressure(self, answer: SubmitAnswer) -> bool:
        said = answer.stderr + answer.stdout
        return answer.code != 0 and bool(slurm_states.BACKPRESSURE.search(said))

    def is_away(self, answer: SubmitAnswer) -> bool:
        if answer.code in CUT_OFF:
            return True
        return answer.code != 0 and bool(slurm_states.AWAY.search(answer.stderr + answer.stdout))

    def parse_found(self, stdout: str) -> list[str]:
        rows = slurm_listing.read_rows(stdout)
        numbers = sorted({(int(row.number), row.cluster) for row in rows})
        with_cluster = self._settings.clusters is not None
        return [
            f"{number};{cluster}" if with_cluster and cluster else str(number)
            for number, cluster in numbers
        ]

    def parse_listing(
        self, jobs: Sequence[JobRef], code: int, stdout: str, stderr: str
    ) -> Mapping[str, Listing]:
        said = stderr.strip()[-500:]
        if code == 127:
            raise SchedulerAway(
                "squeue was not found on the cluster: " + said,
                remedy="set cluster.batch_system.bin_directory to the directory of Slurm's commands",
            )
        if code in (124, 137):
            raise SchedulerAway("squeue hung and was ended after its time limit")
        if code != 0 or slurm_states.AWAY.search(stderr):
            raise SchedulerAway(f"squeue failed (exit code {code}): {said}")
        if not stdout.rstrip().endswith("END|"):
            raise SchedulerAway(f"squeue's listing is cut short: {said or stdout[-200:]!r}")
        return slurm_listing.read_listing(jobs, slurm_listing.read_rows(stdout), root_in(stdout))


def _gres(resources: Resources) -> str | None:
    """GPUs per node, unless a directive asks for GPUs in a way of its own."""
    if not resources.gpus or any("gpu" in key or key == "gres" for key in resources.directives):
        return None
    kind = f":{resources.gpu_type}" if resources.gpu_type else ""
    return f"gpu{kind}:{resources.gpus}"


def _time(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}"


def _word(value: str | int) -> str:
    """A value as sbatch's own reader of ``#SBATCH`` lines takes it: quoted where it has spaces."""
    text = str(value)
    if not re.search(r"[\s#\"'\\]", text):
        return text
    if '"' in text or "\\" in text:
        raise SchedulerError(f"a directive cannot hold quotes or backslashes: {text!r}")
    return f'"{text}"'


def _comma(numbers: list[str]) -> str:
    return ",".join(numbers * 2 if len(numbers) == 1 else numbers)


def _cancel_row(job: JobRef, clusters: str | None) -> str:
    number, _, cluster = (job.job_id or "-").partition(";")
    return f"{job.batch_name} {number} {cluster or clusters or '-'} {job.batch_directory}\n"

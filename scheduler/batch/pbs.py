"""The PBS batch system (OpenPBS, PBS Professional): qsub, qstat, qselect, qdel.

Listings are asked for as ``-F dsv``, one line a job with escapes of its own, for all jobs in one
call. ``-F json`` is not used: clients of 23.06 write JSON that is none (``nan``, ``+5``, a lone
backslash, numbers for names), and those of 2026 give one job where several are asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from scheduler.batch import pbs_listing, pbs_states
from scheduler.batch.directives import check_directive
from scheduler.batch.identity import SAY_ROOT, root_in
from scheduler.batch_system import CUT_OFF, SubmitAnswer
from scheduler.errors import SchedulerAway, SchedulerError
from scheduler.job import JobRef, Listing, Resources
from scheduler.plain import in_one_line
from scheduler.settings import PbsBatchSettings
from scheduler.shell import quote

# PBS_DPREFIX would change what a directive is. What says where the server is stays.
_PREPARE = r"""
for ph_variable in $(awk 'BEGIN { for (name in ENVIRON)
    if (name ~ /^PBS_[A-Z0-9_]+$/ && name !~ /^PBS_(DEFAULT|SERVER|CONF_FILE|EXEC|HOME)$/)
      print name }'); do
  unset "$ph_variable"
done
ph_me=$(id -un)
if command -v timeout > /dev/null 2>&1; then
  ph_timed() { timeout -k 5 "$ph_limit" "$@"; }
else
  ph_timed() { "$@"; }
fi
ph_pbs_name() {
  ph_short=$1
  while [ "${#ph_short}" -gt "$ph_name_length" ]; do ph_short=${ph_short#?}; done
  while :; do case $ph_short in [.+_-]*) ph_short=${ph_short#?} ;; *) break ;; esac; done
}
"""

_SUBMIT = """
ph_submit() {
  ph_pbs_name "$2"
  ph_own_locale
  ph_timed qsub -N "$ph_short" -j oe -o "$PWD/LOG" "$1" < /dev/null
}
""".replace("LOG", pbs_listing.LOG)

# Without a job history, -x is answered with exit code 0 and a line on stderr: asked again without.
_FIND = f"""
ph_find() {{
  ph_pbs_name "$1"
  ph_rows=$(ph_timed qselect -x -N "$ph_short" -u "$ph_me" 2>&1 < /dev/null) || return 1
  case $ph_rows in
    *'{pbs_states.NO_HISTORY}'*)
      ph_rows=$(ph_timed qselect -N "$ph_short" -u "$ph_me" < /dev/null) || return 1 ;;
  esac
  printf '%s\\n' "$ph_rows"
}}
"""

# Of each line only the attributes that count come back: a job's variables are kilobytes.
BRIEF = r"""
ph_brief() {
  awk -F '|' -v keep="$ph_keep" '
    BEGIN { split(keep, names, " "); for (i in names) wanted[names[i]] = 1 }
    /^Job Id: / {
      out = $1; part = ""
      for (i = 2; i <= NF; i++) {
        part = part $i
        if (match($i, /\\+$/) && RLENGTH % 2) { part = part "|"; continue }
        if (substr(part, 1, index(part, "=") - 1) in wanted) out = out "|" part
        part = ""
      }
      print out
    }'
}
"""
"""``ph_brief``: rows of ``qstat -F dsv``, cut down to the attributes that ``ph_keep`` names."""

_LIST = (
    BRIEF
    + r"""
ph_ask() {
  ph_rows=$(ph_timed qstat "$@" < /dev/null 2> "$ph_said")
  ph_code=$?
  printf '%s\n' "$ph_rows" | ph_brief
}
ph_list_jobs() {
  ph_said=$(ph_temporary) || { echo 'CODE|none'; return; }
  ph_ask -x -f -F dsv "$@"
  if grep -q 'HISTORY' "$ph_said"; then ph_ask -f -F dsv "$@"; fi
  cat "$ph_said" >&2
  rm -f "$ph_said"
  echo "CODE|$ph_code"
}
""".replace("HISTORY", pbs_states.NO_HISTORY)
)

_CANCEL = """
ph_failed=0
while read -r ph_name ph_id; do
  [ "$ph_id" != - ] || ph_id=$(ph_find "$ph_name") || ph_failed=1
  for ph_one in $ph_id; do
    ph_out=$(ph_timed qdel "$ph_one" 2>&1 < /dev/null)
    case $?:$ph_out in
      0:* | 35:* | 153:* | *'invalid for state'*) ;;
      *) printf '%s\\n' "$ph_out" >&2; ph_failed=1 ;;
    esac
  done
done"""

_OPTIONS = {
    "hold": "h",
    "mail-type": "m",
    "mail-user": "M",
    "priority": "p",
    "project": "P",
    "rerunnable": "r",
    "keep-files": "k",
    "begin": "a",
}
"""Directives that are options of qsub."""
_ATTRIBUTES = frozenset({"depend", "group_list", "sandbox", "stagein", "stageout", "umask", "run_count",
                         "tolerate_node_failures", "release_nodes_on_stageout"})  # fmt: skip
"""Directives that are job attributes (``-W name=value``); all others are resources (``-l``)."""
_KNOWN = frozenset({*_OPTIONS, *_ATTRIBUTES, "place", "select", "walltime"})
# `block` would have qsub wait for the job's end.
_OURS = frozenset({"name", "output", "error", "join", "array", "block", "interactive",
                   "variable_list"})  # fmt: skip

_LONGEST_CALL = 200
"""Jobs in one qstat: a command line has a length limit."""


class PbsBatch:
    """Implements `scheduler.batch_system.BatchSystem`."""

    name = "pbs"
    script_name = "job.pbs"
    job_id_variable = '"${PBS_JOBID:-}"'
    close_descriptors = ""
    files_lag = True
    enforces_walltime = True
    inside_a_job = False

    def __init__(self, settings: PbsBatchSettings) -> None:
        self._settings = settings

    def directives(self, name: str, resources: Resources) -> list[str]:
        """``#PBS`` lines. A further directive replaces ours of the same name.

        Not rerunnable unless asked for: a preempted job comes back as a new attempt.
        """
        lists: dict[str, str | int] = {"select": _select(resources)}
        if resources.walltime_seconds is not None:
            lists["walltime"] = _time(resources.walltime_seconds)
        options: dict[str, str | int | None] = {"r": "n"}
        attributes: dict[str, str | int] = {}
        for letter, said in {"q": resources.queue, "A": resources.account}.items():
            if said is not None:
                options[letter] = said
        for written, value in resources.directives.items():
            check_directive(written, value, reserved=_OURS, capitals=True)
            # Sites have resources with capitals; what PBS itself has is known in any case.
            key = written.lower() if written.lower() in _KNOWN else written
            if key in _OPTIONS:
                options[_OPTIONS[key]] = value
            elif value is None:
                raise SchedulerError(f"the directive {key!r} needs a value for PBS")
            elif key in _ATTRIBUTES:
                attributes[key] = value
            else:
                lists[key] = value
        rows = [("-" + key, value) for key, value in options.items()]
        rows += [("-l", f"{key}={value}") for key, value in lists.items()]
        rows += [("-W", f"{key}={value}") for key, value in attributes.items()]
        return [f"#PBS {key}" if value is None else f"#PBS {key} {_word(value)}"
                for key, value in rows]  # fmt: skip

    def submit_shell(self) -> str:
        return self._prepare() + _SUBMIT

    def find_shell(self) -> str:
        return self._prepare() + _FIND

    def list_shell(self, jobs: Sequence[JobRef]) -> str:
        calls = "".join(f"ph_list_jobs {' '.join(map(quote, ids))}\n" for ids in _calls(jobs))
        keep = quote(" ".join(pbs_listing.ATTRIBUTES))
        return f"{self._prepare()}{SAY_ROOT}ph_keep={keep}\n{_LIST}{calls}echo 'END|'"

    def cancel_shell(self, jobs: Sequence[JobRef]) -> str:
        rows = "".join(f"{job.batch_name} {job.job_id or '-'}\n" for job in jobs)
        mark = "PH_CANCEL"
        return (
            f"{self._prepare()}{_FIND}{_CANCEL} <<'{mark}'\n{rows}{mark}\n[ \"$ph_failed\" = 0 ]\n"
        )

    def _prepare(self) -> str:
        where = self._settings.bin_directory
        path = f"PATH={quote(where)}:$PATH\n" if where else ""
        return (
            f"{path}ph_limit={math.ceil(self._settings.command_timeout)}\n"
            f"ph_name_length={self._settings.name_length}\n{_PREPARE}"
        )

    def parse_submit(self, answer: SubmitAnswer) -> str | None:
        for line in reversed(answer.stdout.split("\n")):
            if re.fullmatch(r"\d+(\.[\w.-]+)?", line.strip()):
                return line.strip()
        return None

    def is_backpressure(self, answer: SubmitAnswer) -> bool:
        return answer.code != 0 and bool(pbs_states.BACKPRESSURE.search(_said(answer)))

    def is_away(self, answer: SubmitAnswer) -> bool:
        if answer.code in CUT_OFF or answer.code in pbs_states.AWAY_CODES:
            return True
        return answer.code != 0 and bool(pbs_states.AWAY.search(_said(answer)))

    def parse_found(self, stdout: str) -> list[str]:
        ids = re.findall(r"^(\d+(?:\.[\w.-]+)?)$", stdout, re.MULTILINE)
        return sorted(ids, key=lambda job_id: int(pbs_listing.number(job_id)))

    def parse_listing(
        self, jobs: Sequence[JobRef], code: int, stdout: str, stderr: str
    ) -> Mapping[str, Listing]:
        said = in_one_line(stderr)
        if not stdout.rstrip().endswith("END|"):
            raise SchedulerAway(f"qstat's listing is cut short (exit code {code}): {said}")
        codes = re.findall(r"^CODE\|(\d+|none)$", stdout, re.MULTILINE)
        if "none" in codes:
            raise SchedulerAway(
                "no temporary file can be made on the cluster, neither in $TMPDIR (/tmp) nor in the "
                "run's directory",
                remedy="make room there",
            )
        if len(codes) < len(_calls(jobs)):
            raise SchedulerAway(f"qstat was not asked about all jobs: {said}")
        for found in codes:
            if found == "127":
                raise SchedulerAway(
                    f"qstat was not found on the cluster: {said}",
                    remedy="set cluster.batch_system.bin_directory to the directory of PBS's "
                    "commands",
                )
            if int(found) in (124, 137):
                raise SchedulerAway("qstat hung and was ended after its time limit")
            if int(found) not in pbs_states.ANSWERED_CODES:
                raise SchedulerAway(f"qstat failed (exit code {found}): {said}")
        names = {job.name: pbs_name(job.batch_name, self._settings.name_length) for job in jobs}
        rows = pbs_listing.read_rows(stdout)
        return pbs_listing.read_listing(jobs, rows, names, root_in(stdout))


def _calls(jobs: Sequence[JobRef]) -> list[list[str]]:
    """The ids of each call of qstat."""
    ids = list(dict.fromkeys(job.job_id for job in jobs if job.job_id is not None))
    return [ids[start : start + _LONGEST_CALL] for start in range(0, len(ids), _LONGEST_CALL)]


def pbs_name(name: str, length: int) -> str:
    """`name` as PBS knows it: its end, where the part that makes it unique is."""
    return name[-length:].lstrip(".+_-")


def _said(answer: SubmitAnswer) -> str:
    return answer.stderr + answer.stdout


def _select(resources: Resources) -> str:
    """Chunks, one a node. Every resource of a node is in its chunk."""
    if resources.gpu_type is not None and "select" not in map(str.lower, resources.directives):
        raise SchedulerError(
            "PBS has no common name for a type of GPU: write the whole request as a directive, "
            "such as select: '1:ncpus=8:ngpus=1:gpu_type=a100' with the site's own name, "
            "and take gpu_type out"
        )
    parts = [str(resources.nodes)]
    for key, value in {
        "ncpus": resources.cpus,
        "ngpus": resources.gpus or None,
        "mem": None if resources.memory_mb is None else f"{resources.memory_mb}mb",
        "mpiprocs": None if resources.tasks is None else -(-resources.tasks // resources.nodes),
    }.items():
        if value is not None:
            parts.append(f"{key}={value}")
    return ":".join(parts)


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _word(value: str | int) -> str:
    text = str(value)
    if not re.search(r"[\s#\"'\\]", text):
        return text
    if '"' in text or "\\" in text:
        raise SchedulerError(f"a directive cannot hold quotes or backslashes: {text!r}")
    return f'"{text}"'

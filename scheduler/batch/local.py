"""The local batch system: a queue of child processes with a fixed number of slots, no daemon.

Jobs outlive the orchestrator, and waiting ones go on to be started without it. Needs Linux with
util-linux (``flock``, ``setsid``) and coreutils (``timeout``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from scheduler.batch_system import SubmitAnswer
from scheduler.errors import SchedulerAway
from scheduler.job import Cause, JobRef, JobState, Listing, Resources
from scheduler.packing import launch_text
from scheduler.plain import in_one_line
from scheduler.script import data_text, polite_signal, rendered_text
from scheduler.settings import LocalBatchSettings
from scheduler.shell import heredoc, quote
from training.contract import STOP_FILE

_STATES = {
    "waiting": (JobState.QUEUED, "waits for a free slot"),
    "running": (JobState.RUNNING, ""),
    "ended": (JobState.ENDED, ""),
    "cancelled": (JobState.ENDED, "cancelled while it waited"),
    "died": (JobState.ENDED, "its processes are gone without an exit code (killed, or a reboot)"),
}

_PREPARE = """
ph_queue=$PH_ROOT/queue
mkdir -p "$ph_queue/waiting" "$ph_queue/running" "$ph_queue/ended" "$ph_queue/cancelled" \
  "$ph_queue/launchers"
ph_workers() {
  ph_own_locale
  ph_slot=0
  while [ "$ph_slot" -lt "$ph_slots" ]; do
    setsid sh -c "$ph_worker" worker "$ph_queue" "$ph_slot" < /dev/null > /dev/null 2>&1 &
    ph_slot=$((ph_slot + 1))
  done
}
ph_runs() {
  [ -e "$ph_queue/running/$1" ] && ! ( flock -n 7 ) 7< "$ph_queue/running/$1"
}
"""

_SUBMIT = """
ph_submit() {
  printf '%s\\n' "$PWD/$1" > "$ph_queue/$2.new" && mv "$ph_queue/$2.new" "$ph_queue/waiting/$2" \
    || return 1
  ph_workers
  printf '%s\\n' "$2"
}
"""

_FIND = """
ph_find() {
  for ph_place in waiting running ended cancelled; do
    [ -e "$ph_queue/$ph_place/$1" ] && printf '%s\\n' "$1" && return 0
  done
  return 0
}
"""

# A file that moves between two looks is looked for again; only then is it said to be absent.
_LIST = """
ph_place_of() {
  for ph_look in 1 2 3; do
    for ph_place in waiting running ended cancelled; do
      [ -e "$ph_queue/$ph_place/$1" ] || continue
      [ "$ph_place" = running ] || return 0
      ph_runs "$1" && return 0
      # Not locked, and still there: it died. Else it has got its next place meanwhile.
      [ -e "$ph_queue/running/$1" ] && ph_place=died && return 0
    done
  done
  return 1
}
if [ -n "$(ls -A "$ph_queue/waiting")" ]; then
  # Workers have nobody to tell that the file system has no locks.
  ( flock -n 7 ) 7>> "$ph_queue/locks"
  ph_workers
fi
while read -r ph_name; do
  ph_place_of "$ph_name" && printf '%s %s\\n' "$ph_name" "$ph_place"
done
"""

# A job that has been taken and has not come to its lock yet finds it taken, and leaves. On another machine
# that sees the same file system its number is somebody else's: what launched it there, from here, is told;
# else its program is asked by a file.
_CANCEL = """
ph_tell_launcher() {
  ph_launcher=$(cat "$ph_queue/launchers/$ph_name" 2>/dev/null)
  [ "${ph_launcher% *}" = "$(uname -n)" ] && kill -SIGNAL "${ph_launcher#* }" 2>/dev/null
}
ph_end() {
  for ph_look in 1 2 3 4 5 6 7 8 9 10; do
    mkdir lock 2>/dev/null && return
    if [ -s lock/host ] && [ "$(cat lock/host)" != "$(uname -n)" ]; then
      ph_tell_launcher || : > STOP_FILE
      return
    fi
    [ -s lock/pid ] && { kill -TERM "$(cat lock/pid)" 2>/dev/null; return; }
    sleep 0.1
  done
}
while read -r ph_name ph_dir; do
  mv "$ph_queue/waiting/$ph_name" "$ph_queue/cancelled/$ph_name" 2>/dev/null && continue
  if [ -e "$ph_queue/running/$ph_name" ] && ph_runs "$ph_name"; then
    (cd "$PH_ROOT/$ph_dir" && ph_end)
  fi
done
""".replace("STOP_FILE", STOP_FILE)


class LocalBatch:
    """Implements `scheduler.batch_system.BatchSystem`."""

    name = "local"
    script_name = "job.sh"
    job_id_variable = '""'
    close_descriptors = "8<&-"
    enforces_walltime = False
    inside_a_job = False

    def __init__(self, settings: LocalBatchSettings) -> None:
        """Where jobs are launched onto other nodes, their files may lag."""
        self._settings = settings
        self.files_lag = bool(settings.launch)

    def directives(self, name: str, resources: Resources) -> list[str]:
        """None: there is nobody to read them. What cannot be had here is left out silently."""
        return []

    def submit_shell(self) -> str:
        return self._prepare() + _SUBMIT

    def find_shell(self) -> str:
        return self._prepare() + _FIND

    def list_shell(self, jobs: Sequence[JobRef]) -> str:
        names = "".join(f"{job.job_id or job.batch_name}\n" for job in jobs)
        return self._prepare() + _LIST.rstrip("\n") + heredoc(names)

    def cancel_shell(self, jobs: Sequence[JobRef]) -> str:
        names = "".join(f"{job.job_id or job.batch_name} {job.directory}\n" for job in jobs)
        cancel = _CANCEL.replace("SIGNAL", polite_signal(self._settings.launch))
        return self._prepare() + cancel.rstrip("\n") + heredoc(names) + "true\n"

    def _prepare(self) -> str:
        worker = quote(data_text("local/worker.sh").replace("# START\n", self._start()))
        return f"ph_slots={self._settings.slots}\nph_worker={worker}\n{_PREPARE}"

    def _start(self) -> str:
        settings = self._settings
        return rendered_text(
            "local/start.sh.j2",
            slots=settings.slots,
            pin=settings.pin,
            per_node=settings.per_node,
            launch=launch_text(settings.launch),
            needs_node=any("{node}" in word for word in settings.launch),
            placement=data_text("templates/placement.sh"),
        )

    def parse_submit(self, answer: SubmitAnswer) -> str | None:
        lines = answer.stdout.split()
        return lines[-1] if lines else None

    def is_backpressure(self, answer: SubmitAnswer) -> bool:
        """All that can fail is the writing of its queue."""
        return answer.code != 0

    def is_away(self, answer: SubmitAnswer) -> bool:
        return False

    def parse_found(self, stdout: str) -> list[str]:
        return stdout.split()

    def parse_listing(
        self, jobs: Sequence[JobRef], code: int, stdout: str, stderr: str
    ) -> Mapping[str, Listing]:
        missing = re.search(r"(flock|setsid|timeout): (?:command )?not found", stderr)
        if missing:
            raise SchedulerAway(
                f"the local batch system needs {missing.group(1)}, which this machine lacks",
                remedy="apt-get install util-linux coreutils",
            )
        if re.search(r"flock: .*(not implemented|not supported|No locks)", stderr):
            raise SchedulerAway(
                "the local batch system needs file locks, which the file system of the run's directory "
                f"does not give: {in_one_line(stderr)}",
                remedy="set directories.local_base (or cluster.remote_base) to another file system",
            )
        ours = {job.job_id or job.batch_name for job in jobs}
        rows = (line.split() for line in stdout.split("\n"))
        return {
            row[0]: _listing(row[0], row[1])
            for row in rows
            if len(row) == 2 and row[0] in ours and row[1] in _STATES
        }


def _listing(name: str, place: str) -> Listing:
    state, reason = _STATES[place]
    cause = {"cancelled": Cause.CANCELLED, "died": Cause.NODE_FAILURE}.get(place)
    return Listing(job_id=name, state=state, raw_state=place, reason=reason, cause=cause)

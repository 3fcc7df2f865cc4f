"""A cluster: a batch system reached by a transport, with one run directory on it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler.batch_system import BatchSystem
from scheduler.claim import TAKEN_OVER, Claim
from scheduler.errors import ConnectionLost, SchedulerAway, SchedulerError, StorageFull, TooSlow
from scheduler.job import InDoubt, JobRef, JobRequest, NeverSubmitted, Observation, Refused
from scheduler.polling import poll_script, read_observations
from scheduler.script import render
from scheduler.shell import home_path, parse_frames, quote
from scheduler.submission import (
    Answer,
    Mode,
    Unread,
    read_answers,
    submission,
)
from scheduler.transport import Completed, Transport
from training.contract import STOP_FILE

ROOT_MISSING = 95
CANNOT_WRITE = 94
ROUND_TRIP_SECONDS = 120.0
"""Time limit of one poll or submission; a hung scheduler command ends with it."""


class Cluster:
    """Submits, polls and cancels the jobs of one run, each verb one round trip.

    Every verb may raise `scheduler.errors.Away`; then nothing is known of what was asked, and
    asking again is safe.
    """

    def __init__(
        self,
        transport: Transport,
        batch: BatchSystem,
        base: str,
        run: str,
        template: Path | None = None,
    ) -> None:
        self.transport = transport
        self.batch = batch
        self.root = f"{base.rstrip('/')}/{run}"
        self._template = template
        self._prepared = False
        self._claim: Claim | None = None

    def prepare(
        self, *, known: bool = False, in_flight: bool = False, claim: Claim | None = None
    ) -> str | None:
        """Make the run directory and learn its absolute path. Idempotent. Returns from where else
        the run was worked on before, if `claim` tells that it is from here now.

        Raises SchedulerError where it cannot be made or is another run's, SchedulerAway where it had
        been made: `known` tells that jobs of this run were submitted before, in another process.
        While some of them are `in_flight` it is not made anew: where it is missing, this is another
        machine, or a file system is not there.
        """
        root, claiming = home_path(self.root), claim.shell() if claim is not None else ""
        make = "" if in_flight else f"mkdir -p {root} && "
        script = f"{make}cd {root} || exit 1\n{claiming}pwd -P\n"
        done = self._run(script)
        if done.code != 0:
            said = done.stderr.decode(errors="replace").strip()
            if known or self._prepared:
                raise self._missing(said)
            raise SchedulerError(
                f"cannot make {self.root} on {self.transport.name}: {said}; set cluster.remote_base "
                "(or directories.local_base) to a directory that you can write"
            )
        said = done.stdout.decode(errors="replace").strip("\n")
        self.root = said.split("\n")[-1]
        if claim is not None and (holder := claim.holder(said)) is not None:
            raise self._taken(holder)
        self._prepared = True
        self._claim = claim or self._claim
        return claim.left(said) if claim is not None else None

    def render(self, request: JobRequest) -> str:
        """The job script of a request, as it would be submitted."""
        return render(request, self.batch, self.root, self._template)

    def submit(
        self, requests: Sequence[JobRequest], again: frozenset[str] = frozenset()
    ) -> dict[str, Answer]:
        """Submit all `requests`, each at most once whatever happened before; answers by name.

        `again` names jobs of which it is certain that the batch system does not have them. A job in doubt for longer than any
        scheduler takes to own up to it is submitted anew (its lock keeps a twin from running).
        """
        scripts = {request.name: self.render(request) for request in requests}
        answers = self._submit(requests, scripts, again=again)
        stale = frozenset(
            name
            for name, answer in answers.items()
            if isinstance(answer, InDoubt) and answer.did_not_happen
        )
        if stale:
            rest = [request for request in requests if request.name in stale]
            answers.update(self._submit(rest, scripts, again=stale))
        return self._with_unread(requests, scripts, answers)

    def withdraw(self, requests: Sequence[JobRequest]) -> dict[str, Answer]:
        """Submit none of `requests`, which may have been submitted before: what became of that, by name.

        `NeverSubmitted` is certain, and stays so. A job in doubt has to be asked about again.
        """
        answers = self._submit(requests, {}, "withdraw")
        found = self._with_unread(requests, {}, answers)
        return {
            name: NeverSubmitted(name) if _is_certainly_none(answer) else answer
            for name, answer in found.items()
        }

    def _with_unread(
        self,
        requests: Sequence[JobRequest],
        scripts: Mapping[str, str],
        answers: Mapping[str, Answer | Unread],
    ) -> dict[str, Answer]:
        """The answers; jobs that were taken without an id that can be read are looked for by name."""
        unread = [request for request in requests if isinstance(answers[request.name], Unread)]
        found = {**answers, **(self._submit(unread, scripts, "find") if unread else {})}
        return {
            name: InDoubt(name, 0.0, accepted=True) if isinstance(answer, Unread) else answer
            for name, answer in found.items()
        }

    def _submit(
        self,
        requests: Sequence[JobRequest],
        scripts: Mapping[str, str],
        mode: Mode = "once",
        again: frozenset[str] = frozenset(),
    ) -> dict[str, Answer | Unread]:
        nonce = secrets.token_hex(8)
        sent = submission(requests, scripts, self.batch, self.root, nonce, mode, again)
        fence = self._claim.fence(self.root) if self._claim is not None else ""
        done = self._run(fence + sent.script, sent.stdin)
        self._check(done)
        answers = read_answers(parse_frames(done.stdout, nonce), self.batch)
        missing = [request.name for request in requests if request.name not in answers]
        if missing:
            raise ConnectionLost(f"no answer about {', '.join(missing[:3])} came back")
        return answers

    def poll(self, jobs: Sequence[JobRef]) -> dict[str, Observation]:
        """What can be seen of `jobs`, by name."""
        nonce = secrets.token_hex(8)
        script = poll_script(jobs, self.batch, self.root, nonce)
        done = self._run(script)
        self._check(done)
        return read_observations(parse_frames(done.stdout, nonce), jobs, self.batch)

    def cancel(self, jobs: Sequence[JobRef]) -> None:
        """Cancel `jobs`, whatever state they are in."""
        script = f"PH_ROOT={home_path(self.root)}\n{self.batch.cancel_shell(jobs)}"
        done = self._run(script)
        if done.code != 0:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise SchedulerAway(f"{self.batch.name} on {self.transport.name} cancelled nothing for "
                                f"certain: {said}")  # fmt: skip

    def ask_to_end(self, jobs: Sequence[JobRef]) -> None:
        """Leave a STOP file for each of `jobs`: its program ends after the current epoch.

        For a trial that shares its job with others, which go on.
        """
        files = "".join(f": > {quote(f'{job.directory}/{STOP_FILE}')}\n" for job in jobs)
        done = self._run(f"cd {home_path(self.root)} || exit {ROOT_MISSING}\n{files}true\n")
        self._check(done)

    def _run(self, script: str, stdin: bytes = b"") -> Completed:
        try:
            return self.transport.run(script, stdin=stdin, timeout=ROUND_TRIP_SECONDS)
        except TooSlow as error:
            error.remedy = (
                f"see whether `ls {home_path(self.root)}` hangs there too: then it is the file system, and "
                "the search goes on when that does"
            )
            raise

    def _missing(self, said: str) -> SchedulerAway:
        return SchedulerAway(
            f"{self.root} on {self.transport.name} is missing or not reachable: {said}",
            remedy=f"bring {self.root} back (is the file system mounted? is this the machine where the "
            "jobs were submitted?)",
        )

    def _taken(self, holder: str) -> SchedulerError:
        return SchedulerError(
            f"{self.root} on {self.transport.name} belongs to {holder}: its jobs would be taken for "
            "this one's. Nothing was started; tell runs apart by directories.run_pattern (with "
            "{timestamp}), choose another cluster.remote_base, or delete that directory if nobody "
            "needs it, and start a new run with --new"
        )

    def _check(self, done: Completed) -> None:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        if done.code == TAKEN_OVER:
            raise SchedulerError(
                f"{self.root} on {self.transport.name} has been taken over ({said.splitlines()[-1]}): "
                "this orchestrator submits nothing more there. Go on with one copy of the run alone; "
                "`resume` takes it over again"
            )
        if done.code == ROOT_MISSING:
            raise self._missing(said)
        if done.code == CANNOT_WRITE:
            raise StorageFull(
                f"cannot write to {self.root} on {self.transport.name}: {said}",
                remedy=f"make room in {self.root}",
            )


def _is_certainly_none(answer: Answer) -> bool:
    """Whether a submission made no job, as the batch system said then or its silence says since."""
    return isinstance(answer, Refused) or (isinstance(answer, InDoubt) and answer.did_not_happen)

"""A search in simulated time: an epoch takes its time, and what is known is what a poll has seen."""

import math
import random
from dataclasses import dataclass, field, replace

from agents.proposers.build import build_sampler
from agents.proposers.pending import with_pending
from agents.proposers.starters import StarterProposer
from agents.pruning import Pruning
from agents.trial import Job, StudyView, TrialState
from benchmarks.pruning import BUDGETS, EPOCHS
from training.contract import Curve, MetricLine

SPEEDS = 0.2
"""Nodes differ: the deviation of the logarithm of how long an epoch takes."""
JITTER = 0.1
"""Of the time between two polls."""


@dataclass
class Training:
    """One job."""

    start: float
    pace: float
    curve: list[float]
    seen: int = 0
    asked: bool = False
    spent: int = field(default=0)

    def __post_init__(self):
        self.end = len(self.curve)

    def done(self, now):
        """Epochs that have ended by then."""
        return max(0, min(self.end, math.floor((now - self.start) / self.pace + 1e-9)))

    def ask_to_end(self, now):
        """It sees the word at the end of its epoch."""
        self.asked, self.end = True, min(self.end, self.done(now) + 1)


class Cluster:
    """What `agents.pruning` asks of the ledger, the cluster and the watch."""

    def __init__(self, metric):
        self.metric, self.now = metric, 0.0
        self.jobs, self.completed, self._attributes = {}, [], {}

    def lines(self, trial):
        job = self.jobs[trial.number]
        return [
            MetricLine(step, None, {self.metric: value})
            for step, value in enumerate(job.curve[: job.seen], 1)
        ]

    def completed_points(self):
        return [self._points(number) for number in self.completed]

    def points(self):
        return {number: self._points(number) for number in self.jobs}

    def _points(self, number):
        job = self.jobs[number]
        return dict(enumerate(job.curve[: job.seen], 1))

    def attributes(self):
        return self._attributes

    def set_attribute(self, name, value):
        self._attributes[name] = value

    def refs(self, trials):
        return [trial.number for trial in trials]

    def ask_to_end(self, numbers):
        for number in numbers:
            self.jobs[number].ask_to_end(self.now)

    def changed(self):
        pass

    def spent(self):
        """Epochs of all jobs so far."""
        return sum(job.done(self.now) for job in self.jobs.values())


class Search:
    """One search with so many workers, until so many epochs are spent."""

    def __init__(self, task, seed, pruner, workers, interval, epochs=BUDGETS[-1]):
        self._epochs, self._trials = epochs, epochs // EPOCHS
        self._task, self._workers, self._interval = task, workers, interval
        self._settings = task.settings(
            experiment={"id": "bench", "seed": seed},
            proposer={"kind": "sampler"},
            pruner=pruner,
        )
        sampler = build_sampler(self._settings, task.space)
        self._mind = StarterProposer(task.space, [], sampler)
        self._view = StudyView("bench", task.metric, task.direction, [])
        self.cluster = Cluster(task.metric)
        self._pruning = Pruning(self.cluster, self.cluster, self.cluster)
        # The same luck for each arm: the k-th trial's does not depend on what else is drawn.
        self._luck = random.Random(f"{seed}")
        self._chance = random.Random(f"{seed} polls")
        self.winners = []
        """When a trial became the best: epochs that were spent by then, and its regret."""
        self.after = None
        """Epochs and regret when as many trials had ended as the epochs are enough for without a pruner."""

    def play(self):
        self._submit()
        while self.cluster.spent() < self._epochs or self.after is None:
            self.cluster.now += self._interval * (1 + JITTER * self._chance.random())
            self._poll()
            self._submit()
        return self

    @property
    def _running(self):
        return [trial for trial in self._view.trials if not trial.state.is_finished]

    def _poll(self):
        now, running = self.cluster.now, []
        for trial in self._running:
            job = self.cluster.jobs[trial.number]
            job.seen = job.done(now)
            if job.seen == job.end and now >= job.start + job.pace * job.end:
                self._end(trial, job)
            else:
                running.append(trial)
        due = self._pruning.due(running, self._settings)
        if due:
            self._pruning.end([trial for trial in running if trial.number in due], due)

    def _end(self, trial, job):
        steps = range(1, job.seen + 1)
        ended = {"curve": Curve(tuple(steps), tuple(job.curve[: job.seen]))}
        if job.seen == EPOCHS:
            ended |= {"state": TrialState.COMPLETED, "value": job.curve[-1]}
            self.cluster.completed.append(trial.number)
        else:
            ended["state"] = TrialState.PRUNED if job.asked else TrialState.FAILED
        trials = list(self._view.trials)
        trials[trial.number] = replace(trial, **ended)
        before = self._view.best
        self._view = replace(self._view, trials=trials)
        if self._view.best is not before and (now := self._view.best) is not None:
            self.winners.append((self.cluster.spent(), self._task.regret(now.parameters)))
        finished = sum(one.state.is_finished for one in trials)
        if finished >= self._trials and self.after is None:
            self.after = (self._spent_by(finished), self.winners[-1][1] if self.winners else None)

    def _spent_by(self, count):
        jobs = self.cluster.jobs
        ended = [one.number for one in self._view.trials if one.state.is_finished]
        return sum(jobs[number].end for number in ended)

    def _submit(self):
        free = self._workers - len(self._running)
        if free <= 0:
            return
        proposed = self._mind.propose(self._view, free)
        start = len(self._view.trials)
        view = with_pending(self._view, proposed.proposals)
        trials = list(view.trials)
        for number in range(start, len(trials)):
            job = Job(f"job_{number}", f"job_{number}", job_id=str(number))
            trials[number] = replace(trials[number], job=job)
            curve = self._task.curve(trials[number].parameters, self._luck)
            pace = math.exp(self._luck.gauss(0.0, SPEEDS))
            self.cluster.jobs[number] = Training(self.cluster.now, pace, curve)
        self._view = replace(view, trials=trials, sampler_state=proposed.sampler_state)

    def results(self):
        """At each budget the regret of the winner (None: nothing had completed), and counts."""
        states = [trial.state for trial in self._view.trials]
        return {
            "regret": [
                next((r for spent, r in reversed(self.winners) if spent <= budget), None)
                for budget in BUDGETS
                if budget <= self._epochs
            ],
            "found": min(
                self._task.regret(trial.parameters)
                for trial in self._view.trials
                if trial.state is TrialState.COMPLETED
            ),
            "after": list(self.after),
            "trials": len(states),
            "completed": states.count(TrialState.COMPLETED),
            "pruned": states.count(TrialState.PRUNED),
        }

"""A private Optuna study in memory that follows the ledger, for samplers to look at.

Samplers are never asked on the ledger itself: a question there would create a trial before
anybody decided to run it. The mirror is rebuilt from a `StudyView` at any time, and holds nothing
that the view does not. So the same history gives the same proposals, before a crash and after.

Imports Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from agents.proposers.pending import PointKey, point_key
from agents.space import SearchSpace
from agents.tradeoff import second_value
from agents.trial import Direction, Second, StudyView, Trial, TrialState, sign
from training.contract import ParameterValue

_STATES = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.COMPLETED: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}

_RELATIVE_PARAMS = ":relative_params:"
"""System attributes by which parallel Optuna workers share a draw before its parameters are
stored. Here the parameters are there at once, and the copy would hold inactive ones as well."""


@dataclass(frozen=True)
class Draw:
    """One point that a sampler suggested, and what the sampler wants kept with it."""

    parameters: Mapping[str, ParameterValue]
    attrs: Mapping[str, Any]


class _Storage(InMemoryStorage):
    """Optuna's storage in memory, from which the newest unfinished trial can be taken back."""

    def withdraw(self, trial_id: int) -> None:
        study_id, number = self._trial_id_to_study_id_and_number.pop(trial_id)
        del self._studies[study_id].trials[number:]
        self._max_trial_id = trial_id - 1

    def replace_study_attrs(self, study_id: int, attrs: Mapping[str, Any]) -> None:
        self._studies[study_id].system_attrs = dict(attrs)


class Mirror:
    """The history as Optuna's samplers see it."""

    def __init__(
        self, space: SearchSpace, direction: Direction, second: Second | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._distributions: Mapping[str, BaseDistribution] = space.distributions()
        self._direction = direction
        self._second = second
        self._clear()

    def _clear(self) -> None:
        self._storage = _Storage()
        directions = [self._direction, *([self._second.direction] if self._second else [])]
        self.study = optuna.create_study(
            storage=self._storage, directions=directions, study_name="mirror"
        )
        self._trials: list[Trial] = []
        self._seen: Counter[PointKey] = Counter()
        self.is_conditional = False
        """Whether some trial that the models learn from leaves parameters out."""

    def sync(self, view: StudyView) -> None:
        """Make the mirror equal to the view. Costs what has changed since the last call."""
        changed = list(compress(count(), map(is_not, self._trials, view.trials)))
        breaks = (n for n in changed if not _continues(self._trials[n], view.trials[n]))
        keep = next(breaks, min(len(self._trials), len(view.trials)))
        if any(trial.state.is_finished for trial in self._trials[keep:]):
            # Another history altogether: finished trials never change or vanish.
            self._clear()
            keep, changed = 0, []
        while len(self._trials) > keep:
            self._withdraw()
        for number in changed:
            if number < keep:
                self._replace(view.trials[number])
        for trial in view.trials[keep:]:
            self.add(trial)
        self._storage.replace_study_attrs(self.study._study_id, view.sampler_state)

    def add(self, trial: Trial) -> None:
        """Append a trial; its number is the count of trials so far."""
        frozen = self._frozen(trial)
        self.study.add_trial(frozen)
        self._trials.append(trial)
        self._seen[point_key(trial.parameters)] += 1
        self._note_shape(frozen)

    def _withdraw(self) -> None:
        trial = self._trials.pop()
        self._storage.withdraw(self._id(trial.number))
        self._seen[point_key(trial.parameters)] -= 1

    def _replace(self, trial: Trial) -> None:
        """Take a newer look at a trial, which may have finished meanwhile."""
        before = self._trials[trial.number]
        self._trials[trial.number] = trial
        if before.state is trial.state:
            return
        trial_id = self._id(trial.number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return  # of another space, or no lesson: it counts as failed from its beginning
        frozen = self._frozen(trial)
        for step, value in frozen.intermediate_values.items():
            self._storage.set_trial_intermediate_value(trial_id, step, value)
        self._storage.set_trial_state_values(trial_id, frozen.state, frozen.values)
        self._note_shape(frozen)

    def _note_shape(self, frozen: FrozenTrial) -> None:
        learnt = frozen.state in (OptunaState.COMPLETE, OptunaState.PRUNED)
        if learnt and len(frozen.distributions) < len(self._distributions):
            self.is_conditional = True

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        state = _STATES[trial.state]
        values = self._values(trial) if state is OptunaState.COMPLETE else None
        if state is OptunaState.COMPLETE and values is None:
            state = OptunaState.FAIL
        if state is OptunaState.PRUNED and self._second is not None:
            state = OptunaState.FAIL  # Optuna's samplers know no such trial of two objectives
        distributions = {
            name: self._distributions[name]
            for name in trial.parameters
            if name in self._distributions
        }
        if not trial.teaches or not _inside(trial.parameters, distributions):
            # From before the space was changed, or no lesson: the models get no use of it, the number stays.
            state, values, distributions = OptunaState.FAIL, None, {}
        return create_trial(
            state=state,
            values=values,
            params={name: trial.parameters[name] for name in distributions},
            distributions=distributions,
            system_attrs=dict(trial.sampler_attrs),
            intermediate_values=self._curve(trial) if state is OptunaState.PRUNED else {},
        )

    def _values(self, trial: Trial) -> list[float] | None:
        """Of each objective; None where one is missing or not finite."""
        values = [trial.value]
        if self._second is not None:
            values.append(second_value(trial, self._second.metric))
        found = [value for value in values if value is not None and math.isfinite(value)]
        return found if len(found) == len(values) else None

    def _curve(self, trial: Trial) -> dict[int, float]:
        """By which Optuna ranks what was pruned: the accuracy, turned where the objective is minimized."""
        up = sign(self._direction)
        return {
            int(step): up * value
            for step, value in zip(trial.curve.step, trial.curve.accuracy, strict=True)
            if value is not None
        }

    def seen(self, parameters: Mapping[str, ParameterValue]) -> bool:
        """Whether some trial, in whatever state, has exactly these hyperparameters."""
        return self.times(parameters) > 0

    def times(self, parameters: Mapping[str, ParameterValue]) -> int:
        """How many trials, in whatever state, have exactly these hyperparameters."""
        return self._seen[point_key(parameters)]

    @property
    def next_number(self) -> int:
        return len(self._trials)

    def ask(self, sampler: BaseSampler) -> Draw:
        """What this sampler would try next. Leaves no trace but the study's attributes."""
        self.study.sampler = sampler
        trial = self.study.ask()
        try:
            parameters = self._space.suggest(trial)
            attrs = {
                name: value
                for name, value in trial.storage.get_trial(trial._trial_id).system_attrs.items()
                if _RELATIVE_PARAMS not in name
            }
        finally:
            self._storage.withdraw(trial._trial_id)
        return Draw(parameters, attrs)

    @property
    def study_attrs(self) -> dict[str, Any]:
        return dict(self._storage.get_study_system_attrs(self.study._study_id))


def _continues(known: Trial, now: Trial) -> bool:
    if known.state is not now.state and known.state.is_finished:
        return False
    return (
        known.parameters == now.parameters
        and known.sampler_attrs == now.sampler_attrs
        and (known.value == now.value or known.state is not now.state)
    )


def _inside(
    parameters: Mapping[str, ParameterValue], distributions: Mapping[str, BaseDistribution]
) -> bool:
    for name, distribution in distributions.items():
        try:
            internal = distribution.to_internal_repr(parameters[name])
        except (ValueError, TypeError):
            return False
        if not distribution._contains(internal):
            return False
    return True


def sobol_sampler(distributions: Mapping[str, BaseDistribution], seed: int) -> BaseSampler:
    """Optuna's scrambled Sobol sequence over the whole space, conditional parameters included.

    Optuna takes the space from the first trial, which may leave parameters out, and draws these
    and the first trial at random. The sequence's position is an attribute of the study.
    """
    return _WholeSpaceQmc(distributions, seed)


class _WholeSpaceQmc(optuna.samplers.QMCSampler):
    def __init__(self, distributions: Mapping[str, BaseDistribution], seed: int) -> None:
        super().__init__(scramble=True, seed=seed, warn_independent_sampling=False)
        self._whole = {n: d for n, d in distributions.items() if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._whole


def joint_tpe_sampler(
    distributions: Mapping[str, BaseDistribution], seed: int, startup_trials: int | None
) -> BaseSampler:
    """Optuna's multivariate TPE for a space in which every trial has every parameter.

    Optuna finds out what the trials have in common by comparing them all, again for each new
    sampler, which takes half of its time in a long history. Here it is known beforehand.
    """
    return _WholeSpaceTpe(distributions, seed, startup_trials)


class _WholeSpaceTpe(optuna.samplers.TPESampler):
    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        seed: int,
        startup_trials: int | None,
    ) -> None:
        options: dict[str, Any] = (
            {} if startup_trials is None else {"n_startup_trials": startup_trials}
        )
        super().__init__(seed=seed, multivariate=True, constant_liar=True, **options)
        self._whole = {n: d for n, d in sorted(distributions.items()) if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._whole

"""Which parameters matter: Optuna's PED-ANOVA on a bounded sample of the trials. Deterministic."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.config.model import FixedParameter, Parameter
from agents.metrics import as_float
from agents.report.study import valued
from agents.space import SearchSpace
from agents.thinning import spread
from agents.trial import StudyView, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_TRIALS = 10
"""Completed trials before importances are computed: below, they are noise, and up to fifty a hint."""
MOST_TRIALS = 1000
"""Trials that enter, evenly over the run."""
_TOP_SHARE, _TOP_FEWEST = 0.1, 5
"""What counts as good: the best tenth, and no fewer than five trials (Optuna's advice)."""


@dataclass(frozen=True)
class Importances:
    """The share of each parameter, summing to 1, the largest first; or why there are none."""

    shares: Sequence[tuple[str, float]] = ()
    trials: int = 0
    """How many trials the shares rest on."""
    missing: str = ""
    """Why there are no shares, as a sentence."""


def importances(view: StudyView, parameters: Mapping[str, Parameter]) -> Importances:
    """How much each parameter decides whether a trial is among the best tenth.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), as Optuna has it, conditional parameters
    included. No random numbers enter.
    """
    scored = valued(view)
    varied = {n: p for n, p in parameters.items() if not isinstance(p, FixedParameter)}
    if len(scored) < FEWEST_TRIALS:
        return Importances(
            missing=f"Importances need {FEWEST_TRIALS} completed trials; there are {len(scored)}."
        )
    if len(varied) < 2:
        return Importances(missing="With a single parameter there is nothing to compare.")
    if len({value for _, value in scored}) == 1:
        return Importances(missing="All trials have the same objective: no parameter mattered.")
    return _evaluate(view, spread(scored, MOST_TRIALS), parameters)


def _evaluate(
    view: StudyView, scored: Sequence[tuple[Trial, float]], parameters: Mapping[str, Parameter]
) -> Importances:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=view.direction)
    distributions = SearchSpace(parameters, ()).distributions()
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=value,
                params={name: trial.parameters[name] for name in names},
                distributions={name: distributions[name] for name in names},
            )
            for trial, value in scored
            if (names := _inside(trial, distributions))
        ]
    )
    counted = len(study.get_trials(deepcopy=False))
    if counted < FEWEST_TRIALS:
        return Importances(missing="Too few trials lie inside the search space.")
    share = max(_TOP_SHARE, _TOP_FEWEST / counted)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
    with warnings.catch_warnings():
        # Where no trial stands out Optuna warns and answers zeros; the page says it in words.
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    total = as_float(sum(found.values()))
    if not total:
        return Importances(missing="No parameter tells the best trials from the others.")
    shares = [(name, found.get(name, 0.0) / total) for name in distributions]
    return Importances(sorted(shares, key=lambda pair: -pair[1]), counted)


def _inside(trial: Trial, distributions: Mapping[str, BaseDistribution]) -> list[str]:
    """The trial's parameters that its space still knows: a user may have changed it since."""
    return [
        name
        for name, value in trial.parameters.items()
        if name in distributions and _contains(distributions[name], value)
    ]


def _contains(distribution: BaseDistribution, value: object) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, OverflowError):
        return False

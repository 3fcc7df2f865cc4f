"""What an LLM may look up about the runs. Each answer is text of a bounded length, and nothing that
a tool does changes anything.

Words of jobs (errors, names of metrics) stand between quotation marks, as in the prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.errors import ProposalRejected
from agents.metrics import as_float
from agents.proposers.curve import condensed
from agents.proposers.evidence import changed
from agents.proposers.prompt import MAX_MESSAGE, quoted, run_line
from agents.report.importance import importances
from agents.report.numbers import number, signed
from agents.space import SearchSpace
from agents.tradeoff import ranked
from agents.trial import StudyView, Trial, TrialState

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

MAX_ANSWER = 1500
"""Characters of one answer."""
MOST_RUNS = 10
"""Runs in one answer."""
MOST_POINTS = 12
"""Points of a curve in one answer."""
MOST_METRICS = 20

Expectation = Callable[[Mapping[str, Any]], str]
"""What a model of the runs expects of a point of the space, in words."""


@dataclass(frozen=True)
class RunTools:
    """The tools over one snapshot."""

    space: SearchSpace
    view: StudyView
    candidates: Sequence[str] = ()
    """The sampler's candidates with predictions, a line each."""
    expected: Expectation | None = None

    def look_up(self, run: int) -> str:
        """All that is known of one run."""
        trial = self._trial(run)
        if isinstance(trial, str):
            return trial
        lines = [run_line(trial, self.view.second)]
        if trial.confirms is not None:
            lines.append(f"runs run {trial.confirms} again with another seed")
        elif trial.teaches:
            lines.append(f"proposed by {trial.origin}")
        if trial.predicted is not None:
            lines.append(f"expected {number(trial.predicted)}")
        told = [(name, as_float(value)) for name, value in trial.metrics.items()]
        metrics = [f"{quoted(n, 40)} {number(v)}" for n, v in told if v is not None]
        if metrics:
            lines.append("metrics: " + ", ".join(metrics[:MOST_METRICS]))
        return "; ".join(lines)

    def compare(self, runs: Sequence[int]) -> str:
        """How runs differ from the first of them."""
        found = [self._trial(run) for run in runs[:MOST_RUNS]]
        missing = [one for one in found if isinstance(one, str)]
        trials = [one for one in found if isinstance(one, Trial)]
        if missing or len(trials) < 2:
            return missing[0] if missing else "give the numbers of two runs or more"
        first, *others = trials
        return "; ".join(
            [run_line(first, self.view.second), *(self._against(first, other) for other in others)]
        )

    def curve(self, run: int) -> str:
        """The learning curve of one run."""
        trial = self._trial(run)
        if isinstance(trial, str):
            return trial
        steps, values = trial.curve.step, trial.curve.accuracy
        if not steps:
            return f"run {run} has no curve"
        stride = max(1, -(-len(steps) // MOST_POINTS))
        kept = sorted({*range(0, len(steps), stride), len(steps) - 1})
        points = ", ".join(f"{number(steps[at])}: {number(values[at], 3)}" for at in kept)
        return f"run {run}: {points}; {condensed(trial.curve)}"

    def top(self, count: int) -> str:
        """The best runs, best first."""
        best = ranked(self.view)[: max(1, min(count, MOST_RUNS))]
        return (
            " | ".join(run_line(trial, self.view.second) for trial in best)
            or "no run has completed"
        )

    def importances(self) -> str:
        """Which parameters decided whether a run was good."""
        found = importances(self.view, self.space.parameters)
        return ", ".join(f"{name} {share:.0%}" for name, share in found.shares) or found.missing

    def proposals(self) -> str:
        """What the optimizer would try next."""
        return " | ".join(self.candidates) or "the optimizer has learnt too little for candidates"

    def predict(self, parameters: Mapping[str, Any]) -> str:
        """What the model of the runs expects of a point."""
        try:
            point = self.space.validate(parameters)
        except ProposalRejected as error:
            return f"this is outside the space: {error}"
        if self.expected is None:
            return "there is no model of the runs yet"
        return f"expected {self.expected(point)}"

    def failures(self) -> str:
        """How many runs failed of which cause, with the latest of each."""
        failed = [t for t in self.view.trials if t.failure and t.state is TrialState.FAILED]
        counts = Counter(t.failure.cause for t in failed if t.failure)
        latest = {t.failure.cause: t for t in failed if t.failure}
        lines = [
            f"{cause.value}: {amount}, the latest {run_line(latest[cause])}"
            for cause, amount in counts.most_common()
        ]
        return " | ".join(lines) or "no run has failed"

    def _trial(self, run: int) -> Trial | str:
        if 0 <= run < len(self.view.trials):
            return self.view.trials[run]
        return f"there is no run {run}; there are 0 to {len(self.view.trials) - 1}"

    def _against(self, first: Trial, other: Trial) -> str:
        gap = ""
        if first.value is not None and other.value is not None:
            gap = f" ({signed(other.value - first.value)})"
        failed = ""
        if other.failure is not None:
            failed = f", {other.failure.cause.value}: {quoted(other.failure.message, MAX_MESSAGE)}"
        result = number(other.value) if other.value is not None else other.state.value
        return f"run {other.number}: {result}{gap}{failed}, with {changed(first, other)}"


def langchain_tools(tools: RunTools) -> list[BaseTool]:
    """The tools as LangChain knows them, each with a schema of its arguments."""
    from langchain_core.tools import StructuredTool
    from pydantic import BaseModel, Field, create_model

    def made(name: str, work: Callable[..., str], about: str, **arguments: Any) -> BaseTool:
        schema: type[BaseModel] = create_model(f"{name}_arguments", **arguments)
        return StructuredTool.from_function(
            lambda **given: bounded(work(**given)), name=name, description=about, args_schema=schema
        )

    run = (int, Field(description="number of the run"))
    runs = (
        list[int],
        Field(description="numbers of runs; the first is what others are held against"),
    )
    count = (int, Field(default=5, description="how many"))
    point = (dict[str, Any], Field(description="a value for each parameter of the space"))
    found = [
        made("look_up_run", tools.look_up, "All that is known of one run.", run=run),
        made("compare_runs", tools.compare, "How runs differ, and what came of it.", runs=runs),
        made("learning_curve", tools.curve, "The learning curve of one run.", run=run),
        made("top_runs", tools.top, "The best runs.", count=count),
        made("importances", tools.importances, "Which parameters mattered."),
        made("failures", tools.failures, "Failed runs by cause."),
    ]
    if tools.candidates:
        found.append(
            made("candidates", tools.proposals, "The optimizer's candidates, with predictions.")
        )
    if tools.expected is not None:
        about = "What the optimizer's model expects of a point of your choice."
        found.append(made("predict", tools.predict, about, parameters=point))
    return found


def bounded(text: str) -> str:
    """The answer of a tool, cut to its length; a quotation that is cut is closed."""
    if len(text) <= MAX_ANSWER:
        return text
    kept = text[: MAX_ANSWER - 2]
    return kept + ('…"' if kept.count('"') % 2 else "…")


__all__ = ["Expectation", "RunTools", "langchain_tools"]

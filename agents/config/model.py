"""The shape of the configuration file. Every key is read by something; there are no others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from scheduler.settings import ClusterSettings, Section
from scheduler.units import Duration
from training.contract import ParameterValue


class ExperimentSettings(Section):
    """What is searched and for whom."""

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="Short name; part of directory names.",
    )
    description: str = Field(
        default="", description="Task in a few sentences: data set, model, goal. The LLM sees it."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Same seed, same search.")


class SecondObjectiveSettings(Section):
    """A second objective: the search is for the best trade-offs of the two."""

    metric: str = Field(
        min_length=1,
        description="By its name in results.json; seconds: the training time.",
    )
    direction: Literal["maximize", "minimize"] = Field(
        default="minimize", description="Which values are better."
    )


class ObjectiveSettings(Section):
    """What is to be optimized: a metric of results.json."""

    metric: str = Field(
        default="accuracy_auc",
        min_length=1,
        description="By its name in results.json, such as final_accuracy.",
    )
    direction: Literal["maximize", "minimize"] = Field(
        default="maximize", description="Which values are better."
    )
    second: SecondObjectiveSettings | None = Field(
        default=None, description="A second one: the search is for the best trade-offs of both."
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        """What each result must hold."""
        return (self.metric,) if self.second is None else (self.metric, self.second.metric)


When = dict[str, ParameterValue | list[ParameterValue]]


class ParameterBase(Section):
    description: str = Field(default="", description="What it is; the LLM sees it.")
    when: When = Field(
        default_factory=dict,
        description="Active only where the other parameter has this value, or one of these.",
    )


class FloatParameter(ParameterBase):
    type: Literal["float"]
    low: float = Field(description="Smallest value.")
    high: float = Field(description="Largest value.")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="log: evenly over orders of magnitude."
    )
    step: float | None = Field(
        default=None, gt=0, description="Distance of values, from low; left out: any value."
    )
    default: float | None = Field(default=None, description="Tried early; left out: the middle.")


class IntParameter(ParameterBase):
    type: Literal["int"]
    low: int = Field(description="Smallest value.")
    high: int = Field(description="Largest value.")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="log: evenly over orders of magnitude."
    )
    step: int = Field(default=1, ge=1, description="Distance of values, from low.")
    default: int | None = Field(default=None, description="Tried early; left out: the middle.")


class CategoricalParameter(ParameterBase):
    type: Literal["categorical"]
    choices: list[ParameterValue] = Field(min_length=1, description="Numbers, text, flags or null.")
    default: ParameterValue = Field(
        default=None, description="One of the choices; left out: the first."
    )


class FixedParameter(ParameterBase):
    type: Literal["fixed"]
    value: ParameterValue = Field(description="What every trial gets.")


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter | FixedParameter,
    Field(discriminator="type"),
]


class LoopSettings(Section):
    """How the search turns."""

    max_iterations: int = Field(default=10, ge=1, description="Turns of the loop.")
    jobs_per_iteration: int = Field(
        default=2, ge=1, description="Trials in an iteration, and side by side at most."
    )
    max_trials: int | None = Field(
        default=None, ge=1, description="A bound on trials, whatever the iterations."
    )
    schedule: Literal["batch", "steady"] = Field(
        default="batch",
        description="batch: an iteration ends before the next is proposed (reproducible). "
        "steady: a free slot gets a new trial at once (no waiting for the slowest).",
    )


class StopSettings(Section):
    """What ends the search before max_iterations. The first that holds does."""

    target: float | None = Field(default=None, description="Objective that is good enough.")
    patience: int | None = Field(
        default=None, ge=1, description="Iterations without an improvement of minimum_improvement."
    )
    minimum_improvement: float = Field(
        default=0.001,
        ge=0,
        description="By so much the best must get better to reset the patience.",
    )
    wall_clock: Duration | None = Field(
        default=None, description="Such as 12h; at work, jobs included."
    )
    node_hours: float | None = Field(
        default=None, gt=0, description="Node-hours that may be spent; every attempt counts."
    )
    failures_in_a_row: int | None = Field(default=5, ge=1, description="Failed trials in a row.")


class ConfirmSettings(Section):
    """At the end the best trials run again with fresh seeds, before a winner is named."""

    trials: int = Field(
        default=0, ge=0, description="How many of the best; 0: none. They come beside max_trials."
    )
    seeds: int = Field(default=2, ge=1, description="How often each of them runs again.")


class PrunerSettings(Section):
    """Whether weak trials are asked to end while they run, so that their time goes to others."""

    kind: Literal["none", "median", "halving"] = Field(
        default="none",
        description="median: those whose best so far is behind the median of completed trials. "
        "halving: those that are not among the best at a rung (asynchronous successive halving).",
    )
    startup_trials: int = Field(
        default=5,
        ge=1,
        description="Before any is judged: median, completed trials; halving, others at the rung.",
    )
    warmup_steps: int = Field(
        default=1,
        ge=0,
        description="Before this step of metrics.jsonl a trial is not judged; halving: the first rung.",
    )
    reduction_factor: int = Field(
        default=4,
        ge=2,
        description="halving: of so many at a rung one goes on, and the next rung is so many times later.",
    )


class SamplerSettings(Section):
    """The sampler, alone or beside an LLM."""

    kind: Literal["auto", "tpe", "gp", "cmaes", "qmc", "random", "grid"] = Field(
        default="auto",
        description="auto: our own, see decision 016; grid: every point once; else Optuna's.",
    )
    startup_trials: int | None = Field(
        default=None, ge=0, description="Trials before the model is used (auto, tpe, gp, cmaes)."
    )


class ProposerSettings(Section):
    """Who proposes the next trials."""

    kind: Literal["auto", "sampler", "llm", "hybrid"] = Field(
        default="auto", description="auto: hybrid where an endpoint is configured, else sampler."
    )
    sampler: SamplerSettings = Field(default_factory=SamplerSettings)


class ToolSettings(Section):
    """What the LLM may look up about the runs before it answers, once there are some."""

    calls: int = Field(default=6, ge=0, description="Questions in one iteration; 0: no tools.")
    tokens: int = Field(default=12000, ge=1, description="In and out, for looking things up.")
    seconds: Duration = Field(default=60.0, description="For looking things up.")


class PriceSettings(Section):
    """What the endpoint costs; kept with each exchange and added up in the report."""

    prompt: float | None = Field(
        default=None, ge=0, description="For a million tokens of questions (input)."
    )
    completion: float | None = Field(
        default=None, ge=0, description="For a million tokens of answers (output)."
    )
    currency: str = Field(
        default="USD",
        pattern=r"^[A-Za-z]{1,8}$",
        description="Such as EUR; a name, nothing is converted.",
    )


class GlobusSettings(Section):
    """A login with Globus, for endpoints that take its tokens (ALCF's Sophia)."""

    preset: Literal["alcf"] | None = Field(
        default=None, description="Public values of a known service."
    )
    client_id: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z-]{1,64}$",
        description="Of a native app that is registered with Globus; else the preset's.",
    )
    scope: str | None = Field(
        default=None, pattern=r"^\S+$", description="What the endpoint wants; else the preset's."
    )
    domains: list[str] | None = Field(
        default=None, description="Institutions whose login it must be; else the preset's."
    )

    @property
    def is_plain_preset(self) -> bool:
        """Whether the preset's name says it all."""
        own = (self.client_id, self.scope, self.domains)
        return self.preset is not None and all(value is None for value in own)


class LlmSettings(Section):
    """An OpenAI-compatible endpoint (vLLM, Ollama, llama.cpp, a commercial API)."""

    base_url: str | None = Field(default=None, description="Ends in /v1; none: no LLM.")
    model: str | None = Field(default=None, description="By its name at the endpoint.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable with the key; none: the server wants none."
    )
    globus: GlobusSettings | None = Field(
        default=None, description="Tokens of a login with Globus, in place of a key."
    )
    timeout: Duration = Field(default=90.0, description="For one answer.")
    max_retries: int = Field(default=3, ge=0, description="Of requests that failed on the way.")
    repair_attempts: int = Field(default=2, ge=0, description="Of answers outside the space.")
    temperature: float | None = Field(
        default=0.7, ge=0, le=2, description="null: the server's own."
    )
    max_tokens: int = Field(default=4000, ge=64, description="Of one answer.")
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields of each request, such as reasoning_effort: what the server takes.",
    )
    prompt: Path | None = Field(
        default=None, description="Your own prompt (Jinja2); none: the one that comes along."
    )
    prompt_tokens: int = Field(
        default=6000, ge=200, description="Of one question, counted high, however long the history."
    )
    tools: ToolSettings = Field(default_factory=ToolSettings)
    prices: PriceSettings = Field(default_factory=PriceSettings)
    replay: Path | None = Field(
        default=None, description="A run whose kept exchanges answer in the endpoint's place."
    )


class TrainingSettings(Section):
    """The program that is tuned: any that keeps the contract in training/contract.py."""

    command: list[str] = Field(
        min_length=1,
        description="One argument an entry, no shell. {python}, {hyperparameters}, {job_dir}, "
        "{trial}, {seed}, {job}, {code} and {adapt} are filled in.",
    )
    stage: list[Path] = Field(
        default_factory=list,
        description="Files and directories of your code: a snapshot of them goes to the cluster, "
        "once a run. {code} is its path, and the command's working directory by default.",
    )
    directory: Path | None = Field(
        default=None, description="Working directory of the command; none: the job's directory."
    )
    budget: dict[str, float | int] = Field(
        default_factory=dict, description="Such as epochs: goes into hyperparameters.json."
    )


class DirectorySettings(Section):
    """Where results lie."""

    local_base: Path = Field(
        default=Path("results"),
        description="Where run directories lie; relative to the working directory.",
    )
    run_pattern: str = Field(
        default="{timestamp}_{experiment}",
        description="Name of a run's directory: {timestamp}, {experiment}.",
    )
    job_pattern: str = Field(
        default="job_{experiment}_iter_{iteration:03d}_trial_{trial:04d}",
        description="A job's directory in it: {experiment}, {iteration}, {trial}.",
    )


class LedgerSettings(Section):
    """Where trials are kept."""

    storage: str | None = Field(
        default=None, description="An Optuna storage URL; none: study.db (SQLite) in the run."
    )


class ReportSettings(Section):
    """What the report shows besides the objective."""

    second_metric: str = Field(
        default="seconds",
        description="What the objective is weighed against, by its name in results.json; "
        "seconds: the training time.",
    )
    second_direction: Literal["maximize", "minimize"] = Field(
        default="minimize", description="Which of its values are better."
    )


class NotifySettings(Section):
    """Tells people elsewhere that a search waits for them, or has ended."""

    command: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        description="One argument an entry, no shell; {subject} is filled in. The message comes on "
        "its standard input.",
    )
    after: Duration = Field(
        default=600.0, description="A wait is told of once it has lasted for so long."
    )


class Settings(Section):
    """A whole configuration, resolved and valid."""

    experiment: ExperimentSettings
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings)
    search_space: dict[str, Parameter] = Field(
        min_length=1, description="What may be tried: parameters by name."
    )
    constraints: list[str] = Field(
        default_factory=list, description="What must hold between parameters, such as `a < b`."
    )
    initial_trials: list[dict[str, Any]] = Field(
        default_factory=list, description="Run first; what one leaves out takes its default."
    )
    warm_start: list[Path] = Field(
        default_factory=list,
        description="Run directories of earlier searches, whose trials the sampler and the LLM know.",
    )
    loop: LoopSettings = Field(default_factory=LoopSettings)
    stop: StopSettings = Field(default_factory=StopSettings)
    pruner: PrunerSettings = Field(default_factory=PrunerSettings)
    confirm: ConfirmSettings = Field(default_factory=ConfirmSettings)
    proposer: ProposerSettings = Field(default_factory=ProposerSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    training: TrainingSettings
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    directories: DirectorySettings = Field(default_factory=DirectorySettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    notify: NotifySettings | None = Field(default=None, description="none: nobody is told.")

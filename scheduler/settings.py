"""The `cluster:` section of the configuration: where jobs run and what they get."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scheduler.units import Duration, DurationOrZero, Memory


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalTransportSettings(Section):
    """Jobs run on this machine (or: the orchestrator runs on the login node)."""

    kind: Literal["local"] = "local"


HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\[][A-Za-z0-9._:%@\[\]-]*$", max_length=255)]
"""A machine's name or alias; cannot be taken for an option."""


class SshTransportSettings(Section):
    """The OpenSSH client over a master connection that a person opens once (MFA sites)."""

    kind: Literal["ssh"]
    host: HostName = Field(description="A name or alias as you would give it to ssh.")
    user: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$",
        description="Left out: as your ssh configuration says.",
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Left out: as your ssh configuration says."
    )
    config_file: Path | None = Field(
        default=None, description="An OpenSSH client configuration to read, not ~/.ssh/config."
    )
    control_path: Path | None = Field(
        default=None,
        description="The socket of a master that you open yourself; else the ControlPath of your "
        "ssh configuration, else one of our own.",
    )
    persist: Duration = Field(
        default=86400.0, description="How long a master that `connect` opened stays when unused."
    )
    keep_alive: Duration = Field(default=30.0, description="Between signs of life on the line.")
    connect_timeout: Duration = Field(default=20.0, description="To reach the machine at all.")
    max_sessions: int = Field(
        default=4, ge=1, description="Sessions at a time over one connection; the site's limit."
    )


class ParamikoTransportSettings(Section):
    """A connection of our own, for sites where a key alone opens the door."""

    kind: Literal["paramiko"]
    host: HostName = Field(description="The machine's name.")
    user: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$",
        description="Left out: your name here.",
    )
    port: int = Field(default=22, ge=1, le=65535, description="Of the machine's SSH server.")
    key_file: Path | None = Field(default=None, description="A private key; else the agent's keys.")
    known_hosts: Path = Field(
        default=Path("~/.ssh/known_hosts"), description="Where the machine's host key is written."
    )
    keep_alive: Duration = Field(default=30.0, description="Between signs of life on the line.")
    connect_timeout: Duration = Field(default=20.0, description="To reach the machine at all.")
    max_sessions: int = Field(
        default=4, ge=1, description="Sessions at a time over one connection; the site's limit."
    )


TransportSettings = Annotated[
    LocalTransportSettings | SshTransportSettings | ParamikoTransportSettings,
    Field(discriminator="kind"),
]


class PlacementSettings(Section):
    """Where trials run that have a node, a job or an allocation in common."""

    pin: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Variable that gets each trial's place on its node, from 0, or the device of "
        "that place where the scheduler named some in it: CUDA_VISIBLE_DEVICES, "
        "ROCR_VISIBLE_DEVICES, ZE_AFFINITY_MASK.",
    )
    per_node: int | None = Field(default=None, ge=1, description="Trials side by side on one node.")
    launch: list[str] = Field(
        default_factory=list,
        description="Words before each trial's script, such as [srun, --exact, --ntasks=1]; "
        "{slot} is its place, {node} its node, {device} its place on that. None: a plain process.",
    )


class LocalBatchSettings(PlacementSettings):
    """Child processes of their own, no scheduler; they outlive the orchestrator."""

    kind: Literal["local"] = "local"
    slots: int = Field(default=2, ge=1, description="Jobs that run side by side.")


class _SchedulerCommands(Section):
    """How a scheduler's commands are called."""

    bin_directory: str | None = Field(
        default=None,
        pattern=r"^/[^\x00-\x1f:]*$",
        description="Where the scheduler's commands lie, if a plain ssh command does not find them.",
    )
    command_timeout: Duration = Field(
        default=45.0, description="After this a scheduler command counts as hung and is ended."
    )


class SlurmBatchSettings(_SchedulerCommands):
    """sbatch, squeue, sacct."""

    kind: Literal["slurm"]
    clusters: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._,-]*$",
        description="Names of clusters (`-M`), where not the login node's own.",
    )


class PbsBatchSettings(_SchedulerCommands):
    """qsub, qstat, qselect of OpenPBS and PBS Pro."""

    kind: Literal["pbs"]
    name_length: int = Field(
        default=230, ge=8, le=230, description="Characters of a job name; 15 before version 13."
    )


BatchSettings = Annotated[
    LocalBatchSettings | SlurmBatchSettings | PbsBatchSettings, Field(discriminator="kind")
]


class ResourceSettings(Section):
    """What each job asks for."""

    nodes: int = Field(default=1, ge=1, description="Machines of a job.")
    tasks: int | None = Field(
        default=None, ge=1, description="Processes of a job, as the scheduler counts them."
    )
    cpus: int | None = Field(
        default=None, ge=1, description="Cores of a task (SLURM) or of a node (PBS)."
    )
    memory: Memory | None = Field(default=None, description="Per node, such as 16G.")
    gpus: int | None = Field(default=None, ge=0, description="Per node.")
    gpu_type: str | None = Field(default=None, description="By the site's name, such as a100.")
    walltime: Duration | None = Field(default=None, description="Such as 30m or 02:00:00.")
    warn_before: DurationOrZero | None = Field(
        default=None,
        description="So long before its walltime a program gets SIGTERM, to write a checkpoint and "
        "its partial result; 0: no warning. Left out: 2m where the walltime is at least 10m.",
    )
    queue: str | None = Field(default=None, description="Partition (SLURM) or queue (PBS).")
    account: str | None = Field(default=None, description="What the job is charged to.")
    directives: Mapping[str, str | int | None] = Field(
        default_factory=dict, description="Further scheduler options by name, without dashes."
    )


ParameterChoice = bool | int | float | str


class ResourceOverride(Section):
    """What a job asks for instead, where its hyperparameters have these values."""

    when: Mapping[str, ParameterChoice | list[ParameterChoice]] = Field(
        min_length=1, description="Each hyperparameter has this value, or one of these."
    )
    nodes: int | None = Field(default=None, ge=1, description="In place of resources.nodes.")
    tasks: int | None = Field(default=None, ge=1, description="In place of resources.tasks.")
    cpus: int | None = Field(default=None, ge=1, description="In place of resources.cpus.")
    memory: Memory | None = Field(default=None, description="In place of resources.memory.")
    gpus: int | None = Field(default=None, ge=0, description="In place of resources.gpus.")
    gpu_type: str | None = Field(default=None, description="In place of resources.gpu_type.")
    walltime: Duration | None = Field(default=None, description="In place of resources.walltime.")
    queue: str | None = Field(default=None, description="In place of resources.queue.")
    account: str | None = Field(default=None, description="In place of resources.account.")
    directives: Mapping[str, str | int | None] = Field(
        default_factory=dict, description="Laid over the directives of `resources`."
    )


class MoreMemory(Section):
    """A job that ran out of memory comes back with more."""

    times: int = Field(default=1, ge=0, description="How often; 0 for never.")
    factor: float = Field(default=2.0, gt=1.0, description="Times the memory it had.")
    maximum: Memory | None = Field(default=None, description="Never ask for more than this.")


class MoreTime(Section):
    """A job that reached its walltime comes back with more."""

    times: int = Field(default=1, ge=0, description="How often; 0 for never.")
    factor: float = Field(default=1.5, gt=1.0, description="Times the walltime it had.")
    maximum: Duration | None = Field(default=None, description="Never ask for more than this.")


class RetrySettings(Section):
    """Which failed jobs are run again: those that are not the trial's own fault."""

    node_failure: int = Field(default=2, ge=0, description="As they are, so often.")
    preempted: int = Field(default=5, ge=0, description="As they are, so often.")
    lost: int = Field(
        default=1, ge=0, description="Jobs that left no trace or met a full disk, so often."
    )
    out_of_memory: MoreMemory = Field(default_factory=MoreMemory)
    walltime: MoreTime = Field(default_factory=MoreTime)


class ContainerSettings(Section):
    """The training command runs in a container image."""

    runtime: Literal["apptainer", "singularity"] = Field(
        default="apptainer", description="The program that runs the image."
    )
    image: str = Field(min_length=1, description="A .sif file, a directory, or docker://….")
    gpu: Literal["nvidia", "amd"] | None = Field(
        default=None, description="Whose driver to bring in (--nv, --rocm)."
    )
    binds: list[str] = Field(default_factory=list, description="SOURCE[:TARGET[:ro]].")
    overlays: list[str] = Field(default_factory=list, description="IMAGE[:ro], in this order.")
    options: list[str] = Field(default_factory=list, description="Further options of `exec`.")
    before: list[str] = Field(
        default_factory=list, description="Shell lines inside, before the command."
    )


class PackSettings(PlacementSettings):
    """Several trials of an iteration share one job, side by side."""

    trials: int = Field(ge=2, description="Trials in one job, at most.")


class BellSettings(Section):
    """Jobs ring when they end, over HTTP, and the next poll comes at once. Polls go on without it."""

    listen: str = Field(
        pattern=r"^\S+:\d{1,5}$",
        description="HOST:PORT here, such as 0.0.0.0:8799; compute nodes must reach it.",
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="What jobs call, where it is another name or a tunnel.",
    )

    @field_validator("listen")
    @classmethod
    def _is_a_port(cls, value: str) -> str:
        if not 1 <= int(value.rpartition(":")[2]) <= 65535:
            raise ValueError("the port must be from 1 to 65535")
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


SCHEDULER_FLOOR_SECONDS = 15.0
"""A scheduler pays for each question, and trials take minutes at least."""


class PollSettings(Section):
    """How often the cluster is asked about jobs."""

    floor: Duration = Field(
        default=2.0, description="Never ask more often than this; left out: 15s of a scheduler."
    )
    ceiling: Duration = Field(default=60.0, description="Never wait longer than this.")
    grace: Duration = Field(
        default=120.0,
        description="How long a job that left the queue may go without a result (slow file systems).",
    )
    never_starts: Duration | None = Field(
        default=6 * 3600.0,
        description="A job of which the scheduler says for so long that it will never start is "
        "cancelled, and its trial fails; null: only said.",
    )
    bell: BellSettings | None = Field(
        default=None, description="Where jobs may say that they have ended."
    )


class BringBackSettings(Section):
    """Which files of a job come to this side when it has ended, beside its result."""

    files: list[str] = Field(
        default_factory=lambda: ["metrics.jsonl", "job.out", "job.err"],
        description="Patterns below the job's directory, such as checkpoints/best.pt; * is any text.",
    )
    largest: Memory = Field(default=10, description="A larger file stays there.")


class ClusterSettings(Section):
    """Where jobs run, as whom, with what."""

    transport: TransportSettings = Field(
        default_factory=LocalTransportSettings, description="How the machine is reached."
    )
    batch_system: BatchSettings = Field(
        default_factory=LocalBatchSettings, description="Who runs the jobs."
    )
    remote_base: str | None = Field(
        default=None,
        description="Where run directories lie on the cluster; the local base where transport is local.",
    )
    python: str | None = Field(default=None, description="The Python that {python} stands for.")
    modules: list[str] = Field(
        default_factory=list, description="Loaded before the command, by `module load`."
    )
    setup: list[str] = Field(default_factory=list, description="Shell lines before the command.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables of the command."
    )
    template: Path | None = Field(default=None, description="A job script template of your own.")
    container: ContainerSettings | None = None
    resources: ResourceSettings = Field(default_factory=ResourceSettings)
    overrides: list[ResourceOverride] = Field(
        default_factory=list,
        description="Other resources for some hyperparameters; later ones win.",
    )
    retry: RetrySettings = Field(default_factory=RetrySettings)
    pack: PackSettings | None = None
    max_in_flight: int | None = Field(default=None, ge=1, description="Cap on unfinished jobs.")
    max_per_submission: int | None = Field(
        default=None, ge=1, description="Cap on jobs that are submitted in one go."
    )
    poll: PollSettings = Field(default_factory=PollSettings)
    bring_back: BringBackSettings = Field(
        default_factory=BringBackSettings,
        description="Files of ended jobs; only over a connection.",
    )

    @model_validator(mode="after")
    def _spare_schedulers(self) -> Self:
        """A scheduler serves a whole site: what nobody chose is slower than of processes here."""
        poll = self.poll
        if self.batch_system.kind != "local" and "floor" not in poll.model_fields_set:
            floor = min(SCHEDULER_FLOOR_SECONDS, poll.ceiling)
            object.__setattr__(self, "poll", poll.model_copy(update={"floor": floor}))
        return self

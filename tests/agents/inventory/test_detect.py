"""What ``init`` makes of a look at a machine, and of what a person says."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.commands.init import InitOptions, _hosts, _say, configuration
from agents.detect import machine
from agents.detect.choices import Choice, Wishes, account_of
from agents.detect.machine import Scheduler
from agents.doctor.heard import Word
from agents.errors import ConfigurationError
from agents.inventory import Gpus, Inventory, Queue
from scheduler.settings import LocalTransportSettings

SEEN = {
    "host": "n", "fqdn": "login01.delta.ncsa.illinois.edu", "me": "ada", "home": "/u/ada",
    "cores": "64", "plain:qsub": "", "login:sbatch": "/opt/slurm/bin/sbatch",
    "plain:python3": "/usr/bin/python3", "version": "3.11.9", "scratch": "/scratch/ada",
    "login:apptainer": "/usr/bin/apptainer", "modules": "yes", "directories": "",
}  # fmt: skip
GPU_QUEUE = Queue("gpu", nodes=2, cpus=64, gpus=(Gpus("a100", 8, 0),), longest_seconds=1800)


def look(**changes):
    words = {**SEEN, **changes}
    return machine.read({name: Word(0, text) for name, text in words.items()})


def refuse(option, question, known, default):
    raise ConfigurationError(f"{question[:-1]}: give {option}")


def written(seen, inventory, **wishes):
    options = InitOptions(wishes=Wishes(**wishes))
    text = configuration(options, seen, inventory, LocalTransportSettings(), refuse)
    return yaml.safe_load(text)


def test_what_only_a_login_shell_knows_is_used():
    seen = look()
    assert (seen.batch, seen.bin_directory) == ("slurm", "/opt/slurm/bin")
    assert (seen.scratch, seen.container, seen.has_modules) == ("/scratch/ada", "apptainer", True)
    assert look(**{"plain:sbatch": "/usr/bin/sbatch"}).bin_directory is None
    assert look(**{"login:sbatch": "", "plain:qsub": "/opt/pbs/bin/qsub"}).batch == "pbs"
    assert look(**{"login:sbatch": "alias sbatch='x'"}).batch == "local"


def test_all_schedulers_are_seen_the_likeliest_first():
    both = look(**{"plain:qsub": "/usr/bin/qsub"})
    assert both.schedulers == (Scheduler("slurm", "/opt/slurm/bin"), Scheduler("pbs", None))
    assert both.using(both.schedulers[1]).batch == "pbs"
    assert (both.using().batch, both.using().bin_directory) == ("local", None)


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("login01.delta.ncsa.illinois.edu", "delta"),
        ("polaris-login-04", "polaris"),
        ("aurora-uan-0010", "aurora"),
        ("log-2.hpc.nyu.edu", "greene"),
        ("login07.chn.perlmutter.nersc.gov", "perlmutter"),
        ("my-laptop", None),
    ],
)
def test_a_site_is_known_by_its_host_names(host, site):
    assert machine.site_of(host, _hosts()) == site


def test_a_site_s_profile_is_extended_with_what_was_found():
    found = written(look(), Inventory("slurm", (GPU_QUEUE,), accounts=("abcd-delta-gpu",)))
    assert found["extends"] == "site:delta"
    cluster = found["cluster"]
    assert cluster["remote_base"] == "/scratch/ada/pilothouse"
    assert cluster["resources"] == {
        "queue": "gpu", "account": "abcd-delta-gpu", "cpus": 16, "gpus": 1, "walltime": "00:30:00",
    }  # fmt: skip


def test_a_site_without_a_profile_gets_the_share_of_memory_that_goes_with_the_cores():
    unknown = look(fqdn="login.nowhere.edu")
    queue = replace(GPU_QUEUE, memory_mb=256_000)
    found = written(unknown, Inventory("slurm", (queue,)))["cluster"]["resources"]
    assert (found["cpus"], found["memory"]) == (16, "62G")
    for unmanaged in (0, 1):  # Slurm says 1 MB where it does not count memory
        queue = replace(GPU_QUEUE, memory_mb=unmanaged)
        assert (
            "memory" not in written(unknown, Inventory("slurm", (queue,)))["cluster"]["resources"]
        )


def test_a_queue_that_starts_nothing_is_not_shown_like_the_others(capsys):
    queues = (Queue("gpu", nodes=1), Queue("down", nodes=1, is_open=False))
    _say(InitOptions(), look(), Inventory("slurm", queues))
    said = capsys.readouterr().out
    assert "queue gpu: 1 node\n" in said
    assert "queue down: 1 node, closed: it starts no jobs now\n" in said


def test_what_cannot_be_found_is_asked_for_by_its_option():
    several = Inventory("slurm", (Queue("a"), Queue("b")))
    with pytest.raises(ConfigurationError, match="Which queue: give --queue"):
        written(look(), several)
    accounts = Inventory("slurm", (Queue("a"),), accounts=("x", "y"))
    with pytest.raises(ConfigurationError, match="Which account pays: give --account"):
        written(look(), accounts)
    with pytest.raises(ConfigurationError, match="--queue c: there are a, b"):
        written(look(), several, queue="c")
    with pytest.raises(ConfigurationError, match="give --python"):
        written(look(**{"plain:python3": ""}), Inventory("slurm", (Queue("a"),)))


def test_the_project_of_earlier_pbs_jobs_is_taken_and_said():
    known = Inventory("pbs", (Queue("debug", is_default=True),), accounts=("new", "old"))
    ask = lambda option, question, choices, default: default  # noqa: E731
    assert account_of(Wishes(), known, ask) == Choice("new", "that of your last jobs: new, old")
    assert account_of(Wishes(), known, lambda *_: "-").value is None
    assert account_of(Wishes(account="x"), known, refuse).value == "x"
    assert account_of(Wishes(account="-"), known, refuse).value is None


TEXT = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs", "Cc")), min_size=1)


@given(queue=TEXT, base=TEXT, python=TEXT)
def test_whatever_was_found_comes_back_out_of_the_file(queue, base, python):
    inventory = Inventory("slurm", (Queue(queue, is_default=True),))
    cluster = written(look(), inventory, base=base, python=python)["cluster"]
    assert cluster["resources"]["queue"] == queue
    assert (cluster["remote_base"], cluster["python"]) == (base, python)

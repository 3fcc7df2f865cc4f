import os
import socket
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import forked
import pytest
import torch

from training import alarm, distributed, learner, trainer
from training import train as program
from training.contract import parse_metrics, parse_result
from training.distributed import BadRanks, Ranks, discover, first_host, join, port
from training.options import BadHyperparameter, read_options
from training.settings import Settings

ROOT = Path(__file__).parent.parent.parent
OPTIONS = ["--batch-size", "250", "--width", "4", "--learning-rate", "0.05", "--seed", "5"]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]


def in_two(start):
    """Start what `start` does as two processes that find each other, as a launcher would. Their ends."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    both = [
        start(environment={**os.environ, **meeting, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    return [one.wait() for one in both]


def train_in_two(directory, *options):
    arguments = ["--output-dir", directory, "--epochs", "2", *options]
    ends = in_two(partial(forked.training, *arguments))
    return ends, parse_result((directory / "results.json").read_bytes())


def test_two_processes_find_what_one_does_with_the_same_batch(tmp_path):
    found = []
    for name, launcher in (("one", []), ("two", TORCHRUN)):
        out = ["--output-dir", str(tmp_path / name), "--epochs", "2", *OPTIONS]
        command = [sys.executable, "-m", *launcher, "training.train", *out]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(parse_result((tmp_path / name / "results.json").read_bytes()))
    one, two = found
    assert two.curve.step == one.curve.step
    # Sums are added in another order: a few of 2,000 images may fall on the other side.
    assert two.curve.accuracy == pytest.approx(one.curve.accuracy, abs=0.01)
    assert two.metrics["train_loss"] == pytest.approx(one.metrics["train_loss"], rel=1e-3)
    lines, _ = parse_metrics((tmp_path / "two" / "metrics.jsonl").read_bytes())
    assert [line.step for line in lines] == [1, 2]
    weights = [
        torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True)["model"]
        for name in ("one", "two")
    ]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-3), name


STATISTICS = """
import os, sys
from pathlib import Path
from training import trainer
from training.data.synthetic import load
from training.distributed import discover, leave
from training.options import read_options
from training.settings import Settings

trainer.load_data = lambda name, folder: load(64, 32)
ranks, out = discover(os.environ), Path(sys.argv[1])
options = read_options({"model": "resnet18", "batch_size": 32, "ema": float(sys.argv[2])})
settings = Settings(out, device="cpu", checkpoint_every=0)
made = trainer.Trainer(options, settings, 1, trainer.Found(), lambda: False, ranks)
made._epoch(1)
made.learner.accuracy(made._validation)
model = made.learner.judged
sums = [value.double().sum().item() for value in model.state_dict().values()]
(out / str(ranks.rank)).write_text(str(sums))
leave()
"""


@pytest.mark.parametrize("ema", ["0", "0.9"])
def test_all_processes_judge_the_same_network(tmp_path, ema):
    script = tmp_path / "script.py"
    script.write_text(STATISTICS)
    for done in in_two(partial(forked.script, script, tmp_path, ema)):
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text()


def test_a_step_exchanges_gradients_and_nothing_else(tmp_path, monkeypatch):
    # The statistics of batch normalization are used in judging only, and taken from the first one there.
    monkeypatch.setattr(learner, "take_from_first", lambda values: None)
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        options = read_options({"model": "resnet18", "batch_size": 4})
        settings = Settings(tmp_path, device="cpu", data="synthetic")
        made = trainer.Trainer(options, settings, 1, trainer.Found(), lambda: False, Ranks(0, 2))
        with torch.profiler.profile() as seen:
            made.learner.step(
                made.data.train.images[:4], made.data.train.labels[:4], 4, torch.Generator()
            )
    finally:
        torch.distributed.destroy_process_group()
    names = {event.name for event in seen.events() if event.name.startswith("c10d::")}
    assert names == {"c10d::allreduce_"}


@pytest.mark.parametrize(("flag", "is_equal"), [(["--sync-batch-norm"], True), ([], False)])
def test_batch_normalization_over_all_processes_is_that_of_one(tmp_path, flag, is_equal):
    script = tmp_path / "script.py"
    script.write_text(NORMALIZED)
    found = []
    for name in ("one", "two"):
        start = partial(forked.script, script, tmp_path / name, *flag)
        for done in in_two(start) if name == "two" else [start().wait()]:
            assert done.returncode == 0, done.stderr
        path = tmp_path / name / "checkpoints" / "last.pt"
        found.append(torch.load(path, weights_only=True)["model"])
    one, two = found
    assert set(one) == set(two)
    near = [torch.allclose(value, two[name], atol=2e-4) for name, value in one.items()]
    assert all(near) is is_equal


NORMALIZED = """
import sys
import torch
from torch import nn
from training import learner, train, trainer
from training.data.synthetic import load
from training.norms import BatchNorm

class Small(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, 2), BatchNorm(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2),
            BatchNorm(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 7 * 7, 10),
        )

trainer.load_data = lambda name, folder: load(85, 32)  # an odd last batch
learner.build_model = lambda options, shape: Small()
flags = ["--batch-size", "32", "--learning-rate", "0.05", "--epochs", "2", "--output-dir"]
sys.exit(train.main([*flags, *sys.argv[1:]]))
"""


FAILING = """
import os, sys, time
import torch
from training import train
from training.learner import Learner

whole, done = Learner.step, []

def second_epoch(then):
    def step(*given):
        done.append(1)
        if len(done) > 10:
            then()
        return whole(*given)
    Learner.step = step

def fail():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

def stuck():
    time.sleep(600)  # as in a wait for the device, which waits for a process that is gone

def trackers(*given):
    raise train.PilothouseError("no tracker")

if sys.argv[1] == "1":
    second_epoch(stuck if os.environ["RANK"] == "0" else fail)
elif os.environ["RANK"] == "0":
    train.Trackers = trackers
flags = ["--batch-size", "500", "--width", "2", "--checkpoint-every", "100"]
sys.exit(train.main([*flags, "--output-dir", *sys.argv[2:]]))
"""


@pytest.mark.parametrize(
    ("rank", "message"),
    [("1", "out of memory with batch_size 500: CUDA out of memory"), ("0", "no tracker")],
)
def test_the_failure_of_one_process_ends_all_and_is_the_result(tmp_path, rank, message):
    script = tmp_path / "script.py"
    script.write_text(FAILING)
    command = [sys.executable, "-m", *TORCHRUN[:-1], str(script), rank, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=180, check=False)
    assert done.returncode == 1
    found = parse_result((tmp_path / "results.json").read_bytes())
    assert found.status == "failed"
    assert found.error.message.startswith(message)
    kept = tmp_path / "checkpoints" / "last.pt"
    epochs = [torch.load(kept, weights_only=True)["epoch"]] if kept.exists() else []
    assert epochs == list(found.curve.step) == ([1] if rank == "1" else [])


ENDING = """
import atexit, pathlib, sys, threading
from training import alarm, train

alarm.EVERY = 1e-4  # so that the watch is nearly always in torch

def names():
    watching = [one.name for one in threading.enumerate() if "_look" in one.name]
    pathlib.Path(sys.argv[-1], f"threads.{train.os.environ['RANK']}").write_text(str(watching))

atexit.register(names)
sys.exit(train.main(["--batch-size", "1000", "--width", "2", "--epochs", "1", "--output-dir", sys.argv[-1]]))
"""


def test_processes_that_are_done_end_as_any_other_and_nothing_watches_on(tmp_path):
    # A thread that is in torch while Python is taken down aborts the process now and then.
    script = tmp_path / "script.py"
    script.write_text(ENDING)
    command = [sys.executable, "-m", *TORCHRUN[:-1], str(script), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"threads.{rank}").read_text() for rank in (0, 1)] == ["[]", "[]"]


@pytest.mark.parametrize(("backend", "is_long"), [("nccl", True), ("xccl", True), ("gloo", False)])
def test_who_fails_stays_where_its_end_would_take_the_others_down(monkeypatch, backend, is_long):
    # NCCL aborts a process that has lost another: the first one must have told the failure by then.
    slept = []
    monkeypatch.setattr(alarm.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(alarm.distributed, "get_backend", lambda: backend)
    monkeypatch.setattr(alarm.time, "sleep", slept.append)
    alarm.linger()
    assert [seconds > alarm.EVERY + alarm.GRACE for seconds in slept] == [True] * is_long


def test_a_last_batch_that_is_too_small_for_all_processes_is_left_out(tmp_path):
    ends, found = train_in_two(tmp_path, "--batch-size", "4999", "--width", "2")
    assert [done.returncode for done in ends] == [0, 0]
    assert found.status == "completed"  # the mean over no images is no number
    assert found.metrics["train_loss"] == pytest.approx(2.3, abs=0.1)


def test_a_batch_that_is_too_small_for_all_processes_is_refused(tmp_path):
    ends, found = train_in_two(tmp_path, "--batch-size", "1")
    assert [done.returncode for done in ends] == [2, 2]
    assert "batch_size: 1 is less than the 2 processes" in found.error.message


@pytest.mark.parametrize(
    ("variables", "ranks"),
    [
        ({}, Ranks()),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Ranks(3, 8, 1)),
        (
            {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "0"},
            Ranks(2, 4, 0),
        ),
        # A batch script is no step: nobody else runs.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Ranks()),
        ({"PALS_RANKID": "5", "PMI_SIZE": "12", "PALS_LOCAL_RANKID": "5"}, Ranks(5, 12, 5)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_LOCAL_RANK": "0"}, Ranks(1, 2, 0)),
        ({"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1"}, Ranks(5, 8, 1)),
        # No two processes of a node on one device where nobody says which they are on it.
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Ranks(1, 2, 1)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Ranks(1, 2, 1)),
    ],
)
def test_ranks_are_found_in_what_each_launcher_leaves(variables, ranks):
    assert discover(variables) == ranks


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_ranks_that_are_no_numbers_are_bad_input(tmp_path, monkeypatch, capsys, name):
    for given in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(given, "" if given == name else "1")
    assert program.main(["--output-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {name} is '' in the environment")


def test_processes_that_cannot_meet_say_what_is_missing(monkeypatch):
    for name in ("MASTER_ADDR", "SLURM_LAUNCH_NODE_IPADDR", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadRanks, match="MASTER_ADDR"):
        join(Ranks(1, 4), torch.device("cpu"))


@pytest.mark.parametrize("rank", [0, 1])
def test_who_waits_for_the_others_in_vain_says_where(monkeypatch, rank):
    given = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(distributed, "MEETING", timedelta(seconds=1))
    with pytest.raises(BadRanks, match=f"rank {rank} of 2 did not meet the others at 127.0.0.1:"):
        join(Ranks(rank, 2), torch.device("cpu"))


@pytest.mark.parametrize(
    ("device", "backend", "bound"),
    [
        (torch.device("cuda", 1), "nccl", torch.device("cuda", 1)),
        (torch.device("xpu", 1), "xccl", torch.device("xpu", 1)),
        (torch.device("cpu"), "gloo", None),
    ],
)
def test_the_library_of_the_device_knows_which_one_it_is(monkeypatch, device, backend, bound):
    asked = []
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_meet", lambda ranks: None)
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda *how, **more: asked.append((how, more))
    )
    join(Ranks(1, 2), device)
    [(how, more)] = asked
    assert (how, more["device_id"]) == ((backend,), bound)
    assert more["timeout"] == distributed.PATIENCE


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({"MASTER_ADDR": "a", "SLURM_STEP_NODELIST": "b"}, "a"),
        ({"SLURM_STEP_NODELIST": "nid[001204-001207,001300]"}, "nid001204"),
        ({"SLURM_STEP_NODELIST": "gpu07,gpu[09-11]"}, "gpu07"),
        ({"SLURM_STEP_NODELIST": "rack[1,3]-node[04-08]-ib,other"}, "rack1-node04-ib"),
        # srun on a login node: rank 0 is not there.
        ({"SLURM_STEP_NODELIST": "n1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}, "n1"),
        ({"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.2"}, "10.0.0.2"),
        ({"PMI_LOCAL_SIZE": "8"}, "127.0.0.1"),
        ({"MPI_LOCALNRANKS": "8"}, "127.0.0.1"),
        ({"PMI_LOCAL_SIZE": "4"}, None),
        ({}, None),
    ],
)
def test_the_first_process_is_found(variables, host):
    assert first_host(variables, 8) == host


def test_launches_that_may_share_a_node_meet_at_different_ports():
    launches = [
        *({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": str(step)} for step in range(4)),
        *({"PBS_JOBID": f"{job}.server", "PALS_APID": "x"} for job in range(4)),
        {"PBS_JOBID": "1.server", "PALS_APID": "y"},
        {},
    ]
    ports = [port(launch) for launch in launches]
    assert len(set(ports)) == len(ports)
    assert all(20000 <= one < 32000 for one in ports)
    assert ports == [port({**launch, "SLURM_PROCID": "3"}) for launch in launches]


@pytest.mark.parametrize(
    ("flags", "status", "parted"), [([], "completed", [True]), (["--data", "none"], "failed", [])]
)
def test_the_result_is_written_before_the_others_are_waited_for(
    tmp_path, monkeypatch, flags, status, parted
):
    # Parting is a meeting of all: where one has failed, it may last until the job is killed.
    found = []
    monkeypatch.setattr(
        program, "leave", lambda: found.append((tmp_path / "results.json").exists())
    )
    tiny = ["--width", "2", "--hidden", "4", "--batch-size", "1000", "--epochs", "1"]
    program.main(["--output-dir", str(tmp_path), *tiny, *flags])
    assert parse_result((tmp_path / "results.json").read_bytes()).status == status
    assert found == parted


def test_only_the_first_process_warns(tmp_path, monkeypatch, capsys):
    flags = ["--optimizer", "adam", "--momentum", "0.5", "--batch-size", "1000", "--epochs", "1"]
    for rank, warnings in ((0, 1), (1, 0)):
        monkeypatch.setattr(program, "discover", lambda variables, rank=rank: Ranks(rank))
        program.main(["--output-dir", str(tmp_path), "--width", "2", *flags])
        assert capsys.readouterr().err.count("momentum has no effect") == warnings


def test_processes_that_find_different_checkpoints_do_not_go_on(tmp_path, monkeypatch):
    # Each would train from its own epoch, with weights of its own.
    options, settings = read_options({}), Settings(tmp_path, device="cpu")
    made = trainer.Trainer(options, settings, 1, trainer.Found(), lambda: False, Ranks())
    assert made._resume() is None
    monkeypatch.setattr(made, "_ranks", Ranks(1, 2))
    monkeypatch.setattr(trainer, "summed", lambda value: value + 5)  # the first one's epoch
    with pytest.raises(BadHyperparameter, match="find different checkpoints"):
        made._resume()

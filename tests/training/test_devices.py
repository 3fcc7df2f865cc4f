"""What a device is asked to do, where the devices themselves are not there."""

import warnings

import pytest
import torch

from training import learner
from training.devices import (
    BadDevice,
    choose_device,
    free_memory,
    is_out_of_memory,
    memory_format,
    number_type,
    prepare,
)
from training.distributed import Ranks
from training.options import read_options
from training.settings import Settings
from training.train import main
from training.trainer import Found, Trainer


@pytest.fixture
def four(monkeypatch):
    """Four devices of a kind."""

    def make(kind):
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda: True)
        monkeypatch.setattr(getattr(torch, kind), "device_count", lambda: 4)

    return make


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_each_process_of_a_node_gets_a_device(four, kind):
    four(kind)
    assert [choose_device("auto", local).index for local in range(5)] == [0, 1, 2, 3, 0]
    assert choose_device(kind, 2) == torch.device(kind, 2)
    assert choose_device(f"{kind}:3", 2) == torch.device(kind, 3)


@pytest.mark.parametrize("name", ["cuda:4", "cuda:", "cuda:first", "cuda:-1", "cpu:1", "tpu", ""])
def test_a_device_that_is_not_there_is_bad_input(four, tmp_path, capsys, name):
    four("cuda")
    with pytest.raises(BadDevice, match=r"there is cuda \(4\), cpu \(1\)"):
        choose_device(name)
    assert main(["--output-dir", str(tmp_path), "--device", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: --device: there is no {name} here")


OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver "
    "by downloading and installing a new version from the URL: http://www.nvidia.com/"
)


@pytest.fixture
def old_driver(monkeypatch):
    """As torch 2.14 tells of it."""

    def is_available():
        warnings.warn(f"CUDA initialization: {OLD}", stacklevel=2)
        return False

    def init():
        raise RuntimeError(OLD)

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    monkeypatch.setattr(torch.cuda, "init", init)


def test_why_there_is_no_device_is_told_in_one_line(old_driver, tmp_path, capsys):
    words = "The NVIDIA driver on your system is too old (found version 11040)\n"
    assert main(["--output-dir", str(tmp_path), "--device", "cuda"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --device: there is no cuda here; there is cpu (1). torch ")
    assert told.endswith(words) and told.count("\n") == 1
    assert choose_device("auto") == torch.device("cpu")
    told = capsys.readouterr().err
    assert told == f"warning: the device is cpu. CUDA initialization: {words}"


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_what_names_no_device_goes_to_the_one_that_was_chosen(monkeypatch, kind):
    found = []
    monkeypatch.setattr(getattr(torch, kind), "set_device", found.append)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    prepare(torch.device(kind, 2), 1, deterministic=False)
    assert found == [torch.device(kind, 2)]


def test_the_same_bits_each_time_cost_no_filling_of_new_memory(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        prepare(torch.device("cpu"), 1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.parametrize(("has_bf16", "numbers"), [(True, torch.bfloat16), (False, torch.float32)])
def test_numbers_that_a_gpu_only_emulates_are_not_chosen_for_it(monkeypatch, has_bf16, numbers):
    def asked(including_emulation=True):
        return has_bf16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", asked)
    assert number_type(torch.device("cuda", 0), "auto") == numbers
    assert number_type(torch.device("cuda", 0), "bf16") == torch.bfloat16  # who asks gets them


def test_a_driver_that_does_not_tell_what_is_free_is_no_failure(monkeypatch):
    def refuse(device):
        raise RuntimeError("The device doesn't support querying the available free memory.")

    class Properties:
        total_memory = 2**36

    monkeypatch.setattr(torch.xpu, "mem_get_info", refuse)
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda device: Properties)
    assert free_memory(torch.device("xpu", 0)) == 2**36


@pytest.mark.parametrize(
    ("message", "is_one"),
    [
        ("level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)", True),
        ("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)", True),
        ("CUDA error: out of memory", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_memory_that_ran_out_is_known_by_its_words(message, is_one):
    assert is_out_of_memory(RuntimeError(message)) is is_one


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("mps", torch.contiguous_format),  # wrong gradients otherwise
        ("cuda", torch.channels_last),
        ("xpu", torch.channels_last),
        ("cpu", torch.channels_last),
    ],
)
def test_images_and_weights_lie_as_the_device_wants(monkeypatch, tmp_path, kind, wanted):
    assert memory_format(torch.device(kind)) == wanted
    monkeypatch.setattr(learner, "memory_format", lambda device: wanted)
    options = read_options({"batch_size": 40, "crop": 2})
    made = Trainer(options, Settings(tmp_path), 1, Found(), lambda: False, Ranks())
    given = []
    made.learner.model.register_forward_pre_hook(lambda model, inputs: given.append(inputs[0]))
    images, labels = next(made._train.epoch([torch.arange(40)], 0))
    made.learner.step(images, labels, 40, torch.Generator())
    made.learner.accuracy((images, labels))
    weights = [p for p in made.learner.model.parameters() if p.ndim == 4]
    assert len(given) == 2
    assert all(one.is_contiguous(memory_format=wanted) for one in (*given, *weights))

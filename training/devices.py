"""Which device trains, and with what numbers."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import re
import resource
import sys
import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch

from training.contract import PilothouseError

_NUMBERED = ("cuda", "xpu")
"""Of these a node has several."""


class BadDevice(PilothouseError):
    """A device that this machine does not have."""


def choose_device(name: str, local: int = 0) -> torch.device:
    """``auto`` is the best there is: CUDA, XPU, MPS, CPU. Raises BadDevice.

    `local`: which of a node's processes this is; where there are several devices, it gets its own.
    """
    counts, warned = _counts()
    if name == "auto":
        name = next(kind for kind, count in counts.items() if count)
    kind, colon, place = name.partition(":")
    count = counts.get(kind, 0)
    if not count or (colon and not (place.isdecimal() and int(place) < count)):
        known = ", ".join(f"{kind} ({count})" for kind, count in counts.items() if count)
        reason = _reason(kind) if not count and kind in _NUMBERED else ""
        raise BadDevice(f"--device: there is no {name} here; there is {known}{reason}")
    # Of a driver that is too old, say: who trains on a CPU may not have meant to.
    for told in warned:
        print(f"warning: the device is {kind}. {told}", file=sys.stderr)
    if kind not in _NUMBERED:
        return torch.device(kind)
    return torch.device(kind, int(place) if colon else local % count)


def _counts() -> tuple[dict[str, int], list[str]]:
    """How many devices of each kind there are, the best first, and what torch warned of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        counts = {
            "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
            "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
            "mps": int(torch.backends.mps.is_available()),
            "cpu": 1,
        }
    return counts, [_sentence(warning.message) for warning in told]


def _reason(kind: str) -> str:
    """Why there is none of a kind: torch is built without it, no driver, one that is too old."""
    try:
        (torch.cuda if kind == "cuda" else torch.xpu).init()
    except Exception as error:  # of which type, each kind and version of torch has its own mind
        return f". torch {torch.__version__}: {_sentence(error)}"
    return ""


def _sentence(told: object) -> str:
    """The first one of what torch tells: after it come addresses and places in its source."""
    return re.split(r"\. (?=[A-Z])|\n", str(told))[0]


def derived_seed(seed: int, number: int) -> int:
    """The seed of one part, such as an epoch, of what `seed` begins."""
    return (seed * 1_000_003 + number) % 2**62


def seed_of_rank(seed: int, rank: int) -> int:
    """What one of several processes draws from, each from its own; the first as one process alone.

    Seeds of their own have other low 32 bits: of more, torch's generator on a CPU takes no notice.
    """
    return derived_seed(seed, rank) if rank else seed


def seed_all(seed: int) -> None:
    """Seed Python, torch and NumPy."""
    random.seed(seed)
    torch.manual_seed(seed % 2**64)
    if "numpy" in sys.modules:  # torch brings it in where it is installed
        sys.modules["numpy"].random.seed(seed % 2**32)


def prepare(device: torch.device, seed: int, *, deterministic: bool) -> None:
    """Seed all that is random, and set what makes this device fast."""
    seed_all(seed)
    if device.type == "cpu":
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdigit():
            torch.set_num_threads(int(threads))
    if device.type in _NUMBERED:
        # Pinned memory and libraries take the current device: without this, each process of a node
        # would also sit on the first one.
        (torch.cuda if device.type == "cuda" else torch.xpu).set_device(device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # New memory would be filled, for who reads what nobody has written: nobody here does, and each
        # filling is a launch.
        torch.utils.deterministic.fill_uninitialized_memory = False


PINNED_FOR = ("cuda", "xpu")
"""To these a copy from pinned memory goes its way while the host goes on."""


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The values on the device, without a wait for the work that it still has before it.

    A copy from ordinary memory waits until the device is idle, which is then idle until the host
    has found it new work: at each step that is a good part of a small network's time.
    """
    if device.type not in PINNED_FOR or values.device == device:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def number_type(device: torch.device, precision: str) -> torch.dtype:
    """The numbers in which a network computes; ``auto``: bf16 where it has always paid."""
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "fp32"
    return PRECISIONS[precision]


def _has_bf16(device: torch.device) -> bool:
    # Before NVIDIA's Ampere torch emulates bf16, slower than fp32, and has no convolutions for it.
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "xpu"


def memory_format(device: torch.device) -> torch.memory_format:
    """How images and convolutions lie in memory: channels last, which the fast kernels want.

    Not on MPS: its batch normalization has wrong gradients there (github.com/pytorch/pytorch,
    issue 175189).
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a CUDA or XPU device; where its driver does not tell, all of them."""
    module = torch.cuda if device.type == "cuda" else torch.xpu
    try:
        return int(module.mem_get_info(device)[0])
    except RuntimeError:
        return int(module.get_device_properties(device).total_memory)


def autocast(device: torch.device, numbers: torch.dtype) -> AbstractContextManager[object]:
    """Computes in those numbers what bears it; the weights stay in fp32."""
    if numbers == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=numbers)


def gradient_scaler(device: torch.device, numbers: torch.dtype) -> torch.amp.GradScaler:
    """Keeps fp16's small gradients from becoming zero; for other numbers it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=numbers == torch.float16)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: a CPU and vendors' libraries have no type for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = (
        "can't allocate memory",
        "ALLOC_FAILED",
        "out of memory",
        "OUT_OF_DEVICE_MEMORY",
        "OUT_OF_HOST_MEMORY",
        "ERROR_OUT_OF_RESOURCES",  # the same, in the words of Intel's runtime
    )
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that was in use on the device, in MiB; on a CPU, by the process.

    MPS keeps no peak: there it is what the driver holds now, which seldom shrinks.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type == "xpu":
        return torch.xpu.max_memory_allocated(device) / 2**20
    if device.type == "mps":
        return torch.mps.driver_allocated_memory() / 2**20
    return peak_process_memory_mb()


def peak_process_memory_mb() -> float:
    """The most memory that the process has had in use, libraries included, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def describe(device: torch.device) -> dict[str, Any]:
    """The device by name, and how many of its kind this process sees."""
    facts: dict[str, Any] = {"device": str(device), "device_count": 1}
    if device.type == "cuda":
        facts["device_name"] = torch.cuda.get_device_name(device)
        facts["device_count"] = torch.cuda.device_count()
        facts["cuda"] = torch.version.cuda
    elif device.type == "xpu":
        facts["device_name"] = torch.xpu.get_device_name(device)
        facts["device_count"] = torch.xpu.device_count()
    elif device.type == "mps":
        facts["device_name"] = f"Apple GPU ({_processor()})"
    else:
        facts["device_name"] = _processor()
    return facts


def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            named = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(named, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()

"""Which device trains, and with what numbers."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import resource
import sys
from contextlib import AbstractContextManager
from typing import Any

import torch

from training.contract import PilothouseError


class BadDevice(PilothouseError):
    """A device that this machine does not have."""


def choose_device(name: str, local: int = 0) -> torch.device:
    """``auto`` is the best there is: CUDA, XPU, MPS, CPU. Raises BadDevice.

    `local`: which of a node's processes this is; where there are several devices, it gets its own.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, is_there in there.items() if is_there)
    kind = name.split(":")[0]
    if not there.get(kind, False):
        known = ", ".join(device for device, is_there in there.items() if is_there)
        raise BadDevice(f"--device: there is no {name} here; there is {known}")
    if name in ("cuda", "xpu"):
        count = torch.cuda.device_count() if name == "cuda" else torch.xpu.device_count()
        return torch.device(name, local % count)
    return torch.device(name)


def prepare(device: torch.device, seed: int, *, deterministic: bool) -> None:
    """Seed all that is random, and set what makes this device fast."""
    random.seed(seed)
    torch.manual_seed(seed)
    if "numpy" in sys.modules:  # torch brings it in where it is installed
        sys.modules["numpy"].random.seed(seed % 2**32)
    if device.type == "cpu":
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdigit():
            torch.set_num_threads(int(threads))
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


PINNED_FOR = ("cuda", "xpu")
"""To these a copy from pinned memory goes its way while the host goes on."""


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The values on the device, without a wait for the work that it still has before it.

    A copy from ordinary memory waits until the device is idle, which is then idle until the host
    has found it new work: at each step that is a good part of a small network's time.
    """
    if device.type not in PINNED_FOR:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def number_type(device: torch.device, precision: str) -> torch.dtype:
    """The numbers in which a network computes; ``auto``: bf16 where it has always paid."""
    if precision == "auto":
        precision = "bf16" if device.type in ("cuda", "xpu") else "fp32"
    return PRECISIONS[precision]


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
    words = ("can't allocate memory", "ALLOC_FAILED", "out of memory", "OUT_OF_DEVICE_MEMORY")
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

"""A device that is none: its tensors are of a kind of their own, and their memory is the host's.

torch leaves one kind of device (PrivateUse1) to makers of hardware. Here each operation on it is the CPU's
on the same bytes: the numbers must be the CPU's, and what is given tensors of both devices fails. As a
program, it is the training program on that device, with few images, for each list of arguments in turn:

    python tests/training/standin.py '[["--output-dir", "DIR"], ...]'
"""

import ctypes
import dataclasses
import json
import sys

import torch
from torch.library import Library, fallthrough_kernel
from torch.utils import _pytree as tree
from torch.utils import backend_registration

from training import train, trainer
from training.data import load_data

NAME, KEY, IMAGES = "standin", "PrivateUse1", 96
HOST, DEVICE = 1, 12  # DLPack's numbers: of the CPU, and of what it does not know
FAST = ("conv2d", "linear", "matmul")
aten = torch.ops.aten


class Capsule(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32)]


address = ctypes.pythonapi.PyCapsule_GetPointer
address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@torch.inference_mode(False)  # views of what may have gradients
def on(kind, values):
    """The same memory, as of that device."""
    capsule = torch._C._to_dlpack(values.detach())
    Capsule.from_address(address(capsule, b"dltensor")).device_type = kind
    return torch._C._from_dlpack(capsule)


def is_here(value):
    return isinstance(value, torch.Tensor) and value.device.type == NAME


def run(operation, *args, **kwargs):
    """Any operation, on the CPU."""
    flat, shape = tree.tree_flatten((args, kwargs))
    others = [v for v in flat if isinstance(v, torch.Tensor) and v.ndim and not is_here(v)]
    assert not others, f"{operation} is given tensors of both devices"
    pairs = []

    def lent(value):
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if not is_here(value):
            return value
        # Lent memory cannot grow, as that of an empty result has to.
        same = on(HOST, value) if value.numel() else torch.empty_like(value, device="cpu")
        pairs.append((same, value))
        return same

    def returned(value):
        if not isinstance(value, torch.Tensor):
            return value
        return next((own for same, own in pairs if same is value), on(DEVICE, value))

    args, kwargs = tree.tree_unflatten([lent(value) for value in flat], shape)
    result = operation(*args, **kwargs)
    for same, own in pairs:
        if same.numel() and not own.numel():
            own.data = on(DEVICE, same)
    return tree.tree_map(returned, result)


def copied(source, target, non_blocking=False):
    """From one device to the other, or within this one."""
    here, there = (on(HOST, v) if is_here(v) else v for v in (source, target))
    there.copy_(here)
    return target


def convolved_back(gradient, images, weight, *rest):
    *how, wanted = rest
    sizes = [weight.shape[0]] if wanted[2] else None
    return run(aten.convolution_backward.default, gradient, images, weight, sizes, *how, wanted)


def copied_deep(tensor, memo, original=torch.Tensor.__deepcopy__):
    """Lent memory cannot be asked for another of its kind."""
    return tensor.clone() if is_here(tensor) else original(tensor, memo)


def in_few_digits(operation):
    """An operation under autocast."""
    away = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def narrow(value):
        is_wide = is_here(value) and value.dtype == torch.float32
        return value.to(torch.get_autocast_dtype(NAME)) if is_wide else value

    def inner(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(away):
            return operation(*map(narrow, args), **kwargs)

    return inner


class Module(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


def install():
    """Make the device known to torch. Returns what has to be kept."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, Module())
    torch.Tensor.__deepcopy__ = copied_deep
    every, some = Library("_", "IMPL"), Library("aten", "IMPL")
    every.fallback(run, KEY)
    every.fallback(fallthrough_kernel, f"Autocast{KEY}")
    for name in FAST:
        some.impl(name, in_few_digits(getattr(aten, name).default), f"Autocast{KEY}")
    some.impl("_copy_from", copied, KEY)
    some.impl("convolution_overrideable", lambda *all_: run(aten.convolution.default, *all_), KEY)
    some.impl("convolution_backward_overrideable", convolved_back, KEY)
    return every, some


def load_few(name, directory):
    data = load_data(name, directory)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    few = {
        name: part
        and dataclasses.replace(part, images=part.images[:IMAGES], labels=part.labels[:IMAGES])
        for name, part in parts.items()
    }
    return dataclasses.replace(data, **few)


def main(arguments, device):
    """The training program on this device."""
    trainer.load_data = load_few
    trainer.choose_device = lambda name, local: torch.device(device)
    return train.main(arguments)


if __name__ == "__main__":
    kept = install()
    for arguments in json.loads(sys.argv[1]):
        main(arguments, f"{NAME}:0")

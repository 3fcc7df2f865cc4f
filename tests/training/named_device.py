"""A CUDA or XPU device whose tensors have shapes, types and places, and no numbers.

torch calls such tensors fake. What is asked of them goes through the rules of the device that they name: what
autocast narrows there, which optimizers there are. What is given tensors of both devices fails, and so does who
asks for a number.
"""

import ctypes
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

TABLE = "_ZN3c104impl26device_guard_impl_registryE"
COPIES = ("_to_copy", "to", "copy_")
WITHOUT_RESULT = ("_fused_sgd_", "_fused_adam_", "_fused_adamw_")  # torch has no shapes of these


class Named(TorchDispatchMode):
    """While it is on, tensors of that kind of device can be made; `moves` are copies from the host."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.fake, self.moves = kind, FakeTensorMode(), []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat = tree.tree_leaves((args, kwargs))
        is_asked = any(isinstance(v, torch.device) and v.type == self.kind for v in flat)
        if not is_asked and not any(isinstance(v, FakeTensor) for v in flat):
            return op(*args, **kwargs)
        host = [v for v in flat if type(v) is torch.Tensor and v.ndim]
        name = op.__name__.partition(".")[0]
        if name in COPIES and host:
            self.moves.append((host[-1].shape, bool(kwargs.get("non_blocking") or args[2:])))
        else:
            assert not host, f"{op} is given tensors of both devices"
        if name in WITHOUT_RESULT:
            return None
        with self.fake:
            fake = (args, kwargs)
            args, kwargs = tree.tree_map_only(torch.Tensor, self._faked, fake)
            return op(*args, **kwargs)

    def _faked(self, value):
        return value if isinstance(value, FakeTensor) else self.fake.from_tensor(value)


def moved(module, change, recurse=True):
    """As `nn.Module._apply`, which would change a parameter's own memory."""
    for each in module.modules():
        for name, value in each._parameters.items():
            if value is not None:
                each._parameters[name] = nn.Parameter(change(value.detach()))
        for name, value in each._buffers.items():
            each._buffers[name] = change(value)
    return module


def install(kind, patch):
    """Let a torch that is built without such devices know one. Returns what takes back what `patch` does not."""
    kinds = torch._C._autograd.DeviceType
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * len(kinds.__members__)).in_dll(library, TABLE)
    number = {"cuda": kinds.CUDA, "xpu": kinds.XPU}[kind].value
    guard = guards[number]
    guards[number] = guards[kinds.Meta.value]  # a torch built for such devices asks its driver
    was = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor makes one of the host first
    there = getattr(torch, kind)
    facts = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "_lazy_init": lambda: None,
        "get_device_name": lambda device: kind,
        "mem_get_info": lambda device: (2**36, 2**37),
        "is_bf16_supported": lambda including_emulation=True: True,
    }
    for name, fact in facts.items():
        patch.setattr(there, name, fact)
    patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: kind != "cuda")
    patch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    patch.setattr(nn.Module, "_apply", moved)
    patch.setattr(FakeTensorMode, "__deepcopy__", lambda self, memo: self, raising=False)

    def take_back():
        guards[number] = guard
        torch._C._set_only_lift_cpu_tensors(was)

    return take_back

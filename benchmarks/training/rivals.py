"""The rivals, each in a process of its own: the plainest PyTorch loop, and torchvision's recipe."""

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.training import BEGAN
from benchmarks.training.cases import Case, data_of, run_of, synchronize


def plain(case: Case) -> dict[str, Any]:
    """The plainest loop, timed."""
    data = data_of(case)
    loader, step, model = plain_parts(case, data)
    return _timed(case, data, loader, step, model)


def plain_parts(case: Case, data: Any) -> tuple[Any, Any, Any]:
    """A DataLoader over normalized images, a step that reads the loss each time, and the network."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(case.seed)
    images = _normalized(data, data.train.images)
    dataset = TensorDataset(images, data.train.labels)
    loader = DataLoader(dataset, batch_size=case.batch, shuffle=True)
    model = _network(case, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=case.rate, momentum=0.9, nesterov=True)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        batch, labels = batch.to(case.device), labels.to(case.device)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return loader, step, model


def recipe(case: Case) -> dict[str, Any]:
    """torchvision's recipe as its documentation describes it: TrivialAugment on each image in a
    worker, SGD with momentum and decay, label smoothing, linear warm-up into a cosine, an average of
    the weights. The same hyperparameters as `processor.RECIPE_FLAGS`, on the same network.
    """
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    from torch.utils.data import DataLoader

    torch.manual_seed(case.seed)
    data = data_of(case)
    on_gpu = not case.device.startswith("cpu")
    loader = DataLoader(
        _Pictures(data), case.batch, shuffle=True, num_workers=case.workers, pin_memory=on_gpu
    )
    model = _network(case, data)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=case.rate, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    steps = len(loader)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=steps)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, (case.epochs - 1) * steps)
    course = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [steps])
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        batch = batch.to(case.device, non_blocking=True)
        labels = labels.to(case.device, non_blocking=True)
        loss = criterion(model(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.step()
        average.update_parameters(model)
        loss.item()

    return _timed(case, data, loader, step, average)


def _network(case: Case, data: Any) -> Any:
    from training.models import build_model
    from training.options import Options

    return build_model(Options(model=case.model), data.shape).to(case.device)


def _normalized(data: Any, images: Any) -> Any:
    import torch

    mean, deviation = (torch.tensor(v)[:, None, None] for v in (data.mean, data.deviation))
    return (images.float() / 255 - mean) / deviation


def _timed(
    case: Case, data: Any, loader: Any, step: Callable[[Any, Any], None], evaluated: Any
) -> dict[str, Any]:
    """All epochs; `evaluated` is the network whose accuracy counts."""
    import torch

    from training.devices import peak_memory_mb

    device = torch.device(case.device)
    images = _normalized(data, data.validation.images).to(device)
    truth = data.validation.labels.to(device)
    told, ends, first_step = [], [], 0.0
    start = time.monotonic()
    for _ in range(case.epochs):
        began, count = time.monotonic(), 0
        for batch, labels in loader:
            step(batch, labels)
            first_step = first_step or time.monotonic() - BEGAN
            count += len(labels)
        synchronize(device)
        trained = time.monotonic() - began
        accuracy = _accuracy(evaluated, images, truth)
        ends.append(time.monotonic())
        told.append((ends[-1] - start, accuracy, count / trained))
    return run_of(told, case.target, first_step, ends, peak_memory_mb(device))


def _accuracy(model: Any, images: Any, labels: Any) -> float:
    import torch

    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(part).argmax(1) == truth).sum())
            for part, truth in zip(images.split(500), labels.split(500), strict=True)
        )
    model.train()
    return right / len(labels)


class _Pictures:
    """Images one by one through torchvision's transforms, as its recipe has them."""

    def __init__(self, data: Any) -> None:
        v2 = _torchvision()
        import torch

        self._split = data.train
        self._transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.TrivialAugmentWide(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(data.mean, data.deviation),
            ]
        )

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return self._transform(self._split.images[place]), int(self._split.labels[place])


def _torchvision() -> Any:
    """Its transforms; the wheel built for CUDA misses operators beside a CPU build of torch."""
    import torch

    global _missing
    try:
        from torchvision.transforms import v2
    except RuntimeError:
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _missing = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            _missing.define(
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        from torchvision.transforms import v2
    return v2


_missing: Any = None
"""Holds the operators that were defined: they last as long as it does."""

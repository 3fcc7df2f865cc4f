import pytest
import torch

from training.models import MODELS, Shape, build_model, parameter_count
from training.norms import BatchNorm
from training.options import Options

# From the papers' reference implementations, for 1,000 classes and 224 x 224 pixels; the same as in
# torchvision's table of weights (https://docs.pytorch.org/vision/stable/models.html).
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg16": 138_365_992,
    "densenet121": 7_978_856,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
    with torch.device("meta"):
        model = build_model(Options(model=name), Shape(3, 224, 1000))
    assert parameter_count(model) == PUBLISHED[name]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [Shape(1, 28, 10), Shape(3, 32, 100)])
def test_small_images_go_through_every_model(name, shape):
    model = build_model(Options(model=name, width=4, dropout=0.1), shape).eval()
    images = torch.randn(2, shape.channels, shape.size, shape.size)
    scores = model(images)
    assert scores.shape == (2, shape.classes)
    scores.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_stem_for_small_images_keeps_the_resolution():
    model = build_model(Options(model="resnet18"), Shape(3, 32, 10))
    assert model.stem(torch.zeros(1, 3, 32, 32)).shape[2:] == (32, 32)


def test_dropout_is_where_the_options_put_it():
    for name in MODELS:
        model = build_model(Options(model=name, dropout=0.25), Shape(3, 32, 10))
        assert 0.25 in {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}, name


def test_pooling_before_relu_gives_what_relu_before_pooling_gives():
    model = build_model(Options(width=4), Shape(1, 28, 10))
    first, _, _, second, *_ = model.layers
    linear = [layer for layer in model.layers if isinstance(layer, torch.nn.Linear)]

    def the_usual_way(images):
        for convolution in (first, second):
            images = torch.max_pool2d(torch.relu(convolution(images)), 2)
        return linear[1](torch.relu(linear[0](images.flatten(1))))

    images = torch.randn(8, 1, 28, 28)
    gradients = []
    for way in (model, the_usual_way):
        model.zero_grad()
        scores = way(images)
        scores.square().sum().backward()
        gradients.append([scores, *(p.grad.clone() for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_batch_normalization_is_torchs_own_but_for_the_count():
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm2d(3)
    theirs.load_state_dict(ours.state_dict())
    for is_training in (True, True, False):
        images, found = torch.randn(4, 3, 5, 5), []
        for norm in (ours, theirs):
            norm.train(is_training).zero_grad()
            own = images.clone().requires_grad_()
            scores = norm(own)
            scores.square().sum().backward()
            statistics = norm.running_mean.clone(), norm.running_var.clone()
            found.append([scores, own.grad, norm.weight.grad, norm.bias.grad, *statistics])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert int(ours.num_batches_tracked) == 0

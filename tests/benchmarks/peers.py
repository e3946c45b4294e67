"""What our training step is measured beside: torchvision's detectors, and the network alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from sobench.data.targets import Batch
from sobench.device import autocast
from sobench.models.detector import Detector
from sobench.suite.plan import Run
from sobench.training.optimizer import make_optimizer

CLASSES = 10


def torchvision_retinanet(backbone: str, size: int, frozen: bool) -> RetinaNet:
    """torchvision's RetinaNet with P6 from C5 and nine anchors per cell, as ours."""
    body = _body(backbone, frozen)
    widths = [128, 256, 512] if backbone in ("resnet18", "resnet34") else [512, 1024, 2048]
    layers = {"layer2": "0", "layer3": "1", "layer4": "2"}
    pyramid = BackboneWithFPN(body, layers, widths, 256, LastLevelP6P7(widths[-1], 256))
    sides = tuple(tuple(int(4 * s * 2 ** (o / 3)) for o in range(3)) for s in (8, 16, 32, 64, 128))
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * 5)
    return RetinaNet(
        pyramid, CLASSES, min_size=size, max_size=size, anchor_generator=anchors, _skip_resize=True
    )


def torchvision_faster_rcnn(backbone: str, size: int, frozen: bool) -> FasterRCNN:
    """torchvision's Faster R-CNN with one anchor scale of 8 strides per level, as ours."""
    body = _body(backbone, frozen)
    finest = 64 if backbone in ("resnet18", "resnet34") else 256
    widths = [finest * 2**level for level in range(4)]
    layers = {f"layer{level + 1}": str(level) for level in range(4)}
    pyramid = BackboneWithFPN(body, layers, widths, 256, LastLevelMaxPool())
    sides = tuple((8 * stride,) for stride in (4, 8, 16, 32, 64))
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * 5)
    return FasterRCNN(
        pyramid, CLASSES + 1, min_size=size, max_size=size, rpn_anchor_generator=anchors,
        rpn_post_nms_top_n_train=1000, _skip_resize=True,
    )  # fmt: skip


def _body(backbone: str, frozen: bool) -> nn.Module:
    """A classification network, of which ``FROZEN`` and all statistics may be frozen."""
    if not frozen:
        body: nn.Module = torchvision.models.get_model(backbone, weights=None)
        return body
    body = torchvision.models.get_model(backbone, weights=None, norm_layer=FrozenBatchNorm2d)
    for name, weight in body.named_parameters():
        weight.requires_grad_(not name.startswith(("conv1", "bn1", "layer1")))
    return body


PEERS = {"retinanet": torchvision_retinanet, "faster_rcnn": torchvision_faster_rcnn}


def torchvision_step(model: nn.Module, run: Run, device: torch.device) -> Callable[[Batch], None]:
    """torchvision's step on the same images and boxes, as its reference training does it."""
    optimizer = make_optimizer(model, run.suite.schedule)
    first = 1 if isinstance(model, FasterRCNN) else 0  # there label 0 is the background

    def step(batch: Batch) -> None:
        images = [x.contiguous() for x in batch.images.float().div(255)]
        targets = [
            {"boxes": b[k >= 0], "labels": k[k >= 0] + first}
            for b, k in zip(batch.targets.boxes, batch.targets.labels, strict=True)
        ]
        optimizer.zero_grad(set_to_none=True)
        with autocast(run.suite.precision, device):
            losses: dict[str, Tensor] = model(images, targets)
        _descend(sum(losses.values(), torch.zeros((), device=device)), model, optimizer)

    return step


def bare_step(detector: Detector, run: Run, device: torch.device) -> Callable[[Batch], None]:
    """Forward and backward of the network alone."""
    optimizer = make_optimizer(detector, run.suite.schedule)

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(run.suite.precision, device):
            output = detector.predict(batch.images)
        total = torch.stack([x.float().mean() for x in detector.head.flops_outputs(output)]).sum()
        _descend(total, detector, optimizer)

    return step


def _descend(total: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
    optimizer.step()
    total.item()  # waits for the device, as any loop does that logs its loss

"""Small EFPN networks, their baselines and batches, and convolutions set by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.build import build_detector
from sobench.models.detector import Detector, Stage
from sobench.models.methods.efpn.model import Efpn
from sobench.suite.sections import Suite
from tests.models import small_config as planted
from tests.tiny_suite import tiny_suite

HEADS = ("faster_rcnn", "retinanet")


REGIONS = {"pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16}


def suite_of(*rows: Any, **changes: Any) -> Suite:
    return tiny_suite(methods=list(rows), **({"regions": REGIONS} | changes))


def network(head: str = "faster_rcnn", **changes: Any) -> Efpn:
    """EFPN with switches; ``neck``, ``backbone``, ``anchors`` and ``regions`` are the suite's."""
    of_suite = {
        k: changes.pop(k) for k in ("neck", "backbone", "anchors", "regions") if k in changes
    }
    suite = suite_of({"name": "efpn", **changes}, head=head, **of_suite)
    detector = build_detector(suite, suite.methods[0], 5, 0)
    assert isinstance(detector, Efpn)
    return detector


def baseline(head: str = "faster_rcnn", seed: int = 7, **of_suite: Any) -> Detector:
    """The plain pyramid, with statistics that are not those of the beginning."""
    suite = suite_of("fpn", head=head, **of_suite)
    detector = build_detector(suite, suite.methods[0], 5, seed).train()
    with torch.no_grad():
        detector.predict(torch.rand(4, 3, 64, 64) * 255)
    return detector


def batch(size: tuple[int, int] = (64, 64), empty: bool = False) -> tuple[Tensor, Targets, Tensor]:
    """Two images of random patches, with the same at twice the size."""
    generator = torch.Generator().manual_seed(3)
    shape = (2, 3, -(-size[0] // 4), -(-size[1] // 4))
    patches = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    images_2x = patches.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    images_2x = images_2x[..., : 2 * size[0], : 2 * size[1]].contiguous()
    boxes: list[list[tuple[float, ...]]] = [[(4, 4, 14, 14), (30, 20, 42, 36)], [(8, 40, 20, 50)]]
    objects = planted.targets([[], []] if empty else boxes, [[], []] if empty else [[0, 1], [2]])
    return images_2x[..., ::2, ::2].contiguous(), objects, images_2x


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([*losses.values()]).sum()


def fill(conv: nn.Module, rows: list[list[float]]) -> None:
    """Make a convolution work cell by cell: ``rows[output][input]``, without bias."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = torch.tensor(rows)
        if conv.bias is not None:
            conv.bias.zero_()


def plane(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None, None]


class FixedTransfer(nn.Module):
    """A transfer with a fixed result that records its inputs."""

    def __init__(self, value: Tensor | None = None) -> None:
        super().__init__()
        self.value = value
        self.inputs: list[tuple[Tensor, Tensor]] = []

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        self.inputs.append((upper, lower))
        return torch.zeros_like(lower) if self.value is None else self.value


def learn(detector: Efpn, stage: Stage) -> tuple[set[str], set[str]]:
    """Names of what asks for gradients and of what has moved, by a step of AdamW with decay."""
    detector.start_stage(stage)
    before = {name: x.clone() for name, x in detector.state_dict().items()}
    weights = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1)
    images, targets, images_2x = batch()
    torch.manual_seed(0)
    total(detector.train()(images, targets, images_2x)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    asking = {name for name, p in detector.named_parameters() if p.requires_grad}
    for name, parameter in detector.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == (name in asking), name
    after = detector.state_dict()
    return asking, {name for name, x in before.items() if not torch.equal(x, after[name])}

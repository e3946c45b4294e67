"""Nothing in an ignore region is background, to no method and to no stage of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.build import build_detector
from sobench.models.detector import HeadOutput
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.heads.ssd import SSDHead
from sobench.models.methods.efpn.heads import ExtendedFasterRcnn, ExtendedRetinaNet
from sobench.models.methods.zoominnet.distillation import key_positions
from sobench.models.parts.chosen import Chosen
from sobench.models.parts.nms import flatten_predictions
from sobench.models.parts.roi import RoIClassifier
from sobench.suite.methods import methods
from tests.models.small_config import targets
from tests.tiny_suite import tiny_suite

CASES = [(name, head) for name, row in methods().items() for head in row.heads or ("retinanet",)]
CLASSES, SIDE = 2, 64
OBJECT, REGION = (40.0, 40.0, 56.0, 54.0), (0.0, 0.0, 34.0, 34.0)
SMALL = {"pre_nms_top_n": 200, "post_nms_top_n": 50, "batch_size_per_image": 32, "channels": 8}


@dataclass
class Predicted:
    """Class predictions of one stage, and the boxes that they are of.

    Attributes:
        grads: ``[N]``, the greatest gradient of each box's class predictions.
        boxes: ``[N, 4]``.
    """

    grads: Tensor
    boxes: Tensor


def detector(name: str, head: str) -> Any:
    suite = tiny_suite(head=head, regions=SMALL, anchors={"smallest": 8}, methods=[name])
    return build_detector(suite, suite.methods[0], CLASSES, 0).train()


def truth(with_region: bool) -> Targets:
    """Two images with an object, and perhaps a region, in which there is nothing."""
    return targets([[OBJECT]] * 2, [[1]] * 2, [[REGION]] * 2 if with_region else None)


def hot(head: Any, output: HeadOutput) -> HeadOutput:
    """The same predictions with confident false ones in the region, and no offsets."""
    # The background is the first of a softmax, and no value of its own of a sigmoid.
    backgrounds = {"arm_logits": 2}
    if isinstance(head, SSDHead | RefineDetHead):
        backgrounds["logits"] = CLASSES + 1
    planted: HeadOutput = {}
    for name, maps in output.items():
        if name in ("logits", "arm_logits", "objectness"):
            planted[name] = [_hot(x, backgrounds.get(name)) for x in maps]
        else:
            is_offset = name.endswith("offsets")
            planted[name] = [torch.zeros_like(x) if is_offset else x.detach() for x in maps]
    return planted


def _hot(x: Tensor, values_of_softmax: int | None) -> Tensor:
    height, width = x.shape[-2:]
    values = torch.zeros_like(x)
    # Anchors of the first cells may lie half outside of the image, so half outside of the region.
    first = 1 if min(height, width) >= 4 else 0
    values[..., first : max(1, height // 2), first : max(1, width // 2)] = 6.0
    if values_of_softmax is not None:
        values[:, ::values_of_softmax] = 0.0
    return values.requires_grad_()


def dense_stages(head: Any, output: HeadOutput) -> dict[str, tuple[list[Tensor], Tensor, int]]:
    """Maps of class predictions of each stage with a loss, their anchors, values to an anchor."""
    if isinstance(head, ExtendedRetinaNet):
        finest = {name: maps[:1] for name, maps in output.items()}
        return {"class": (finest["logits"], head.small.anchors(finest), CLASSES)}
    if isinstance(head, ExtendedFasterRcnn):
        return {}  # the first stage is finished
    anchors = head.anchors(output)
    if isinstance(head, FasterRCNNHead):
        return {"objectness": (output["objectness"], anchors, 1)}
    values = sum(x.shape[1] * x[0, 0].numel() for x in output["logits"]) // len(anchors)
    stages = {"class": (output["logits"], anchors, values)}
    if "arm_logits" in output:
        stages["arm_class"] = (output["arm_logits"], anchors, 2)
    return stages


def watch(classifier: RoIClassifier, seen: list[tuple[Tensor, Tensor]]) -> None:
    """Keep the boxes that a second stage classifies, and their logits with gradients."""
    classify = classifier.forward_rois

    def watched(maps: Any, strides: Any, boxes: Tensor, chosen: Chosen) -> tuple[Tensor, Tensor]:
        logits, offsets = classify(maps, strides, boxes, chosen)
        logits.retain_grad()
        seen.append((chosen.take(boxes), logits))
        return logits, offsets

    classifier.forward_rois = watched  # type: ignore[method-assign]


def gradients(name: str, head: str, with_region: bool) -> dict[str, Predicted]:
    """The gradients of the class losses, by the name of the loss."""
    network = detector(name, head)
    seen: list[tuple[Tensor, Tensor]] = []
    if isinstance(network.head, FasterRCNNHead):
        watch(network.head.classifier, seen)
    elif isinstance(network.head, ExtendedFasterRcnn):
        watch(network.head.small, seen)
    torch.manual_seed(0)
    output = hot(network.head, network.predict(torch.rand(2, 3, SIDE, SIDE) * 255))
    losses = network.head.loss(output, truth(with_region))
    classes = [loss for key, loss in losses.items() if key.endswith(("class", "objectness"))]
    torch.stack(classes).sum().backward()  # type: ignore[no-untyped-call]
    found = {}
    for key, (maps, anchors, values) in dense_stages(network.head, output).items():
        grads = [x.grad for x in maps]
        assert all(grad is not None for grad in grads)
        flat = torch.cat([flatten_predictions(g, values) for g in grads if g is not None], dim=1)
        found[key] = Predicted(flat.abs().amax(dim=-1).flatten(), anchors.repeat(2, 1))
    for boxes, logits in seen:
        assert logits.grad is not None
        found["class"] = Predicted(logits.grad.abs().amax(dim=-1), boxes)
    return found


def in_region(boxes: Tensor) -> Tensor:
    """Whether more than half of each of ``[N, 4]`` boxes lies in the region."""
    width = boxes[:, 2].clamp(max=REGION[2]) - boxes[:, 0].clamp(min=REGION[0])
    height = boxes[:, 3].clamp(max=REGION[3]) - boxes[:, 1].clamp(min=REGION[1])
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return width.clamp(min=0) * height.clamp(min=0) > 0.5 * area


@pytest.mark.parametrize(("name", "head"), CASES)
def test_what_lies_in_a_region_is_no_background(name: str, head: str) -> None:
    left_out, trained = gradients(name, head, True), gradients(name, head, False)
    assert left_out.keys() == trained.keys()
    assert left_out
    for stage, predicted in left_out.items():
        # The object is outside of the region, so nothing in the region may train.
        assert not predicted.grads[in_region(predicted.boxes)].any(), stage
        assert predicted.grads.any(), stage
        without = trained[stage]
        assert without.grads[in_region(without.boxes)].any(), stage


def test_every_stage_is_looked_at() -> None:
    assert gradients("fpn", "faster_rcnn", True).keys() == {"objectness", "class"}
    assert gradients("refinedet", "retinanet", True).keys() == {"class", "arm_class"}
    assert gradients("efpn", "faster_rcnn", True).keys() == {"class"}


def test_cells_in_a_region_are_no_background_to_the_distillation_of_efpn() -> None:
    network = detector("efpn", "retinanet")
    network.start_stage(network.stages[0])
    images = torch.rand(2, 3, SIDE, SIDE) * 255
    images_2x = torch.rand(2, 3, 2 * SIDE, 2 * SIDE) * 255
    nothing: list[list[tuple[float, ...]]] = [[], []]
    everywhere = targets(nothing, [[], []], [[(0.0, 0.0, SIDE, SIDE)]] * 2)
    without = targets(nothing, [[], []])
    assert all(x > 0 for x in network(images, without, images_2x).values())
    assert all(x == 0 for x in network(images, everywhere, images_2x).values())


def test_key_positions_of_zoominnet_are_of_objects_in_any_case() -> None:
    network = detector("zoominnet", "retinanet")
    output = network.predict(torch.rand(2, 3, SIDE, SIDE) * 255)
    sizes = [(x.shape[-2], x.shape[-1]) for x in output["logits"]]
    anchors, number = network.head.anchors(output), network.head.anchor_spec.num_anchors
    with_region, without = (
        torch.cat([x.flatten() for x in key_positions(truth(region), anchors, sizes, number)])
        for region in (True, False)
    )
    assert torch.equal(with_region, without)
    assert without.any()

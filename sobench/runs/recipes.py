"""The values of a drafted suite that depend on the machine alone, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sobench.models.parts.pretrained import can_be_had


@dataclass(frozen=True)
class Recipe:
    """Values that go together on one kind of machine.

    Attributes:
        small: pixels of the input that the smaller objects should have.
        longest: pixels of the longer side of the input, at most.
        least_steps, most_steps: of a training: fewer hardly learn, and more are not needed.
        values, reasons: by section.
    """

    small: float
    longest: int
    least_steps: int
    most_steps: int
    values: Mapping[str, Any]
    reasons: Mapping[str, str]


def choose_recipe(device: torch.device) -> Recipe:
    """The values for a GPU, or for a CPU; from scratch where there are no weights."""
    if device.type == "cuda":
        return _on_gpu(can_be_had("resnet50"))
    return _on_cpu(can_be_had("resnet18"))


def _on_cpu(has_weights: bool) -> Recipe:
    """As suites/deeppcb_mini.yaml, which was chosen for few steps on two cores."""
    values = {
        "augment": {"hflip": 0.5},
        "backbone": {"name": "resnet18", **_start(has_weights, ("stem",))},
        "neck": {"channels": 64, "norm": "group", "tower_convs": 0},
        "head": "retinanet",
        "schedule": {
            "batch_size": 2, "optimizer": "adamw", "lr": 0.0005 if has_weights else 0.002,
            "weight_decay": 0.05, "decay": "cosine", "clip_norm": 10,
        },
        "precision": "fp32",
        "device": "cpu",
        "seeds": [0],
        "methods": ["fpn", "pafpn", "ssd"],
    }  # fmt: skip
    reasons = {
        "augment": "mirrored images are as good as the others; write 0 where they are not, as for "
        "signs and letters",
        "backbone": "the smallest ResNet, since this machine has no GPU; "
        + _why_start(has_weights),
        "neck": "narrow, with GroupNorm and no towers: learns in few steps",
        "head": "one stage, the faster of the two heads",
        "schedule": "AdamW, small batches and a cosine: much is learnt in few steps",
        "precision": "bf16 is for GPUs",
        "device": "torch sees no GPU here",
        "seeds": "one, for a first look; three tell how much is chance",
        "methods": "a baseline, its common successor, and a detector of another kind; "
        "`sobench list methods` shows all",
    }
    return Recipe(16, 320, 600, 6000, values, reasons)


def _on_gpu(has_weights: bool) -> Recipe:
    """The usual settings of RetinaNet, as in suites/visdrone.yaml."""
    values = {
        "augment": {"hflip": 0.5},
        "backbone": {"name": "resnet50", **_start(has_weights, ("stem", "layer1"))},
        "neck": {"channels": 256, "norm": "none" if has_weights else "group"},
        "head": "retinanet",
        "schedule": {
            "batch_size": 16, "optimizer": "sgd", "lr": 0.01, "momentum": 0.9,
            "weight_decay": 1e-4, "decay": "milestones", "gamma": 0.1, "clip_norm": 35,
        },
        "precision": "bf16" if torch.cuda.is_bf16_supported() else "fp32",
        "device": "cuda",
        "seeds": [0, 1, 2],
        "methods": ["ssd", "fpn", "pafpn", "libra", "refinedet", "ta_fpn", "mrae"],
    }  # fmt: skip
    reasons = {
        "augment": "mirrored images are as good as the others; write 0 where they are not, as for "
        "signs and letters",
        "backbone": "what papers have; " + _why_start(has_weights),
        "neck": "as in the papers" + ("" if has_weights else ", with GroupNorm for a random start"),
        "head": "one stage, the faster of the two heads",
        "schedule": "SGD at .01 for 16 images, cut at two thirds and at eleven twelfths",
        "precision": "this GPU computes in it, at twice the speed or more",
        "device": "the GPU of this machine",
        "seeds": "three, so that noise of training is in the intervals",
        "methods": "all that need no further training; nas_fpn, efpn and zoominnet cost more",
    }
    return Recipe(24, 1024, 1500, 12000, values, reasons)


def _start(has_weights: bool, freeze: tuple[str, ...]) -> dict[str, Any]:
    if has_weights:
        return {"weights": "imagenet", "freeze": list(freeze), "norm": "frozen"}
    return {"weights": "none", "freeze": [], "norm": "train"}


def _why_start(has_weights: bool) -> str:
    if has_weights:
        return "its ImageNet weights are at hand"
    return "from scratch, since its ImageNet weights are neither here nor can be downloaded"

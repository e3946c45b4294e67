"""EFPN: a further, finer pyramid level for small objects; arXiv:2003.07021."""

from __future__ import annotations

from collections.abc import Mapping

from sobench.suite.methods import Method, Need, Switch, SwitchValue, When
from sobench.suite.sections import Suite


def stem_is_of_a_resnet(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Only a ResNet's stem ends in a max-pooling that can be left out."""
    del switches
    if suite.backbone.name == "vgg16":
        return (
            "its finer map comes from a ResNet's stem without max-pooling, which vgg16 does not "
            "have; write `backbone: {name: resnet50}` or leave the row out"
        )
    return ""


def distilled_transfer_learns(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Nearest-neighbour upsampling has no weights, so nothing is distilled into it."""
    del suite
    if switches["ftt"] == "nearest" and not switches["distill_ftt"]:
        return (
            "distill_ftt has no effect with ftt: nearest, which learns nothing; "
            "leave it out, or write ftt: espcn"
        )
    return ""


def channels_of_finer_map(suite: Suite) -> int:
    """Channels of ``C_2'``, which extends Faster R-CNN's pyramid, or of RetinaNet's ``C_3'``."""
    of_first_stage = 64 if suite.backbone.name in ("resnet18", "resnet34") else 256
    return of_first_stage * (2 if suite.head == "retinanet" else 1)


def plain_sum_is_of_one_width(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Without a 1x1 convolution only maps of equal channels can be added."""
    channels = channels_of_finer_map(suite)
    if switches["fusion"] == "plain" and suite.neck.channels != channels:
        return (
            f"fusion: plain adds a map of {suite.backbone.name} with {channels} channels, and the "
            f"suite has neck.channels: {suite.neck.channels}; write {channels} there, or leave "
            "fusion out"
        )
    return ""


def extension_has_weights(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Upsampling and adding have no weights, so nothing could be distilled."""
    del suite
    if switches["distill"] and switches["fusion"] == "plain" and switches["ftt"] == "nearest":
        return (
            "ftt: nearest with fusion: plain has no weights that could be distilled into; "
            "leave one of them out"
        )
    return ""


METHOD = Method(
    title="Extended Feature Pyramid Network",
    paper="Deng et al., IEEE Transactions on Multimedia 24, 2022, arXiv:2003.07021",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "ftt": Switch(
            True,
            (True, "espcn", "nearest"),
            "feature texture transfer; or super-resolution or upsampling of one level alone",
        ),
        "preset": Switch(
            "paper",
            ("paper", "author"),
            "the transfer with the pyramid's channels, or that of the authors' code with twice "
            "as many",
            {"ftt": True},
        ),
        "ftt_in": Switch(
            "inner",
            ("inner", "out"),
            "what the transfer reads, and learns from at twice the size: the pyramid's sums "
            "before their 3x3, or its levels",
        ),
        "fusion": Switch(
            "convolved",
            ("convolved", "plain"),
            "the sum of Eq. 1 between a 1x1 and a 3x3 convolution, as in the authors' code, or as "
            "it is printed",
        ),
        "distill": Switch(
            True,
            (True, False),
            "learn from the image at twice its size; false trains the new level and its head "
            "on the detection losses from the start",
        ),
        "balanced": Switch(
            True, (True, False), "weigh objects in the distillation", {"distill": True}
        ),
        "lambda_pos": Switch(
            1.0,
            (0.5, 1.0, 1.5),
            "weight of the objects in the distillation",
            {"distill": True, "balanced": True},
        ),
        "distill_ftt": Switch(
            True, (True, False), "distil into the transfer's map too", {"distill": True}
        ),
        "freeze_extension": Switch(
            False,
            (True, False),
            "train the new head alone in the second stage, as in the paper",
            {"distill": True},
        ),
        "duplicate_small": Switch(
            False,
            (True, False),
            "detect small objects from the original levels as well, as in the authors' code",
        ),
        "small_below": Switch(
            56,
            (14, 28, 56, 112),
            "side in pixels below which a region is small",
            head="faster_rcnn",
        ),
    },
    deviations=(
        "starts from the finished fpn run, which it leaves as it is",
        When(
            "trains an extension for the suite's epochs, then this and a head for it for half "
            "of them",
            {"distill": True, "freeze_extension": False},
        ),
        When(
            "trains an extension for the suite's epochs, then a head alone for half of them",
            {"distill": True, "freeze_extension": True},
        ),
        When(
            "trains an extension and a head for it for one and a half times the suite's epochs",
            {"distill": False},
        ),
        "own further pyramid level, of half the finest stride, and own head on it",
        When("the extension distils from the images at twice the size", {"distill": True}),
        When("reads and learns sums of the pyramid, as its authors' code", {"ftt_in": "inner"}),
        When("convolutions around the sum of Eq. 1, as its authors' code", {"fusion": "convolved"}),
        When(
            "the new head trains on the hardest quarter of the sampled regions (OHEM; share ours)",
            head="faster_rcnn",
        ),
        When("a level higher than in the paper, which has only Faster R-CNN", head="retinanet"),
    ),
    needs=(Need("baseline", "fpn"),),
    rules=(
        stem_is_of_a_resnet,
        distilled_transfer_learns,
        plain_sum_is_of_one_width,
        extension_has_weights,
    ),
)

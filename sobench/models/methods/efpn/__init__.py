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


_READ_BY = {
    "p2_2x": ("duplicate_small", "small_below"),
    "p3": (),
    "p3_ftt": ("ftt", "preset", "ftt_in", "balanced", "lambda_pos"),
}
"""The other switches that each ``detect_from`` but ``extended`` has a use for."""


def switches_have_a_use(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """The controls build only a part of EFPN."""
    del suite
    form = str(switches["detect_from"])
    for key, switch in METHOD.switches.items():
        read = form == "extended" or key in ("detect_from", *_READ_BY[form])
        if not read and switches[key] != switch.default:
            return f"{key} has no effect with detect_from: {form}; leave it out"
    return ""


def transferred_map_learns(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Nearest-neighbour upsampling transfers nothing that could be detected from."""
    del suite
    if switches["detect_from"] == "p3_ftt" and switches["ftt"] == "nearest":
        return "ftt: nearest makes no map of its own with detect_from: p3_ftt; write p3 instead"
    return ""


def doubled_input_has_a_half(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """The image at once its size is half of the input."""
    if switches["detect_from"] != "p2_2x":
        return ""
    sizes = [("input.size", suite.input.size), *(("eval_sizes", x) for x in suite.eval_sizes)]
    for key, size in sizes:
        if any(side % 2 or side < 64 for side in size):
            return (
                f"{key}: {list(size)} is not twice a size, as detect_from: p2_2x needs it; "
                "write even sides of at least 64"
            )
    return ""


METHOD = Method(
    title="Extended Feature Pyramid Network",
    paper="Deng et al., IEEE Transactions on Multimedia 24, 2022, arXiv:2003.07021",
    version=2,  # cells in ignore regions, which were background to the distillation
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
        "detect_from": Switch(
            "extended",
            ("extended", "p2_2x", "p3", "p3_ftt"),
            "the extended pyramid; one with P2 of twice the image (the row's input.size) instead; "
            "or P3 or P3' alone",
            head="faster_rcnn",
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
            {"distill": True, "freeze_extension": False, "detect_from": "extended"},
        ),
        When(
            "trains an extension for the suite's epochs, then a head alone for half of them",
            {"distill": True, "freeze_extension": True, "detect_from": "extended"},
        ),
        When(
            "trains an extension and a head for it for one and a half times the suite's epochs",
            {"distill": False},
        ),
        *(
            When(
                "own further pyramid level, of half the finest stride, and own head on it",
                {"detect_from": "extended"},
            ),
            When(
                "no further level: P2 of the image at twice its size instead, with the old head",
                {"detect_from": "p2_2x"},
            ),
            When(
                "images of half the row's input are the means of its 2x2 pixels",
                {"detect_from": "p2_2x"},
            ),
            When("no training beyond that of fpn", {"detect_from": "p2_2x"}),
            When("no training beyond that of fpn", {"detect_from": "p3"}),
            When("the old head pools all regions from P3 alone", {"detect_from": "p3"}),
            When(
                "trains an extension for the suite's epochs, and no head", {"detect_from": "p3_ftt"}
            ),
            When("the old head pools all regions from P3' alone", {"detect_from": "p3_ftt"}),
        ),
        *(
            When(
                "the extension distils from the images at twice the size",
                {"distill": True, "detect_from": form},
            )
            for form in ("extended", "p3_ftt")
        ),
        *(
            When(
                "reads and learns sums of the pyramid, as its authors' code",
                {"ftt_in": "inner", "detect_from": form},
            )
            for form in ("extended", "p3_ftt")
        ),
        When(
            "convolutions around the sum of Eq. 1, as its authors' code",
            {"fusion": "convolved", "detect_from": "extended"},
        ),
        When(
            "the new head trains on the hardest quarter of the sampled regions (OHEM; share ours)",
            {"detect_from": "extended"},
            head="faster_rcnn",
        ),
        When("a level higher than in the paper, which has only Faster R-CNN", head="retinanet"),
    ),
    needs=(
        *(
            Need("baseline", "fpn", switches={"detect_from": form})
            for form in ("extended", "p3", "p3_ftt")
        ),
        Need("baseline", "fpn", scale=0.5, switches={"detect_from": "p2_2x"}),
    ),
    images_2x=tuple({"distill": True, "detect_from": form} for form in ("extended", "p3_ftt")),
    rules=(
        stem_is_of_a_resnet,
        distilled_transfer_learns,
        plain_sum_is_of_one_width,
        extension_has_weights,
        switches_have_a_use,
        transferred_map_learns,
        doubled_input_has_a_half,
    ),
)

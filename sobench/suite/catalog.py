"""Literal tables of what exists: methods and heads. Imports nothing heavy.

A new method is one file in ``models/methods/`` and one row in ``METHODS``; the row's key is the
file name, the name in a suite and the name on the leaderboard. Other packages bring rows of their
own; see ``plugins.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations


@dataclass(frozen=True)
class Switch:
    """One option of a method: its default, the values it may take, and what it does.

    ``needs`` are values that other switches must have for it to have any effect, and ``head`` is
    the suite's head if it has one only under that.
    """

    default: str | int | float | bool
    values: tuple[str | int | float | bool, ...]
    meaning: str
    needs: dict[str, str | int | float | bool] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True)
class When:
    """A deviation that holds only for some rows.

    Attributes:
        text: the deviation.
        switches: values that switches must have.
        head, norm: the suite's head and ``neck.norm``, if only under that one.
    """

    text: str
    switches: dict[str, str | int | float | bool] = field(default_factory=dict)
    head: str = ""
    norm: str = ""


@dataclass(frozen=True)
class Need:
    """A finished run that a method starts from or learns from.

    It is a run of ``method`` with its default switches under the row's own suite and seed.

    Attributes:
        role: what it is needed as; the detector's ``receive`` gets it under this name.
        scale: its input is so many times as high and wide as the suite's.
        switches: values that the row's switches must have for the need to arise.
    """

    role: str
    method: str
    scale: int = 1
    switches: dict[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of the methods table.

    ``heads`` names the suite's heads that the method works under; it is empty for a single-shot
    detector, which brings its own. ``deviations`` is what the method must do differently from the
    suite, printed with its row; ``needs`` are runs that must be done before. ``module`` is imported
    to build the network and has ``build(backbone, config, switches) -> Detector``; empty, it is
    the method's own file in ``models/methods/``. ``source`` is the package, with its version, that
    a method from elsewhere comes from; ``plugins.methods()`` fills it in.
    """

    title: str
    paper: str
    heads: tuple[str, ...] = ()
    switches: dict[str, Switch] = field(default_factory=dict)
    deviations: tuple[str | When, ...] = ()
    needs: tuple[Need, ...] = ()
    module: str = ""
    source: str = ""

    def deviating(
        self, switches: Mapping[str, str | int | float | bool], head: str, norm: str
    ) -> tuple[str, ...]:
        """The deviations of a row with these switches, under the suite's head and norm."""
        cases = [When(case) if isinstance(case, str) else case for case in self.deviations]
        held = [
            case.text
            for case in cases
            if case.head in ("", head)
            and case.norm in ("", norm)
            and case.switches.items() <= switches.items()
        ]
        return tuple(dict.fromkeys(held))  # two cases may be of one text


METHODS: dict[str, Method] = {
    "ssd": Method(
        title="Single Shot MultiBox Detector",
        paper="Liu et al., ECCV 2016, arXiv:1512.02325",
        switches={
            "boxes": Switch(
                "coco", ("coco", "voc"), "default-box sizes of the paper's COCO or VOC models"
            ),
        },
        deviations=(
            "own head: one 3x3 convolution per level for classes and one for boxes",
            "own default boxes instead of the suite's anchors",
            "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1",
        ),
    ),
    "fpn": Method(
        title="Feature Pyramid Network",
        paper="Lin et al., CVPR 2017, arXiv:1612.03144",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "fuse": Switch(
                True, (True, False), "false leaves out the top-down sum: laterals and 3x3 only"
            ),
        },
    ),
    "pafpn": Method(
        title="Path Aggregation Network",
        paper="Liu et al., CVPR 2018, arXiv:1803.01534",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "act": Switch(
                "none",
                ("none", "relu"),
                "relu behind the bottom-up convolutions, as in the paper; MMDetection has none",
            ),
        },
    ),
    "nas_fpn": Method(
        title="Pyramid found by architecture search, seven merging cells",
        paper="Ghiasi et al., CVPR 2019, arXiv:1904.07392",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "stack": Switch(7, (1, 2, 3, 4, 5, 6, 7), "how often the cell is repeated"),
            "pool": Switch(
                "mean",
                ("mean", "max"),
                "global pooling of the attention: mean in MMDetection, max in the authors' code",
            ),
            "separate_bn": Switch(
                False,
                (True, False),
                "RetinaNet towers with batch normalisation of their own for every level",
                head="retinanet",
            ),
        },
        deviations=(
            When("batch normalisation in the pyramid", norm="none"),
            When("batch normalisation in the towers, for every level", {"separate_bn": True}),
        ),
    ),
    "libra": Method(
        title="Libra R-CNN: balanced pyramid, loss and sampling",
        paper="Pang et al., CVPR 2019, arXiv:1904.02701",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "balanced_pyramid": Switch(True, (True, False), "the balanced feature pyramid"),
            "refine": Switch(
                "non_local",
                ("none", "conv", "non_local"),
                "how the balanced pyramid refines the mean of its levels",
                {"balanced_pyramid": True},
            ),
            "zero_init": Switch(
                False,
                (True, False),
                "start the non-local block as the identity",
                {"balanced_pyramid": True, "refine": "non_local"},
            ),
            "balanced_l1": Switch(True, (True, False), "balanced L1 instead of L1"),
            "balanced_sampling": Switch(
                True, (True, False), "IoU-balanced negatives", head="faster_rcnn"
            ),
            "code_compat": Switch(
                False,
                (True, False),
                "IoU bins as in the authors' code, not as in the paper",
                {"balanced_sampling": True},
                "faster_rcnn",
            ),
        },
        deviations=(
            When("own box loss: balanced L1", {"balanced_l1": True}),
            When(
                "own sampling of regions: IoU-balanced negatives",
                {"balanced_sampling": True},
                "faster_rcnn",
            ),
        ),
    ),
    "refinedet": Method(
        title="Single-Shot Refinement Neural Network",
        paper="Zhang et al., CVPR 2018, arXiv:1711.06897",
        switches={
            "filter_negatives": Switch(
                True,
                (True, False),
                "drop negatives that the anchor refinement is sure of",
                {"tcb": True},
            ),
            "cascade": Switch(
                True,
                (True, False),
                "detect from refined anchors, not from the tiled ones",
                {"tcb": True},
            ),
            "tcb": Switch(
                True,
                (True, False),
                "transfer connection blocks; false leaves the anchor refinement out with them and "
                "detects from the sources, as SSD does",
            ),
            "clip_anchors": Switch(False, (True, False), "clip the tiled anchors to the input"),
        },
        deviations=(
            "own head: anchor refinement and object detection modules",
            "own anchors: one scale of 4 strides, three ratios",
            "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1",
            "detect.top_k counts over the image, not over each level",
            When("batch normalisation in its new layers, on a ResNet", norm="none"),
        ),
    ),
    "ta_fpn": Method(
        title="Two-layer Attention Feature Pyramid Network",
        paper="Xiang et al., CMES 141(1), 2024, doi:10.32604/cmes.2024.052759",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "tam": Switch(True, (True, False), "two-layer attention in the top-down path"),
            "sodem": Switch(True, (True, False), "small-object detail enhancement from C2"),
            "dilations": Switch(
                "1-3-5",
                ("1-2-3", "1-3-5", "3-4-5"),
                "of the three branches of the attention",
                {"tam": True},
            ),
            "levels": Switch(
                "2-3-4-5",
                tuple(
                    "-".join(chosen)
                    for count in (1, 2, 3, 4)
                    for chosen in combinations("2345", count)
                ),
                "pyramid levels that the detail enhancement works on",
                {"sodem": True},
            ),
            "tam_input": Switch(
                "cascade",
                ("cascade", "lateral"),
                "what the attention reads from above: the enhanced level, or its lateral",
                {"tam": True},
            ),
            "reduction": Switch(
                1, (1, 4), "channel reduction inside both attentions", {"tam": True}
            ),
            "downsample": Switch(
                "max",
                ("max", "avg", "nearest"),
                "how C2 comes to the size of a level",
                {"sodem": True},
            ),
        },
        deviations=(
            When("batch normalisation in the pyramid", {"tam": True}, norm="none"),
            When("batch normalisation in the pyramid", {"sodem": True}, norm="none"),
        ),
    ),
    "efpn": Method(
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
                "what the transfer reads: the pyramid's sums before their 3x3, or its levels",
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
                1.0, (0.5, 1.0, 1.5), "by how much", {"distill": True, "balanced": True}
            ),
            "distill_ftt": Switch(
                True, (True, False), "distil into the transfer's map too", {"distill": True}
            ),
            "duplicate_small": Switch(
                False,
                (True, False),
                "what is small is detected from the original levels as well, as in the authors' "
                "code",
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
                {"distill": True},
            ),
            When(
                "trains an extension and a head for it for one and a half times the suite's epochs",
                {"distill": False},
            ),
            "own further pyramid level, of half the finest stride, and own head on it",
            When("the extension distils from the images at twice the size", {"distill": True}),
            When("the new head trains on the hardest small regions (OHEM)", head="faster_rcnn"),
            When("a level higher than in the paper, which has only Faster R-CNN", head="retinanet"),
        ),
        needs=(Need("baseline", "fpn"),),
    ),
    "mrae": Method(
        title="Multi-Resolution Attention Extractor",
        paper="Zhang et al., 2020, arXiv:2006.05941",
        heads=("retinanet", "faster_rcnn"),
        switches={
            "mode": Switch(
                "mrae",
                ("mrae", "soft", "hard"),
                "weights of the levels: similarity to a template, softmax of maxima, one level",
            ),
            "template": Switch(
                2, (1, 2, 3), "level that the others are compared with", {"mode": "mrae"}
            ),
            "level": Switch(1, (1, 2, 3), "the only level that is used", {"mode": "hard"}),
            "anchors": Switch(
                "clustered",
                ("clustered", "fixed", "suite"),
                "k-means on the training boxes; 8, 16, 24 and 32 px; or the suite's",
            ),
            "box_head": Switch(
                "fc",
                ("fc", "res5"),
                "second stage: two layers as in the suite, or the paper's res5",
                head="faster_rcnn",
            ),
        },
        deviations=(
            "one map of stride 4 instead of a pyramid",
            When("no C5 of the backbone", {"mode": "mrae", "box_head": "fc"}),
            When("no C5 of the backbone", {"mode": "soft", "box_head": "fc"}),
            When("no C5 of the backbone", {"mode": "hard", "level": 3, "box_head": "fc"}),
            When("neither C4 nor C5 of the backbone", {"mode": "hard", "level": 2}),
            When("of the backbone only C2", {"mode": "hard", "level": 1}),
            When(
                "own anchors, clustered from the training boxes: four scales, three ratios",
                {"anchors": "clustered"},
            ),
            When("own anchors: 8, 16, 24 and 32 px, three ratios", {"anchors": "fixed"}),
            When(
                "own second stage: the backbone's res5",
                {"box_head": "res5"},
                "faster_rcnn",
            ),
        ),
    ),
    "zoominnet": Method(
        title="ZoomInNet: cross-scale knowledge distillation",
        paper="Liu et al., Remote Sensing 2021, 13(6):1198",
        heads=("retinanet",),
        switches={
            "align": Switch(
                "fa",
                ("none", "la", "fa"),
                "with the teacher's maps: by finer pyramid levels (fa), by enlarging the towers' "
                "maps (la), or not at all",
            ),
            "thin": Switch(
                False, (True, False), "towers of half the suite's depth", {"align": "fa"}
            ),
            "distill": Switch(
                True, (True, False), "learn from fpn trained at twice the input size"
            ),
            "distill_on": Switch(
                "auto",
                ("auto", "towers"),
                "maps that are distilled; auto: of the towers with align: la, else of the neck",
                {"distill": True},
            ),
            "lambda_mode": Switch(
                "literal",
                ("literal", "nonzero", "fixed"),
                "threshold of the key positions: mean and deviation of all IoUs as in the paper, "
                "of those that are not zero, or .5",
                {"distill": True},
            ),
        },
        deviations=(
            When("pyramid levels 2 to 6 instead of 3 to 7", {"align": "fa"}),
            When("anchors of half the size, half as far apart", {"align": "fa"}),
            When("anchors of half the size, half as far apart", {"align": "la"}),
            When("towers of half the depth", {"thin": True}),
            When("distils from fpn trained at twice the input size", {"distill": True}),
        ),
        needs=(Need("teacher", "fpn", scale=2, switches={"distill": True}),),
    ),
}


@dataclass(frozen=True)
class Head:
    """A row of the heads table.

    Attributes:
        scale, octaves: of its anchors, where a suite does not pin them.
        sections: of a suite, that it reads.
    """

    title: str
    paper: str
    scale: float
    octaves: int
    sections: tuple[str, ...]


HEADS: dict[str, Head] = {
    "retinanet": Head(
        title="RetinaNet: two shared towers, focal loss",
        paper="Lin et al., ICCV 2017, arXiv:1708.02002",
        scale=4.0,
        octaves=3,
        sections=("anchors",),
    ),
    "faster_rcnn": Head(
        title="Faster R-CNN: region proposals, RoIAlign, two fully connected layers",
        paper="Ren et al., NeurIPS 2015, arXiv:1506.01497; on a pyramid, arXiv:1612.03144",
        scale=8.0,
        octaves=1,
        sections=("anchors", "regions"),
    ),
}

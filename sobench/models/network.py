"""The network of a row as it was built: its size and anchors, and where it departs from the suite.

What a method says of itself is text; this looks at what its ``build`` made of the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, isclose, log2, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from sobench.data.dataset import FloatArray
from sobench.data.resize import typical_shape
from sobench.errors import RequestError, reason_of
from sobench.models.build import builder, detector_config
from sobench.models.detector import Detector, DetectorConfig
from sobench.models.parts.anchors import AnchorLevel
from sobench.models.parts.backbone import build_backbone
from sobench.suite.foreign import foreign_code
from sobench.suite.methods import get_method
from sobench.suite.network import Anchors
from sobench.suite.sections import MethodEntry, Suite

State = dict[str, Tensor]
Flags = Mapping[str, bool]


@dataclass(frozen=True)
class Difference:
    """Something in a network that the suite alone would not have put there.

    Attributes:
        text: what it is, with the value.
        words: a deviation of the row that has one of them declares it; without any, no row may
            differ so.
    """

    text: str
    words: tuple[str, ...] = ()

    def declared_by(self, deviations: tuple[str, ...]) -> bool:
        """Whether one of the row's deviations speaks of it."""
        return any(word in text.lower() for word in self.words for text in deviations)


@dataclass(frozen=True)
class Network:
    """The network of a row.

    Attributes:
        detector: without storage, for counting.
        config: what the suite asks of it.
        levels: of its anchors, finest first; empty if its head does not name them.
        anchors: number of anchors of an image of ``typical_shape``; 0 if the head names none.
        differences: from what the suite alone would have built.
    """

    detector: Detector
    config: DetectorConfig
    levels: tuple[AnchorLevel, ...]
    anchors: int
    differences: tuple[Difference, ...]

    @property
    def smallest(self) -> float | None:
        """Side of the smallest anchor in pixels of the input."""
        return min((_side(shape) for level in self.levels for shape in level.shapes), default=None)


class Builder:
    """Builds the rows of a suite, each on the same backbone with the same first weights.

    The weights are drawn from the seed: which values they have does not matter here, only whether
    a method leaves them as they are. So no file of weights is needed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._drawn: dict[str, tuple[State, State]] = {}

    def build(
        self, suite: Suite, entry: MethodEntry, num_classes: int, box_wh: FloatArray | None = None
    ) -> Network:
        """The network of one row; only its backbone has values while it is built.

        Args:
            suite: as the row runs it.
            box_wh: as of ``build_detector``.

        Raises:
            RequestError: the row cannot be built; says why.
        """
        settings = suite.backbone.model_copy(update={"weights": "none"})
        key = settings.model_dump_json()
        given, kept = self._drawn.get(key) or self._draw(key, suite)
        # The backbone shares its values with those of the other rows, and they are compared below.
        with torch.device("meta"):
            backbone = build_backbone(settings)
            config = detector_config(suite, num_classes, box_wh)
        backbone.load_state_dict(given, assign=True)
        trained = {name: p.requires_grad for name, p in backbone.named_parameters()}
        try:
            with foreign_code(), torch.device("meta"):
                detector = builder(entry.name)(backbone, config, entry.switches)
                found = _differences(detector, suite, entry, config)
                levels = tuple(getattr(detector.head, "anchor_levels", ()))
                first, flags = _first_weights(detector.backbone, given)
                detector = detector.to("meta")
        except (KeyboardInterrupt, RequestError):
            raise
        except BaseException as error:  # whatever a method of another package does
            self._drawn.clear()
            source = get_method(entry.name).source
            name = f"{entry.label} of {source}" if source else entry.label
            raise RequestError(f"{name} cannot be built: {reason_of(error)}") from error
        changed = {name for name, value in kept.items() if not _same(given[name], value)}
        if changed:  # a method that wrote into its backbone must not change that of the next row
            self._drawn.clear()
        found += _of_backbone(first, flags, kept, changed, trained)
        anchors = _number(levels, typical_shape(suite.input))
        return Network(detector, config, levels, anchors, tuple(found))

    def _draw(self, key: str, suite: Suite) -> tuple[State, State]:
        """The first weights of a suite's backbone, and a copy to compare with."""
        settings = suite.backbone.model_copy(update={"weights": "none"})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            given = dict(build_backbone(settings).state_dict())
        kept = {name: value.clone() for name, value in given.items()}
        # One at a time: two backbones of 100 layers would fill a small memory.
        self._drawn = {key: (given, kept)}
        return given, kept


def _first_weights(backbone: nn.Module, given: State) -> tuple[dict[str, Tensor | None], Flags]:
    """The tensors of a built backbone, ``None`` for those that it was given, and what trains."""
    tensors = {
        name: None if name in given and value.data_ptr() == given[name].data_ptr() else value
        for name, value in backbone.state_dict().items()
    }
    return tensors, {name: p.requires_grad for name, p in backbone.named_parameters()}


def _of_backbone(
    first: Mapping[str, Tensor | None], flags: Flags, kept: State, changed: set[str], trained: Flags
) -> list[Difference]:
    """Whether a detector's backbone is the suite's, with its first weights.

    Args:
        first: of ``_first_weights``.
        flags, trained: whether a tensor trains, in the detector and in the suite.
        changed: tensors that were given, and written into.
    """
    words = ("backbone",)
    if others := sorted(first.keys() - kept.keys()):
        text = f"its backbone is another network than the suite's, with {others[0]}"
        return [Difference(text, words)]
    differences = []
    if gone := sorted({name.partition(".")[0] for name in kept.keys() - first.keys()}):
        differences.append(Difference(f"its backbone has no {', '.join(gone)}", words))
    other = [
        name
        for name, value in first.items()
        if (name in changed if value is None else not _same(value, kept[name]))
    ]
    if other:
        text = f"other first weights in {len(other)} tensors of its backbone, from {other[0]}"
        differences.append(Difference(text, words))
    if frozen := [name for name, trains in flags.items() if trained.get(name) and not trains]:
        text = f"{len(frozen)} tensors of its backbone do not train, from {frozen[0]}"
        differences.append(Difference(text, (*words, "leaves")))
    if thawed := [name for name, trains in flags.items() if not trained.get(name) and trains]:
        text = f"{len(thawed)} frozen tensors of its backbone train, from {thawed[0]}"
        differences.append(Difference(text, words))
    return differences


def _differences(
    detector: Detector, suite: Suite, entry: MethodEntry, config: DetectorConfig
) -> list[Difference]:
    """What differs in the head, the anchors, the norms and the stages."""
    parts: tuple[Callable[..., Iterator[Difference]], ...] = (_of_head, _of_norm, _of_stages)
    return [found for part in parts for found in part(detector, suite, entry, config)]


def _of_head(
    detector: Detector, suite: Suite, entry: MethodEntry, config: DetectorConfig
) -> Iterator[Difference]:
    head = detector.head
    if type(head).__module__ != f"sobench.models.heads.{suite.head}":
        asked = "the suite's" if get_method(entry.name).heads else f"the suite's {suite.head}"
        yield Difference(f"its head is {type(head).__name__}, not {asked}", ("head",))
    built: DetectorConfig | None = getattr(head, "config", None)
    for name in ("num_classes", "size", "detect") if built is not None else ():
        here, there = getattr(built, name), getattr(config, name)
        if here != there:
            yield Difference(f"its head has {name} {here}, the suite {there}")
    levels = tuple(getattr(head, "anchor_levels", ()))
    others = sorted({_side(s) for x in levels for s in x.shapes if not _is_of(config.anchors, s)})
    if others:
        sides = ", ".join(f"{side:.1f}" for side in others[:3])
        more = ", ..." if others[3:] else ""
        text = f"anchors that are not the suite's (sides of {sides}{more} px)"
        yield Difference(text, ("anchor", "default box", "level"))


def _of_norm(
    detector: Detector, suite: Suite, entry: MethodEntry, config: DetectorConfig
) -> Iterator[Difference]:
    del entry, config
    parts = [part for part in (detector.neck, detector.head) if isinstance(part, nn.Module)]
    norms = sum(isinstance(m, nn.BatchNorm2d) for part in parts for m in part.modules())
    if norms:
        text = f"{norms} batch normalisations behind the backbone; neck.norm is {suite.neck.norm}"
        # Those of a last stage that became a part of the head are the backbone's.
        yield Difference(text, ("normalisation", "res5"))


def _of_stages(
    detector: Detector, suite: Suite, entry: MethodEntry, config: DetectorConfig
) -> Iterator[Difference]:
    del suite, entry, config
    share = sum(stage.share for stage in detector.stages)
    if share != 1:
        yield Difference(f"trains for {share:g} times the suite's epochs itself", ("train",))
    if any(stage.images_2x for stage in detector.stages):
        text = "reads the training images at twice the size as well"
        yield Difference(text, ("twice",))


def _same(one: Tensor, other: Tensor) -> bool:
    # By numpy, which reads both once: torch would share out each small tensor to threads.
    return one.device == other.device and np.array_equal(one.detach().numpy(), other.numpy())


def _side(shape: tuple[float, float]) -> float:
    return sqrt(shape[0] * shape[1])


def _is_of(anchors: Anchors, shape: tuple[float, float]) -> bool:
    """Whether a shape has a ratio of the suite and a side of its series, from the smallest up."""
    step = log2(_side(shape) / anchors.smallest) * anchors.octaves
    in_series = step > -0.01 and isclose(step, round(step), abs_tol=0.01)
    ratio = shape[1] / shape[0]
    return in_series and any(isclose(ratio, other, rel_tol=1e-3) for other in anchors.ratios)


def _number(levels: tuple[AnchorLevel, ...], size: tuple[int, int]) -> int:
    """Anchors of all cells of an input of ``size`` (height, width)."""
    return sum(
        ceil(size[0] / level.stride) * ceil(size[1] / level.stride) * len(level.shapes)
        for level in levels
    )

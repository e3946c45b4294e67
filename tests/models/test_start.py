"""Weights of a detector of other classes: each class takes what its counterpart has learnt."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sobench.errors import RequestError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.parts.class_layers import ClassLayer, class_layers
from sobench.models.parts.nms import flatten_predictions
from sobench.models.parts.roi import RoIClassifier
from sobench.models.start import (
    Start,
    TrainedWeights,
    check_renamed,
    load_start,
    misfit,
    read_weights,
)
from sobench.suite.origin import Origin
from tests.tiny_suite import tiny_suite

OLD = ("cat", "couch", "car")
NEW = ("car", "plane", "sofa")
RENAMED = {"sofa": "couch"}
COUNTERPARTS = {0: 2, 2: 1}
"""Label in ``NEW`` -> label in ``OLD``."""


def network(head: str, num_classes: int, seed: int, name: str, **switches: Any) -> Any:
    suite = tiny_suite(head=head, methods=[{"name": name, **switches}], regions={"channels": 16})
    return build_detector(suite, suite.methods[0], num_classes, seed).eval()


def trained(detector: nn.Module, **changes: Any) -> TrainedWeights:
    """The weights of a detector as if they had been read, each with a value of its own."""
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(torch.rand_like(parameter) / 100)
    content: dict[str, Any] = {
        "place": "somewhere", "state": detector.state_dict(), "classes": OLD, "renamed": RENAMED,
    }  # fmt: skip
    return TrainedWeights(**content | changes)


def class_scores(
    detector: Any, images: Tensor, num_classes: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Raw predictions ``[..., K]`` of every anchor or of some regions, and those of background."""
    modules = list(detector.head.modules())
    if classifiers := [m for m in modules if isinstance(m, RoIClassifier)]:
        pooled = torch.rand(5, 16, 7, 7, generator=torch.Generator().manual_seed(1))
        raw = [classifier(pooled) for classifier in classifiers]
        classes = [x for logits, boxes in raw for x in (logits[:, 1:], boxes.permute(2, 0, 1))]
        return classes, [logits[:, 0] for logits, _ in raw]
    maps = detector.predict(images)["logits"]
    if any(isinstance(m, RetinaNetHead) for m in modules):
        return [flatten_predictions(x, num_classes) for x in maps], []
    flat = [flatten_predictions(x, num_classes + 1) for x in maps]
    return [x[..., 1:] for x in flat], [x[..., 0] for x in flat]


def is_close(new: Tensor, old: Tensor) -> bool:
    return torch.allclose(new, old, rtol=1e-4)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("retinanet", {"name": "fpn"}),
    ("faster_rcnn", {"name": "fpn"}),
    ("retinanet", {"name": "ssd"}),
    ("retinanet", {"name": "refinedet"}),
    ("retinanet", {"name": "refinedet", "tcb": False}),
    ("retinanet", {"name": "efpn"}),
    ("faster_rcnn", {"name": "efpn"}),
    ("retinanet", {"name": "mrae", "anchors": "paper"}),
    ("retinanet", {"name": "nas_fpn"}),
    ("retinanet", {"name": "zoominnet", "align": "la", "distill": False}),
]


@pytest.mark.parametrize(("head", "row"), CASES, ids=str)
@torch.no_grad()
def test_classes_predict_what_their_counterparts_did(head: str, row: dict[str, Any]) -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    source, target = network(head, 3, 0, **row), network(head, 3, 1, **row)
    weights = trained(source)
    fresh = {name: x.clone() for name, x in target.state_dict().items()}
    told = load_start(target, weights, NEW).told
    assert told == "2 of 3 classes take the weights of their counterparts; afresh: plane"
    (before, background), (after, other) = (class_scores(d, images, 3) for d in (source, target))
    for old, new in zip(before, after, strict=True):
        for label, counterpart in COUNTERPARTS.items():
            assert is_close(new[..., label], old[..., counterpart])
        assert not is_close(new[..., 1], old[..., 1])
    assert all(is_close(new, old) for new, old in zip(other, background, strict=True))
    names = {f"{name}.{kind}" for name in class_layers(target) for kind in ("weight", "bias")}
    assert names
    for name, x in target.state_dict().items():
        if name not in names:
            assert torch.equal(x, source.state_dict()[name]), name
        else:
            assert not torch.equal(x, fresh[name])


@pytest.mark.parametrize(("head", "row"), CASES, ids=str)
@torch.no_grad()
def test_fewer_classes_than_were_trained(head: str, row: dict[str, Any]) -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    source, target = network(head, 3, 0, **row), network(head, 2, 1, **row)
    start = load_start(target, trained(source), ("couch", "cat"))
    assert start == Start("2 of 2 classes take the weights of their counterparts", is_whole=True)
    before, after = class_scores(source, images, 3)[0], class_scores(target, images, 2)[0]
    for old, new in zip(before, after, strict=True):
        assert is_close(new[..., 0], old[..., 1])
        assert is_close(new[..., 1], old[..., 0])


def test_outputs_of_a_layer_by_hand() -> None:
    layer = ClassLayer(anchors=2, background=True)
    old = torch.arange(8.0)  # background, a, b, c of one anchor, then of the other
    assert layer.take(-torch.ones(6), old, {1: 2}).tolist() == [0, -1, 3, 4, -1, 7]
    boxes = ClassLayer(values=4)
    assert boxes.take(torch.zeros(4), torch.arange(8.0), {0: 1}).tolist() == [4, 5, 6, 7]
    assert (layer.outputs(3), layer.num_classes(8), layer.num_classes(7)) == (8, 3, None)
    assert layer.num_classes(2) is None  # nothing but background


def fpn(num_classes: int, seed: int = 0) -> Any:
    return network("retinanet", num_classes, seed, "fpn")


def test_unknown_classes_are_taken_in_their_order_only_if_they_are_as_many() -> None:
    source, target = fpn(3), fpn(3, seed=1)
    weights = trained(source, classes=None, renamed={})
    told = load_start(target, weights, NEW).told
    assert told.startswith("its classes are not known, and taken for")
    assert all(torch.equal(x, source.state_dict()[k]) for k, x in target.state_dict().items())
    fewer = fpn(2, seed=1)
    fresh = fewer.head.class_logits.weight.clone()
    told = load_start(fewer, weights, NEW[:2]).told
    assert told == "its classes are not known, so all 2 begin afresh"
    assert torch.equal(fewer.head.class_logits.weight, fresh)
    assert torch.equal(fewer.head.box_offsets.weight, source.head.box_offsets.weight)


def test_weights_that_do_not_fit_are_named() -> None:
    weights = trained(fpn(3))
    assert misfit(fpn(5), weights) == ""
    other = network("retinanet", 3, 0, "pafpn")
    assert re.fullmatch(r"neck\.\S+ is not there and \[.*\] here", misfit(other, weights))
    with pytest.raises(RequestError, match="init_from: somewhere: its weights do not fit:\n"):
        load_start(network("faster_rcnn", 3, 0, "fpn"), weights, NEW)
    # A layer for one class more than the names are.
    more = trained(fpn(4))
    assert misfit(fpn(3), more) == (
        "head.class_logits.bias is [36] there and [27] here, for its 3 classes"
    )
    # Other anchors, where the classes are not known: the boxes tell.
    state = dict(weights.state) | {"head.box_offsets.bias": torch.zeros(12)}
    unknown = TrainedWeights("somewhere", state, None, {})
    assert misfit(fpn(3), unknown) == "head.box_offsets.bias is [12] there and [36] here"


class Silent(nn.Module):
    """A head that does not tell its class layers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.boxes = nn.Linear(2, 4)
        self.scores = nn.Linear(2, num_classes)


def test_a_head_that_does_not_tell_its_class_layers() -> None:
    source = Silent(3)
    target = Detector(nn.Identity(), nn.Identity(), Silent(2))  # type: ignore[arg-type]
    trained_there = Detector(nn.Identity(), nn.Identity(), source)  # type: ignore[arg-type]
    fresh = target.state_dict()["head.scores.weight"].clone()
    told = load_start(target, trained(trained_there), NEW[:2]).told
    assert told.endswith("2 weights of another length begin afresh, first head.scores.weight")
    assert torch.equal(target.state_dict()["head.scores.weight"], fresh)
    assert torch.equal(target.state_dict()["head.boxes.bias"], source.boxes.bias)
    same = Detector(nn.Identity(), nn.Identity(), Silent(3))  # type: ignore[arg-type]
    assert load_start(same, trained(trained_there), NEW).told.endswith("taken as they are")


# ---------------------------------------------------------------------------------- from files


def origin(path: Path, **changes: Any) -> Origin:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    content: dict[str, Any] = {"place": path.name, "path": path, "digest": digest}
    return Origin(**content | changes)


def test_what_a_file_may_hold(tmp_path: Path) -> None:
    state, path = {"a.weight": torch.ones(2)}, tmp_path / "a.pt"
    torch.save(state, path)
    plain = read_weights(origin(path))
    assert (list(plain.state), plain.classes) == (["a.weight"], None)
    torch.save({"model": state, "step": 3, "classes": ["x", "y"]}, path)
    named = read_weights(origin(path, renamed={"z": "y"}))
    assert (list(named.state), named.classes, named.renamed) == (
        ["a.weight"],
        ("x", "y"),
        {"z": "y"},
    )
    assert read_weights(origin(path, classes=("u", "v"))).classes == ("u", "v")


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a.weight": torch.ones(2)}, path)
    with pytest.raises(RequestError, match=r"a\.pt: changed since the runs were planned"):
        read_weights(origin(path, digest="0" * 12))
    with pytest.raises(RequestError, match="nothing tells the names of its classes"):
        read_weights(origin(path, renamed={"a": "b"}))
    with pytest.raises(RequestError, match="'b' is not one of its classes; known: c"):
        read_weights(origin(path, renamed={"a": "b"}, classes=("c",)))
    torch.save({"epoch": 3}, path)
    with pytest.raises(RequestError, match="holds no weights"):
        read_weights(origin(path))
    path.write_bytes(pickle.dumps(Path("a")))
    with pytest.raises(RequestError, match="no weights could be read from it"):
        read_weights(origin(path))


def test_renamed_classes_must_be_of_the_data_set() -> None:
    check_renamed({"sofa": "couch"}, ("sofa", "car"))
    with pytest.raises(RequestError, match="'sofas' is not a class of the data set; did you mean"):
        check_renamed({"sofas": "couch"}, ("sofa", "car"))

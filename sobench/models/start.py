"""The first weights of a network: those of a detector that was trained elsewhere.

All weights must fit, except that the other detector may have other classes. Layers that predict
classes take what it has learnt of each class that it knows; see ``parts/class_layers.py``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor, nn

from sobench.errors import RequestError, did_you_mean, reason_of
from sobench.models.parts.class_layers import ClassLayer, class_layers
from sobench.suite.origin import Origin
from sobench.suite.weights import content_digest
from sobench.text import quoted

_SHOWN = 5
"""Classes that a message names."""


@dataclass(frozen=True)
class TrainedWeights:
    """What a file of weights holds.

    Attributes:
        place: where it is, for messages.
        state: weight by weight, as of ``state_dict``.
        classes: in the order of their labels; ``None`` if nothing tells them.
        renamed: class of a data set -> class of these, where their names differ.
    """

    place: str
    state: Mapping[str, Tensor]
    classes: tuple[str, ...] | None
    renamed: Mapping[str, str]


def read_weights(origin: Origin) -> TrainedWeights:
    """Read the weights that a row starts from.

    The file holds a state dict, or a dictionary with one as ``model``, as our checkpoints do, and
    perhaps the names of its classes as ``classes``.

    Raises:
        RequestError: the file has changed since the runs were planned, holds no weights, or
            ``init_classes`` names classes that it does not have.
    """
    place = f"init_from: {origin.place}"
    try:
        content = origin.path.read_bytes()
        with catch_warnings():
            simplefilter("ignore")  # of a protocol that torch does not write; the error says more
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises many kinds for what it did not write
        # torch's own words on it fill a screen and advise to run what the file holds.
        strange = "it is no file of torch.save, or holds more than tensors, names and numbers"
        reason = strange if isinstance(error, UnpicklingError) else reason_of(error)
        raise RequestError(
            f"{place}: no weights could be read from it ({reason}); "
            "name a file saved with torch.save"
        ) from None
    if content_digest(content) != origin.digest:
        raise RequestError(f"{place}: changed since the runs were planned; run this again")
    whole = loaded if isinstance(loaded, dict) else {}
    state = whole["model"] if isinstance(whole.get("model"), dict) else whole
    named = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not named:
        raise RequestError(f"{place}: holds no weights; name a file of a state dict")
    classes = origin.classes or _names(whole.get("classes"))
    renamed = origin.renamed
    if renamed and not classes:
        raise RequestError(
            f"{place}: init_classes: nothing tells the names of its classes; save {{'model': "
            "state dict, 'classes': [names]}, or leave init_classes out"
        )
    for new, old in renamed.items():
        if old not in (classes or ()):
            raise RequestError(
                f"{place}: init_classes: {new}: {quoted(old)} is not one of its classes;"
                f"{did_you_mean(old, classes or ())}"
            )
    return TrainedWeights(origin.place, named, classes or None, renamed)


def check_renamed(renamed: Mapping[str, str], classes: Sequence[str]) -> None:
    """Check that ``init_classes`` names classes of the data set.

    Raises:
        RequestError: one is unknown.
    """
    for new in renamed:
        if new not in classes:
            raise RequestError(
                f"init_classes: {quoted(new)} is not a class of the data set;"
                f"{did_you_mean(new, classes)}"
            )


def misfit(network: nn.Module, weights: TrainedWeights) -> str:
    """The first weight that does not fit a network, whatever its classes; empty if all do."""
    own, layers = network.state_dict(), class_layers(network)
    number = len(weights.classes) if weights.classes else None
    for name in sorted(own.keys() | weights.state.keys()):
        here = list(own[name].shape) if name in own else None
        there = list(weights.state[name].shape) if name in weights.state else None
        layer = layers.get(name.rpartition(".")[0])
        wanted = here
        if here and there and layer is not None:
            number = number or layer.num_classes(there[0])
            if number is not None:
                wanted = [layer.outputs(number), *here[1:]]
        elif here and there and not layers and here[1:] == there[1:]:
            wanted = there  # of a head that does not tell its class layers
        if there != wanted or wanted is None:
            classes = f", for its {number} classes" if layer is not None and number else ""
            return f"{name} is {there or 'not'} there and {wanted or 'not'} here{classes}"
    return ""


@dataclass(frozen=True)
class Start:
    """What became of the classes of a network that took over trained weights.

    Attributes:
        told: in words.
        is_whole: whether every class has taken over those of a class of its name.
    """

    told: str
    is_whole: bool = False


def load_start(network: nn.Module, weights: TrainedWeights, classes: Sequence[str]) -> Start:
    """Give a network the trained weights, class by class.

    A class without a counterpart keeps its fresh weights. If nothing tells the classes of the
    trained weights, their class layers are taken as they are where the number of classes is the
    same, and left fresh where it is not.

    Args:
        classes: of the network, in the order of their labels.

    Raises:
        RequestError: a weight does not fit.
    """
    if problem := misfit(network, weights):
        raise RequestError(f"init_from: {weights.place}: its weights do not fit:\n{problem}")
    own, layers = network.state_dict(), class_layers(network)
    pairs = _pairs(weights, classes, own, layers)
    taken, left = {}, []
    for name, fresh in own.items():
        trained, layer = weights.state[name], layers.get(name.rpartition(".")[0])
        if layer is not None:
            taken[name] = layer.take(fresh, trained, pairs) if pairs else fresh
        elif fresh.shape == trained.shape:
            taken[name] = trained
        else:
            taken[name] = fresh
            left.append(name)
    network.load_state_dict(taken)
    if not layers:
        return _outcome_without_layers(left)
    return _outcome(weights, classes, pairs)


def _pairs(
    weights: TrainedWeights,
    classes: Sequence[str],
    own: Mapping[str, Tensor],
    layers: Mapping[str, ClassLayer],
) -> dict[int, int]:
    """Label of the network -> label of the trained weights."""
    if weights.classes is None:
        names = [f"{layer}.weight" for layer in layers]
        same = all(own[name].shape == weights.state[name].shape for name in names)
        return {label: label for label in range(len(classes))} if same else {}
    labels = {name: label for label, name in enumerate(weights.classes)}
    wanted = [weights.renamed.get(name, name) for name in classes]
    return {label: labels[name] for label, name in enumerate(wanted) if name in labels}


def _outcome(weights: TrainedWeights, classes: Sequence[str], pairs: Mapping[int, int]) -> Start:
    if weights.classes is None and pairs:
        return Start(
            "its classes are not known, and taken for those of the data set in their order"
        )
    if weights.classes is None:
        return Start(f"its classes are not known, so all {len(classes)} begin afresh")
    fresh = [name for label, name in enumerate(classes) if label not in pairs]
    more = f" and {len(fresh) - _SHOWN} more" if len(fresh) > _SHOWN else ""
    rest = f"; afresh: {', '.join(fresh[:_SHOWN])}{more}" if fresh else ""
    told = f"{len(pairs)} of {len(classes)} classes take the weights of their counterparts{rest}"
    return Start(told, is_whole=not fresh)


def _outcome_without_layers(left: Sequence[str]) -> Start:
    if not left:
        return Start("its head does not tell its class layers: all weights are taken as they are")
    return Start(
        f"its head does not tell its class layers: {len(left)} weights of another length begin "
        f"afresh, first {left[0]}"
    )


def _names(classes: object) -> tuple[str, ...]:
    """Class names in a file of weights, if they are some."""
    if isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes):
        return tuple(classes)
    return ()

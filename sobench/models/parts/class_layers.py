"""The layers of a head that predict classes: which of their outputs belongs to which class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ClassLayer:
    """The order of a layer's outputs: anchor by anchor, in each class by class.

    Attributes:
        anchors: anchors of a cell; 1 for a layer that sees one region.
        background: whether every anchor's first class is the background.
        values: outputs of an anchor for each class, such as 4 offsets; they lie side by side.
    """

    anchors: int = 1
    background: bool = False
    values: int = 1

    def outputs(self, num_classes: int) -> int:
        """The number of outputs for so many classes."""
        return self.anchors * (self.background + num_classes) * self.values

    def num_classes(self, outputs: int) -> int | None:
        """The number of classes of a layer with so many outputs; ``None`` if there is none."""
        widths, rest = divmod(outputs, self.anchors * self.values)
        return widths - self.background if not rest and widths > self.background else None

    def take(self, fresh: Tensor, trained: Tensor, pairs: Mapping[int, int]) -> Tensor:
        """``fresh`` with the background and the paired classes of ``trained``.

        Args:
            fresh, trained: weights ``[outputs, ...]`` of the layer, for two sets of classes.
            pairs: class of ``fresh`` -> class of ``trained``.
        """
        taken = fresh.clone().reshape(self.anchors, -1, self.values, *fresh.shape[1:])
        given = trained.to(fresh).reshape(self.anchors, -1, self.values, *trained.shape[1:])
        first = int(self.background)
        new = [*range(first), *(first + label for label in pairs)]
        old = [*range(first), *(first + label for label in pairs.values())]
        taken[:, new] = given[:, old]
        return taken.reshape(fresh.shape)


def anchors_by_level(box_offsets: nn.ModuleList) -> list[int]:
    """The anchors of a cell at every level, told by its layer of four offsets to an anchor."""
    biases = (x for name, x in box_offsets.named_parameters() if name.endswith("bias"))
    return [len(bias) // 4 for bias in biases]


def class_layers(network: nn.Module) -> dict[str, ClassLayer]:
    """Every layer that predicts classes, by its name in the network.

    A module of a head that has such layers names them by a method ``class_layers()``, which returns
    their names within the module.
    """
    return {
        f"{prefix}.{name}" if prefix else name: layer
        for prefix, module in network.named_modules()
        if callable(getattr(module, "class_layers", None))
        for name, layer in module.class_layers().items()
    }

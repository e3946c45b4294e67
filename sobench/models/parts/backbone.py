"""torchvision's classification networks as backbones: ordered feature maps with strides."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from sobench.models.parts.pretrained import State, load_pretrained
from sobench.models.parts.vgg import FcWeights, subsampled_fc
from sobench.suite.network import Backbone as BackboneSettings


class Backbone(nn.Module):
    """Stages that each halve the resolution, C2 (stride 4) to C5 (stride 32).

    ``layer1`` gives C2, ..., ``layer4`` gives C5. The four stages of VGG-16 end in conv3_3,
    conv4_3, conv5_3 and pool5; its poolings round up, as in SSD's Caffe model.

    Attributes:
        channels, strides: of C2..C5, in order, without the stages removed by ``pop_last_stage``.
        fc: fc6 and fc7 of VGG-16, if it was loaded with its classifier, for a neck that has them as
            convolutions; they are no weights of the backbone.
    """

    strides: tuple[int, ...] = (4, 8, 16, 32)

    def __init__(
        self,
        stem: nn.Module,
        layers: list[nn.Module],
        channels: tuple[int, ...],
        freeze: tuple[str, ...] = (),
        norm: str = "train",
    ) -> None:
        super().__init__()
        self.stem = stem
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = channels
        self.freeze = freeze
        self.norm = norm
        self.fc: FcWeights | None = None
        for name in freeze:
            self.get_submodule(name).requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """``[B, 3, H, W]`` -> C2..C5, finest first, or as many maps as there are stages left."""
        return self._stages(self.stem(images), len(self.channels))

    def forward_with_finer(self, images: Tensor, level: int) -> tuple[list[Tensor], Tensor]:
        """C2..C5, and C_level at twice its resolution; EFPN, arXiv:2003.07021, Table I.

        The finer map comes from the same layers behind a stem without its max-pooling, so the
        stem's convolution is shared. Only a ResNet's stem ends in a max-pooling.

        Args:
            level: 2 for C2' of stride 2, 3 for C3' of stride 4, ...
        """
        *convolution, pool = self.stem.children()
        x = images
        for module in convolution:
            x = module(x)
        finer = self._stages(x, level - 1)[-1]
        return self._stages(pool(x), len(self.channels)), finer

    def _stages(self, x: Tensor, count: int) -> list[Tensor]:
        """The stem's output -> the maps of the first ``count`` stages."""
        maps = []
        for number in range(1, count + 1):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps

    @property
    def has_norm(self) -> bool:
        """Whether the backbone has batch normalisation: ResNets do, VGG-16 does not."""
        return any(isinstance(module, nn.BatchNorm2d) for module in self.modules())

    def pop_last_stage(self) -> nn.Module:
        """Remove the last stage and return it, so that no map is computed that no neck reads.

        The weights of a frozen stage stay frozen, but from then on its owner sets its mode.
        """
        name = f"layer{len(self.channels)}"
        last = self.get_submodule(name)
        delattr(self, name)
        self.channels, self.strides = self.channels[:-1], self.strides[:-1]
        self.freeze = tuple(frozen for frozen in self.freeze if frozen != name)
        return last

    def train(self, mode: bool = True) -> Backbone:
        """As in ``nn.Module``, except that frozen stages and statistics stay in eval mode."""
        super().train(mode)
        for name in self.freeze:
            self.get_submodule(name).eval()
        if self.norm == "frozen":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def build_backbone(settings: BackboneSettings, planned: str = "") -> Backbone:
    """The backbone of a suite, with its weights.

    Args:
        planned: digest of the weights' file when the runs were planned; empty if any will do.

    Raises:
        RequestError: the weights cannot be fetched or do not fit; the message says which file is
            needed and where to put it.
    """
    full = torchvision.models.get_model(settings.name, weights=None)
    classifier = {}
    if settings.weights != "none":
        classifier = load_pretrained(full, settings, planned)
    if settings.name == "vgg16":
        backbone = _vgg(full, settings)
        backbone.fc = _fc(classifier)
        return backbone
    channels = tuple(
        (layer[-1].bn3 if hasattr(layer[-1], "bn3") else layer[-1].bn2).num_features
        for layer in (full.layer1, full.layer2, full.layer3, full.layer4)
    )
    stem = nn.Sequential(full.conv1, full.bn1, full.relu, full.maxpool)
    layers = [full.layer1, full.layer2, full.layer3, full.layer4]
    return Backbone(stem, layers, channels, settings.freeze, settings.norm)


def _vgg(full: nn.Module, settings: BackboneSettings) -> Backbone:
    features = list(full.features)  # type: ignore[arg-type]
    for module in features:
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = True
    cut = [nn.Sequential(*features[a:b]) for a, b in ((0, 9), (9, 16), (16, 23), (23, 30))]
    layers = [*cut[1:], nn.Sequential(features[30])]
    return Backbone(cut[0], list(layers), (256, 512, 512, 512), settings.freeze, settings.norm)


_FC_SHAPES = {
    "classifier.0.weight": (4096, 512 * 7 * 7),
    "classifier.0.bias": (4096,),
    "classifier.3.weight": (4096, 4096),
    "classifier.3.bias": (4096,),
}
"""fc6 and fc7 among the weights of torchvision's VGG-16."""


def _fc(classifier: State) -> FcWeights | None:
    """fc6 and fc7 for a detector, or ``None`` without a classifier of VGG-16's form."""
    shapes = {name: tuple(getattr(classifier.get(name), "shape", ())) for name in _FC_SHAPES}
    if shapes != _FC_SHAPES:
        return None
    return subsampled_fc(*(classifier[name] for name in _FC_SHAPES))

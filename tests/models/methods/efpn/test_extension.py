"""The extension of EFPN by hand, on maps of a few cells."""

from __future__ import annotations

from math import tanh

import torch
from torch import Tensor, nn

from sobench.models.methods.efpn.extension import (
    AuthorsTransfer,
    Espcn,
    Extension,
    FeatureTextureTransfer,
    Nearest,
    ResidualBlock,
    SubPixel,
)
from sobench.suite.network import Neck
from tests.models.methods.efpn.networks import (
    FixedTransfer,
    fill,
    network,
    plane,
)


def pass_on(block: nn.Module) -> None:
    """Leave of a residual block its ReLU."""
    assert isinstance(block, ResidualBlock)
    nn.init.zeros_(block.second.weight)
    nn.init.zeros_(block.second.bias)  # type: ignore[arg-type]


def test_sub_pixels_come_from_four_channels() -> None:
    module = SubPixel(1, 2)
    fill(module.conv, [[float(n)] for n in range(1, 9)])
    enlarged = module(plane([[1.0, 10.0]]), torch.zeros(1, 1, 2, 4))
    assert enlarged[0].tolist() == [
        [[1, 2, 10, 20], [3, 4, 30, 40]],
        [[5, 6, 50, 60], [7, 8, 70, 80]],
    ]
    for y in range(2):
        for x in range(4):
            for c in range(2):
                read = module.conv(plane([[1.0, 10.0]]))[0, 4 * c + 2 * (y % 2) + x % 2]
                assert enlarged[0, c, y, x] == read[y // 2, x // 2]
    cut = module(plane([[1.0, 10.0]]), torch.zeros(1, 1, 1, 3))
    assert cut[0, 0].tolist() == [[1, 2, 10]]


def test_residual_block_by_hand() -> None:
    block = ResidualBlock(1)
    fill(block.first, [[2.0]])
    fill(block.second, [[-3.0]])
    block.second.bias.data.fill_(4)  # type: ignore[union-attr]
    # relu(x - 3 relu(2 x) + 4): at -1 nothing is behind the first ReLU, at 1 only -1 is left.
    assert block(plane([[-1.0, 0.5, 1.0, -5.0]])).tolist() == [[[[3, 1.5, 0, 0]]]]


def test_texture_transfer_by_hand() -> None:
    module = FeatureTextureTransfer(1)
    for block in (module.content[1], module.texture[1], module.texture[2]):
        pass_on(block)
    first = module.content[0]
    assert isinstance(first, ResidualBlock)
    fill(first.first, [[1.0]])
    fill(first.second, [[0.5]])
    fill(module.enlarge.conv, [[1.0], [2.0], [-1.0], [4.0]])
    fill(module.texture[0], [[10.0, 1.0]])
    # E_c makes 3 of 2 and 0 of -3; enlarged that is 3, 6, -3, 12 and four zeros.
    lower = plane([[1.0, -1, 2, -2], [0.5, -0.5, 0, 3]])
    transferred = module(plane([[2.0, -3.0]]), lower)
    # Eq. 3: relu(10 P + content) + content.
    assert transferred.tolist() == [[[[13 + 3, 0 + 6, 20, 0], [2 - 3, 7 + 12, 0, 30]]]]


def test_the_authors_transfer_by_hand() -> None:
    module = AuthorsTransfer(1)
    for block in (module.content, module.texture[2], module.texture[3]):
        pass_on(block)
    fill(module.head, [[1.0], [-1.0]])
    fill(module.enlarge.conv, [*[[1.0, 0.0]] * 4, *[[0.0, 1.0]] * 4])
    fill(module.texture[0], [[100.0, 0, 0], [0, 0, 50.0]])
    fill(module.tail[0], [[1.0, 0], [0, 1.0]])
    fill(module.tail[2], [[1.0, 2000.0]])
    # 2 enters as (2, -.2); with its block (2, 0) it is (4, -.2), behind the next leak (4, -.02).
    # Texture: (100 * .5, 50 * -.02) leaks to (50, -.1), and the blocks leave (50, 0).
    # The sum (54, -.02) leaks to (54, -.002), and the tail gives 54 - 4; the map itself is 2.
    transferred = module(plane([[2.0]]), torch.full((1, 1, 2, 2), 0.5))
    assert torch.allclose(transferred, torch.full((1, 1, 2, 2), 52.0))


def test_super_resolution_of_the_upper_map_alone() -> None:
    module = Espcn(1)
    first, second = (m for m in module.layers if isinstance(m, nn.Conv2d))
    assert (first.kernel_size, second.kernel_size) == ((5, 5), (3, 3))
    fill(first, [[2.0]] * 64)
    fill(second, [[1 / 64] * 64] * 32)
    fill(module.enlarge.conv, [[n / 32] * 32 for n in (1.0, 2.0, 3.0, 4.0)])
    enlarged = module(plane([[0.25]]), torch.rand(1, 1, 2, 2))
    expected = tanh(tanh(0.5)) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.allclose(enlarged[0, 0], expected)


def test_the_level_by_hand() -> None:
    """Eq. 1, of maps whose sides halve unevenly."""
    settings = Neck.model_construct(channels=1, norm="none")
    transfer = FixedTransfer(plane([[1.0, 2, 3], [4, 5, 6]]))
    extension = Extension(2, settings, transfer)
    fill(extension.lateral, [[10.0, 100.0]])
    fill(extension.output, [[2.0]])
    finer = torch.zeros(1, 2, 3, 5)
    finer[0, 0, 0], finer[0, 1, 2] = torch.arange(5.0), 1.0
    finest, transferred = extension(plane([[7.0]]), plane([[0.0] * 3] * 2), finer)
    assert transferred is transfer.value
    assert finest[0, 0].tolist() == [
        [2 * (1 + 0), 2 * (1 + 10), 2 * (2 + 20), 2 * (2 + 30), 2 * (3 + 40)],
        [2, 2, 4, 4, 6],
        [2 * 104, 2 * 104, 2 * 105, 2 * 105, 2 * 106],
    ]
    assert [name for name, _ in extension.named_parameters()] == ["lateral.weight", "output.weight"]
    assert isinstance(transfer.inputs[0][1], Tensor)
    near = Nearest()(plane([[1.0, 2]]), torch.zeros(1, 1, 2, 3))
    assert near.tolist() == [[[[1, 1, 2], [1, 1, 2]]]]


def test_the_suites_norm_stands_behind_its_convolutions() -> None:
    norms = [m for m in network(neck={"norm": "group"}).extension.modules()
             if isinstance(m, nn.GroupNorm)]  # fmt: skip
    assert len(norms) == 2
    assert network().extension.output.bias is None

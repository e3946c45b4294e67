from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch import nn

from sobench.errors import RunError
from sobench.models.parts.shared_norm import WholeBatchNorm, share_norms
from sobench.models.parts.whole_batch import (
    Share,
    is_first,
    sharing,
    whole_count,
    whole_mean,
    whole_rand,
)

CPU = torch.device("cpu")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """The only process of a group, whose sums are its own."""
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("processes", "total"), [(1, 5), (2, 5), (3, 16), (4, 4)])
def test_shares_cover_a_batch_evenly(processes: int, total: int) -> None:
    shares = [Share.of(rank, processes, total) for rank in range(processes)]
    rows = [row for share in shares for row in range(total)[share.rows]]
    assert rows == list(range(total))
    sizes = {share.end - share.first for share in shares}
    assert max(sizes) - min(sizes) <= 1


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(RunError, match=r"a batch of 2 images .* 3 processes; .* 2 at most"):
        Share.of(0, 3, 2)


def test_without_a_share_nothing_is_added_up() -> None:
    x = torch.rand(3, 4)
    assert whole_count(x) is x
    assert whole_mean(x) == x.mean()
    torch.manual_seed(0)
    drawn = whole_rand(x.shape, CPU)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3, 4))
    assert is_first()


@pytest.mark.usefixtures("group")
def test_rows_of_a_share_are_those_of_the_whole_draw() -> None:
    torch.manual_seed(0)
    whole, following = torch.rand(5, 4), torch.rand(1)
    for rank in range(2):
        share = Share.of(rank, 2, 5)
        with sharing(share):
            torch.manual_seed(0)
            assert torch.equal(whole_rand(whole[share.rows].shape, CPU), whole[share.rows])
            assert torch.equal(torch.rand(1), following)
            assert is_first() == (rank == 0)


@pytest.mark.usefixtures("group")
def test_shared_norms_are_those_of_torch() -> None:
    torch.manual_seed(0)
    plain, shared = nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(nn.BatchNorm2d(3))
    x, y = torch.rand(2, 4, 3, 5, 5)
    with sharing(Share.of(0, 1, 4)):
        share_norms(shared)
        assert isinstance(shared[0], WholeBatchNorm)
        for network in (plain, shared):
            (network(x) * y).sum().backward()
    assert plain.state_dict().keys() == shared.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], tensor)
    for here, there in zip(shared.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(here.grad, there.grad)
    assert torch.equal(shared.eval()(x), nn.Sequential(shared[0]).eval()(x))


def test_norms_in_eval_mode_stay_and_others_are_refused() -> None:
    frozen = nn.Sequential(nn.BatchNorm2d(3)).eval()
    share_norms(frozen)
    assert type(frozen[0]) is nn.BatchNorm2d
    with pytest.raises(RunError, match=r"0 is a BatchNorm1d .* without --gpus-per-run"):
        share_norms(nn.Sequential(nn.BatchNorm1d(3)))

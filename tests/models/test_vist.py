import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from workflow_scripts.models.causal import AdaLNZero3D, C3TCNBlock, CausalConv3d, MultiscaleBlock
from workflow_scripts.models.vist import CellMixture, CentredViST, ViST, dilations, temporal_field

CELLS, GRID, FRAMES = 3, 6, 12
WINDOWS = ((1, 3), (1, 2))


def small(conditioning="per_cell", **options):
    torch.manual_seed(0)
    return ViST(
        4, CELLS, width=4, n_blocks=3, windows=WINDOWS, grid=GRID, conditioning=conditioning,
        **{"dropout": 0.0, "recompute": False, **options},
    ).double()  # fmt: skip


def centred(**options):
    torch.manual_seed(0)
    options = {"conditioning": "per_cell", "dropout": 0.0, **options}
    return CentredViST(
        2, CELLS, width=4, channels=3, kinds=2, n_blocks=2, windows=WINDOWS, grid=GRID, **options
    ).double()


def awake(network):
    """Give AdaLN weights, as after training, so that tests see what it does."""
    for module in network.modules():
        if isinstance(module, AdaLNZero3D):
            nn.init.normal_(module.modulation[1].weight)
    return network


def inputs(frames=FRAMES, channels=4):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, frames, channels, GRID, GRID, dtype=torch.double, generator=generator)
    return features, torch.rand(CELLS, GRID, GRID, dtype=torch.double, generator=generator)


def test_the_defaults_are_the_published_network():
    with torch.device("meta"):
        network = ViST()
    assert sum(weights.numel() for weights in network.parameters()) == 1_702_952
    assert temporal_field(6) == 183


@pytest.mark.parametrize("network", [small("summed"), small("per_cell"), small("none")])
def test_no_output_depends_on_a_later_frame(network):
    network = awake(network).eval()
    features, maps = inputs()
    before = network(features, maps)
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        t = int(torch.randint(1, FRAMES, (), generator=generator))
        changed = features.clone()
        changed[:, t:] = torch.randn(changed[:, t:].shape, generator=generator).double()
        after = network(changed, maps)
        assert torch.equal(before[..., :t], after[..., :t])
        assert not torch.equal(before[..., t], after[..., t])


def test_the_control_that_is_not_causal_sees_the_future():
    network = awake(small(causal=False)).eval()
    features, maps = inputs()
    changed = features.clone()
    changed[:, 6:] = 0
    assert not torch.equal(network(features, maps)[..., 5], network(changed, maps)[..., 5])


@pytest.mark.parametrize("dilation", ["exponential", "linear"])
def test_the_receptive_field_in_time_is_the_formulas(dilation):
    field = temporal_field(3, dilation, WINDOWS)
    network = awake(small(dilation=dilation)).eval()
    features, maps = inputs(field + 3)
    features.requires_grad_()
    network(features, maps)[0, :, -1].sum().backward()
    seen = features.grad[0].abs().amax(dim=(1, 2, 3)) > 0
    assert seen.tolist() == [False] * 3 + [True] * field
    assert dilations(4, "linear") == [1, 2, 3, 4]


def test_adaln_zero_is_the_identity_at_the_start():
    x = torch.randn(2, 4, 5, 3, 3)
    assert torch.equal(AdaLNZero3D(5)(x, torch.randn(1, 1, 5, 3, 3)), x)


def test_maps_matter_per_cell_or_only_in_their_sum():
    features, maps = inputs()
    swapped = maps[[1, 0, 2]]
    for conditioning, same in (("summed", True), ("per_cell", False), ("none", True)):
        network = awake(small(conditioning)).eval()
        a, b = network(features, maps), network(features, swapped)
        assert torch.allclose(a, b) == same


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("dilation", "frames", "groups"), [(1, 3, 6), (4, 3, 2), (8, 3, 6), (1, 7, 1)]
)
def test_taps_add_up_to_a_3d_convolution(dilation, frames, groups, causal):
    torch.manual_seed(0)
    x = torch.randn(2, 9, 6, 5, 5, dtype=torch.double, requires_grad=True)
    layer = CausalConv3d(
        6, 6, frames, 3, dilation=dilation, groups=groups, padded=True, causal=causal
    ).double()
    reach = dilation * (frames - 1)
    before = reach if causal else reach // 2
    padded = nn.functional.pad(x.transpose(1, 2), (1, 1, 1, 1, before, reach - before))
    expected = nn.functional.conv3d(
        padded, layer.weight, layer.bias, dilation=(dilation, 1, 1), groups=groups
    ).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)
    a, b = (torch.autograd.grad((y**2).sum(), x)[0] for y in (layer(x), expected))
    torch.testing.assert_close(a, b)


def test_a_multiscale_block_loses_two_rows_and_columns():
    assert MultiscaleBlock(3, (1, 5), 0.0)(torch.randn(1, 7, 3, 16, 16)).shape == (1, 7, 3, 14, 14)


@pytest.mark.parametrize("build", [small, centred])
def test_recomputing_changes_neither_loss_nor_gradients_nor_statistics(build):
    features, maps = inputs(channels=4 if build is small else 2)
    ends = []
    for recompute in (False, True):
        network = awake(build(recompute=recompute, dropout=0.2)).train()
        torch.manual_seed(3)
        if build is small:
            network(features, maps).square().sum().backward()
        else:
            network(features, maps[:2], torch.arange(2)).square().sum().backward()
        ends.append((network.state_dict(), [w.grad for w in network.parameters()]))
    (plain, gradients), (state, recomputed) = ends
    for name in (name for name in plain if "num_batches" not in name):
        torch.testing.assert_close(plain[name], state[name])
    torch.testing.assert_close(gradients, recomputed)


def test_windows_of_other_cells_change_nothing():
    network = awake(centred()).eval()
    features, maps = inputs(channels=2)
    windows = torch.cat([features, features.flip(1)])[:CELLS]
    together = network(windows, maps, torch.arange(CELLS))
    alone = [network(windows[[i]], maps[[i]], torch.tensor([i])) for i in range(CELLS)]
    torch.testing.assert_close(together, torch.cat(alone))
    shown_later = network(windows[[0]].roll(1, 1), maps[[0]], torch.tensor([0]))
    torch.testing.assert_close(shown_later[:, 10:], together[:1, 9:-1])


def test_centred_windows_are_causal_too():
    network = awake(centred()).eval()
    features, maps = inputs(channels=2)
    changed = features.clone()
    changed[:, 7:] += 1
    a, b = (network(one, maps[:2], torch.arange(2)) for one in (features, changed))
    assert torch.equal(a[:, :7], b[:, :7])
    assert not torch.equal(a[:, 7:], b[:, 7:])


def test_a_cell_finds_its_sign_among_cells_of_the_other():
    """One ON cell and three OFF cells, and the shipped rate and number of steps."""
    torch.manual_seed(0)
    mixture = CellMixture(cells=4, kinds=1)
    shared = nn.Linear(1, 1)
    optimiser = torch.optim.AdamW([*mixture.parameters(), *shared.parameters()], lr=0.003)
    sign = torch.tensor([1.0, -1, -1, -1])
    for _ in range(160):
        luminance = torch.randn(4, 50, 1)
        rate = mixture(shared(luminance), torch.arange(4))
        wanted = nn.functional.softplus(2 * sign[:, None] * luminance[..., 0])
        loss = (rate - wanted * torch.log(rate + 1e-6)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    dark, bright = (mixture(shared(torch.full((4, 1, 1), v)), torch.arange(4)) for v in (-1.0, 1.0))
    assert ((bright - dark)[:, 0].sign() == sign).all()


def peak_bytes(recompute, batch=16, frames=128):
    """Count the bytes of one training step's tensors, without computing it."""
    with FakeTensorMode():
        network = ViST(recompute=recompute)
        optimiser = torch.optim.AdamW(network.parameters(), foreach=False)
        features = torch.empty(batch, frames, 1024, 16, 16, dtype=torch.half)
        maps = torch.empty(90, 16, 16)
        tracker = MemTracker()
        tracker.track_external(network, optimiser, features, maps)
        with tracker:
            network(features, maps).square().mean().backward()
            optimiser.step()
        snapshot = tracker.get_tracker_snapshot("peak")
    return next(iter(snapshot.values()))["Total"]


def test_the_published_size_trains_a_step_in_8_gb():
    assert peak_bytes(recompute=True) < 8e9
    assert peak_bytes(recompute=False) > 16e9


def test_a_block_keeps_its_shape():
    x = torch.randn(2, 5, 4, 6, 6)
    assert C3TCNBlock(4, 2, 0.1)(x).shape == x.shape

import pytest
import torch
from torch.nn import functional

from workflow_scripts.models.readouts import GaussianReadout, PupilShifter, interpolate


@pytest.fixture
def plane():
    """Features that say where they are: x and y in [−1, 1]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 7), torch.linspace(-1, 1, 9), indexing="ij")
    return torch.stack([x, y])[None]


def set_to(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values))


def test_evaluation_reads_at_the_mean_position(plane):
    at = torch.tensor([[0.3, -0.7], [-1.0, 1.0], [0.11, 0.5]])
    readout = GaussianReadout(3, 2, start=at).eval()
    set_to(readout.features, [[1.0, 0.0, 2.0], [0.0, 1.0, -3.0]])
    set_to(readout.bias, [0.0, 10.0, 0.5])
    expected = torch.tensor([[0.3, 11.0, 2 * 0.11 - 3 * 0.5 + 0.5]])
    assert torch.allclose(readout(plane), expected, atol=1e-6)


def test_shift_moves_all_positions_of_a_trial(plane):
    readout = GaussianReadout(2, 2, start=torch.tensor([[0.1, 0.2], [-0.3, 0.0]])).eval()
    set_to(readout.features, [[1.0, 0.0], [0.0, 1.0]])
    set_to(readout.bias, [0.0, 0.0])
    shift = torch.tensor([[0.25, -0.5], [0.0, 0.1]])
    read = readout(plane.expand(2, -1, -1, -1), shift)
    assert torch.allclose(read, torch.tensor([[0.35, -0.5], [0.1, 0.1]]), atol=1e-6)


def test_sampled_positions_have_the_covariance(plane):
    torch.manual_seed(0)
    readout = GaussianReadout(2, 2, start=torch.tensor([[0.1, -0.2], [0.1, -0.2]]))
    set_to(readout.covariance_root, [[[0.1, 0.05], [-0.04, 0.2]]] * 2)
    set_to(readout.features, [[1.0, 0.0], [0.0, 1.0]])
    set_to(readout.bias, [0.0, 0.0])
    n = 20_000
    at = torch.stack([
        readout(plane.expand(n, -1, -1, -1))[:, unit].detach() for unit in range(2)
    ])  # fmt: skip
    # Reading x of one neuron and y of the other: their own draws, so the variances tell.
    covariance = readout.covariance()[0].detach()
    assert torch.allclose(covariance, torch.tensor([[0.0125, 0.006], [0.006, 0.0416]]), atol=1e-6)
    assert at.mean(dim=1).tolist() == pytest.approx([0.1, -0.2], abs=0.005)
    assert at.var(dim=1).tolist() == pytest.approx(covariance.diagonal().tolist(), rel=0.03)


def test_full_covariance_is_drawn_jointly(plane):
    torch.manual_seed(0)
    readout = GaussianReadout(1, 2, start=torch.zeros(1, 2))
    set_to(readout.covariance_root, [[[0.2, 0.0], [0.2, 0.0]]])  # x and y move together
    set_to(readout.features, [[1.0], [-1.0]])
    set_to(readout.bias, [0.0])
    read = readout(plane.expand(1000, -1, -1, -1))
    assert read.abs().max() < 1e-5


def test_no_position_leaves_the_features(plane):
    torch.manual_seed(0)
    readout = GaussianReadout(1, 2, start=torch.tensor([[0.95, 0.0]]))
    set_to(readout.covariance_root, [[[1.0, 0.0], [0.0, 1.0]]])
    set_to(readout.features, [[1.0], [0.0]])
    set_to(readout.bias, [0.0])
    read = readout(plane.expand(500, -1, -1, -1))
    assert read.max() <= 1
    assert read.min() >= -1


def test_position_follows_cortex_smoothly():
    torch.manual_seed(0)
    cortical = torch.tensor([[0.0, 0.0], [1.0, 0.0], [600.0, 300.0]])
    readout = GaussianReadout(3, 4, cortical_um=cortical)
    at = readout.mean_position()
    assert (at[0] - at[1]).norm() < 0.05 * (at[0] - at[2]).norm()
    shifted = GaussianReadout(3, 4, cortical_um=cortical + 1e4)
    shifted.load_state_dict({**readout.state_dict(), "cortical": shifted.cortical})
    assert torch.allclose(shifted.mean_position(), at, atol=1e-3)  # only relative place counts


def test_bias_starts_at_the_mean_response():
    readout = GaussianReadout(2, 3, mean_response=torch.tensor([0.4, 2.0])).eval()
    read = readout(torch.zeros(1, 3, 5, 5))
    assert torch.allclose(read + 1, torch.tensor([[0.4, 2.0]]))


def test_shifter_is_bounded_and_learns_a_linear_shift():
    torch.manual_seed(0)
    shifter = PupilShifter()
    assert shifter(100 * torch.randn(50, 2)).abs().max() <= 1
    pupil = torch.randn(256, 2)
    target = 0.1 * pupil.flip(1)
    optimizer = torch.optim.Adam(shifter.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (shifter(pupil) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * target.square().mean().item()


@pytest.mark.parametrize("size", [(7, 9), (2, 5), (1, 4), (1, 1)])
def test_interpolation_and_its_gradients_are_those_of_grid_sample(size):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 5, *size, dtype=torch.float64, generator=generator)
    at = torch.rand(3, 40, 2, dtype=torch.float64, generator=generator) * 3 - 1.5  # outside too
    at[0, :4] = torch.tensor([[-1, -1], [1, 1], [-1, 1], [0, 0]])
    weights = torch.randn(3, 40, 5, dtype=torch.float64, generator=generator)
    results = []
    for read in (
        interpolate,
        lambda f, p: (
            functional.grid_sample(f, p[:, :, None], align_corners=True, padding_mode="border")[
                ..., 0
            ].mT
        ),
    ):
        leaves = [features.clone().requires_grad_(), at.clone().requires_grad_()]
        values = read(*leaves)
        results.append([values, *torch.autograd.grad((values * weights).sum(), leaves)])
    (ours, to_features, to_at), (expected, *gradients) = results
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(to_features, gradients[0])
    torch.testing.assert_close(to_at[:, 4:], gradients[1][:, 4:])  # has kinks at the pixels

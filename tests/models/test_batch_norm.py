import pytest
import torch
from torch import nn

from workflow_scripts.models import processes
from workflow_scripts.models.batch_norm import share_batch_norm
from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.machine import MachineOptions, launch_fabric

TWO = MachineOptions(device="cpu", precision="32-true", devices=2)


def network(norm, convolution):
    torch.manual_seed(0)
    layers = nn.Sequential(norm(3), nn.GELU(), convolution(3, 3, 2), norm(3))
    for name, parameter in layers.named_parameters():
        if not name.startswith("2."):  # scales and shifts that differ among channels
            nn.init.uniform_(parameter, 0.5, 1.5)
    return layers


def losses_of(layers, inputs):
    """Two steps of a loss that weighs every entry; returns loss, gradients and statistics."""
    total = torch.zeros(())
    for one in inputs:
        out = layers(one)
        weight = torch.linspace(-1, 1, out[0].numel()).view_as(out[0])
        total = total + (weight * out.square()).mean()
    total.backward()
    return total.detach(), [one.grad for one in inputs], layers


@pytest.mark.parametrize(
    ("norm", "convolution", "shape"),
    [
        (nn.BatchNorm2d, nn.Conv2d, (6, 3, 4, 5)),
        (nn.BatchNorm3d, nn.Conv3d, (6, 3, 3, 4, 5)),
    ],
)
def test_it_is_batch_norm_of_the_whole_batch(two_processes, norm, convolution, shape):
    torch.manual_seed(1)
    spread = torch.arange(1.0, 7).view(-1, *[1] * (len(shape) - 1))  # shares that are unlike
    whole = [(3 + spread * torch.randn(shape)).requires_grad_() for _ in range(2)]
    loss, inputs, alone = losses_of(network(norm, convolution), whole)

    def shared():
        launch_fabric(TWO, together=True)
        layers = network(norm, convolution)
        weights = list(layers.parameters())
        share_batch_norm(layers)
        own = [processes.own_share(one.detach()).clone().requires_grad_() for one in whole]
        loss, inputs, _ = losses_of(layers, own)
        assert all(a is b for a, b in zip(weights, layers.parameters(), strict=True))
        state = {name: value.numpy() for name, value in layers.state_dict().items()}
        gradients = [one.grad.numpy() for one in weights]
        return loss.item(), [one.numpy() for one in inputs], gradients, state

    both = two_processes(shared)
    assert sum(one[0] for one in both) / 2 == pytest.approx(loss.item(), rel=1e-5)
    for step, expected in enumerate(inputs):
        # The loss is the mean over processes, so each share's gradient is twice its part.
        found = torch.cat([torch.from_numpy(one[1][step]) for one in both]) / 2
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    for number, parameter in enumerate(alone.parameters()):
        found = sum(torch.from_numpy(one[2][number]) for one in both) / 2
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-5)
    for one in both:
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(torch.from_numpy(one[3][name]), value, rtol=1e-5, atol=1e-6)


def test_alone_and_in_evaluation_it_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 5)
    plain, shared = (network(nn.BatchNorm2d, nn.Conv2d) for _ in range(2))
    share_batch_norm(shared)
    for _ in range(2):
        assert torch.equal(plain(x), shared(x))
        plain.eval()
        shared.eval()
    assert plain.state_dict().keys() == shared.state_dict().keys()


def test_what_is_gathered_sends_its_gradient_to_all(two_processes):
    def gathered():
        launch_fabric(TWO, together=True)
        own = torch.full((1,), 1.0 + processes.rank(), requires_grad=True)
        whole = processes.gather(own)
        # Unlike in the two processes: 1·x₀² + 10·x₁², and twice that.
        ((1.0 + processes.rank()) * (torch.tensor([1.0, 10.0]) * whole.square()).sum()).backward()
        return whole.tolist(), own.grad.item()

    assert two_processes(gathered) == [([1, 2], 3 * 2 * 1), ([1, 2], 3 * 2 * 10 * 2)]


def test_samples_are_drawn_and_shared_alike_whatever_the_number_of_processes(two_processes):
    def drawn():
        generator = torch.Generator().manual_seed(0)
        normal = processes.normal_like(torch.empty(4 // processes.count(), 3), generator)
        return normal.tolist(), list(range(6))[processes.share(6)]

    def together():
        launch_fabric(TWO, together=True)
        with pytest.raises(InputError, match="a batch of 7 cannot be divided among 2 processes"):
            processes.share(7)
        return drawn()

    first, second = two_processes(together)
    assert (first[0] + second[0], first[1] + second[1]) == drawn()

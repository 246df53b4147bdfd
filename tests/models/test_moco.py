import math

import pytest
import torch

from workflow_scripts.models.moco import MoCo, contrastive_logits, info_nce
from workflow_scripts.models.resnet3d import ResNet3D


@pytest.fixture
def moco():
    torch.manual_seed(0)
    backbone = ResNet3D(width=4, in_channels=1, norm="group")
    return MoCo(backbone, projection_dim=8, queue_length=10, momentum=0.9, temperature=0.1)


def clips(n):
    return torch.randn(n, 1, 4, 16, 16)


def test_equal_logits_give_chance_loss():
    k = 65536
    assert info_nce(torch.full((3, k + 1), 2.5)).item() == pytest.approx(math.log(k + 1), rel=1e-6)


def test_loss_agrees_with_float64_softmax():
    generator = torch.Generator().manual_seed(1)
    unit = [
        torch.nn.functional.normalize(torch.randn(n, 8, generator=generator), dim=1)
        for n in (5, 5, 20)
    ]
    queries, keys, queue = (matrix.double() for matrix in unit)
    expected = 0.0
    for query, key in zip(queries, keys, strict=True):
        scores = [float(query @ key) / 0.07, *(float(query @ old) / 0.07 for old in queue)]
        expected += math.log(sum(math.exp(score) for score in scores)) - scores[0]
    measured = info_nce(contrastive_logits(*unit, temperature=0.07))
    assert measured.item() == pytest.approx(expected / 5, rel=1e-5)


def test_keys_are_an_exact_moving_average(moco):
    expected = [p.clone() for p in moco.key_encoder.parameters()]
    for _ in range(3):
        with torch.no_grad():
            for parameter in moco.query_encoder.parameters():
                parameter.add_(torch.randn_like(parameter))
        moco(clips(2), clips(2))
        queries = list(moco.query_encoder.parameters())
        expected = [0.9 * k + 0.1 * q for k, q in zip(expected, queries, strict=True)]
    for key, value in zip(moco.key_encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(key, value)
        assert not key.requires_grad


def test_queue_wraps_and_keeps_the_newest(moco):
    seen = []
    original = moco.enqueue
    moco.enqueue = lambda keys: (seen.append(keys.clone()), original(keys))
    for _ in range(4):
        moco(clips(4), clips(4))
    newest = torch.cat(seen)[-10:]
    held = {tuple(key.tolist()) for key in moco.queue}
    assert held == {tuple(key.tolist()) for key in newest}
    assert int(moco.queue_position) == 16 % 10


def test_only_the_query_encoder_gets_a_gradient(moco):
    moco(clips(4), clips(4)).loss.backward()
    assert all(p.grad is not None for p in moco.query_encoder.parameters())
    assert all(p.grad is None for p in moco.key_encoder.parameters())


def test_evaluation_changes_nothing(moco):
    before = {name: value.clone() for name, value in moco.state_dict().items()}
    moco.eval()(clips(2), clips(2))
    assert all(torch.equal(before[name], value) for name, value in moco.state_dict().items())


def test_one_negative_suffices_to_lose():
    query = torch.tensor([[1.0, 0.0]])
    logits = contrastive_logits(query, query, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 0.1)
    assert logits.tolist() == [[10.0, 10.0, 0.0]]

import math
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional

from workflow_scripts.models.convolutional_core import ConvolutionalCore
from workflow_scripts.models.cortex_encoders import (
    ConvolutionalOptions,
    EncoderOptions,
    V1TOptions,
    build_encoder,
    load_encoder,
    save_encoder,
)
from workflow_scripts.models.encoder import Encoder, Population
from workflow_scripts.models.v1t import V1T, Attention, V1TCore
from workflow_scripts.stores.errors import InputError

SMALL = {"stride_px": 4, "dim": 12, "n_blocks": 2, "n_heads": 2, "mlp_dim": 16}
NO_DROPOUT = {"patch_dropout": 0.0, "block_dropout": 0.0}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_configuration():
    core = V1TCore()
    assert core.feature_shape == (155, 29, 57)
    assert core.token_position.shape == (29 * 57 + 1, 155)
    assert count(core) == 2_465_200
    images, behaviour = torch.randn(1, 1, 36, 64), torch.randn(1, 5)
    encoder = V1T({"a": Population(7)})
    predicted = encoder("a", images, behaviour, torch.zeros(1, 2))
    assert predicted.shape == (1, 7)
    predicted.sum().backward()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1.647e-3, betas=(0.9, 0.9999))
    before = encoder.core.embed.weight.clone()
    optimizer.step()
    assert not torch.equal(encoder.core.embed.weight, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_published_configuration_trains_on_a_gpu():
    encoder = V1T({"a": Population(7)}).cuda()
    inputs = [torch.randn(4, *shape, device="cuda") for shape in ((1, 36, 64), (5,), (2,))]
    with torch.autocast("cuda", torch.bfloat16):
        predicted = encoder("a", *inputs)
    predicted.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_attention_agrees_with_a_plain_reference():
    torch.manual_seed(0)
    dim, heads = 31, 4
    attention = Attention(dim, heads, dropout=0.0).double()
    tokens = torch.randn(2, 17, dim, dtype=torch.float64)
    normed = functional.layer_norm(tokens, (dim,))
    weight = attention.to_qkv.weight
    expected = torch.zeros(2, 17, heads * dim, dtype=torch.float64)
    for head in range(heads):
        # rows of the matrix: all heads' queries, then keys, then values
        q, k, v = (
            normed @ weight[(part * heads + head) * dim : (part * heads + head + 1) * dim].T
            for part in range(3)
        )
        share = torch.exp(q @ k.mT / math.sqrt(dim))
        share = share / share.sum(dim=-1, keepdim=True)
        expected[:, :, head * dim : (head + 1) * dim] = share @ v
        assert torch.allclose(attention.weights(tokens)[:, head], share, atol=1e-8)
    assert torch.allclose(attention(tokens), attention.projection(expected), atol=1e-8)
    single = attention.float()(tokens.float())
    assert torch.allclose(single, attention.projection(expected.float()), atol=1e-5)


def test_a_token_sees_its_own_patch():
    core = V1TCore(**SMALL, **NO_DROPOUT).eval()
    images = torch.randn(1, 1, 36, 64)
    tokens = core.tokens(images)[0, 1:] - core.token_position[1:]
    row, column = 3, 5
    patch = images[0, 0, 4 * row : 4 * row + 8, 4 * column : 4 * column + 8].flatten()
    _, _, columns = core.feature_shape
    assert torch.allclose(tokens[row * columns + column], core.embed(patch), atol=1e-5)


@pytest.mark.parametrize(("where", "blocks"), [("every_block", 2), ("first_block", 1)])
def test_behaviour_changes_what_is_predicted(where, blocks):
    torch.manual_seed(0)
    core = V1TCore(**SMALL, behaviour=where).eval()
    images, behaviour = torch.randn(3, 1, 36, 64), torch.randn(3, 5)
    same = core(images, behaviour, "a")
    other = core(images, behaviour + 1, "a")
    assert (same - other).abs().max() > 1e-3
    added = [record.behaviour for record in core.record(images, behaviour, "a")]
    assert sum(one is not None for one in added) == blocks


def test_without_behaviour_nothing_of_it_enters():
    core = V1TCore(**SMALL, behaviour="none").eval()
    images = torch.randn(3, 1, 36, 64)
    assert torch.equal(core(images, torch.zeros(3, 5), "a"), core(images, torch.ones(3, 5), "a"))


def test_mice_share_behaviour_networks_or_have_their_own():
    images, behaviour = torch.randn(2, 1, 36, 64), torch.randn(2, 5)
    shared = V1TCore(**SMALL).eval()
    assert torch.equal(shared(images, behaviour, "a"), shared(images, behaviour, "b"))
    own = V1TCore(**SMALL, mice=("a", "b")).eval()
    assert not torch.equal(own(images, behaviour, "a"), own(images, behaviour, "b"))


def test_recorded_attention_is_a_distribution_over_tokens():
    core = V1TCore(**SMALL).eval()
    records = core.record(torch.randn(2, 1, 36, 64), torch.randn(2, 5), "a")
    rows, columns = core.feature_shape[1:]
    for record in records:
        assert record.attention.shape == (2, 2, rows * columns + 1, rows * columns + 1)
        assert torch.allclose(record.attention.sum(dim=-1), torch.ones(()), atol=1e-5)


def test_penalty_is_the_sum_of_absolute_weights():
    core = V1TCore(**SMALL)
    flat = torch.nn.utils.parameters_to_vector(core.parameters())
    assert core.penalty().item() == pytest.approx(flat.abs().sum().item(), rel=1e-5)


def test_convolutional_core_and_its_smoothness():
    core = ConvolutionalCore()
    assert core.feature_shape == (64, 28, 56)
    assert core(torch.randn(2, 1, 36, 64), torch.randn(2, 5), "a").shape == (2, 64, 28, 56)
    with torch.no_grad():
        # A grating of k cycles a pixel has the Laplacian (2 − 2 cos 2πk)² times its own power;
        # within a kernel of 9 pixels the rim adds to it.
        x = torch.arange(9.0)
        core.first.weight[:, 0] = torch.cos(2 * math.pi * 0.25 * x)
        fine = core.penalty()
        core.first.weight[:, 0] = torch.cos(2 * math.pi * 0.05 * x)
        assert core.penalty() < fine
        core.first.weight[:, 0] = 0
        core.first.weight[:, 0, 4, 4] = 1
        assert core.penalty().item() == pytest.approx(16 + 4)  # the Laplacian of a point
        core.first.weight[:, 1:] = 100  # behaviour's weights have no shape
        assert core.penalty().item() == pytest.approx(16 + 4)


def test_linear_core_is_linear_and_a_network_is_not():
    images, state = torch.randn(2, 1, 36, 64), torch.zeros(2, 5)
    for linear, n_layers in ((True, 1), (False, 2)):
        core = ConvolutionalCore(linear=linear, n_layers=n_layers, stride_px=2).eval()
        both = core(images[:1] + images[1:], state[:1], "a") + core(0 * images[:1], state[:1], "a")
        each = core(images, state, "a").sum(dim=0, keepdim=True)
        assert torch.allclose(both, each, atol=1e-4) == linear


@pytest.mark.parametrize(
    "options",
    [
        EncoderOptions(v1t=V1TOptions(**SMALL), behaviour_per_mouse=True),
        EncoderOptions(core="convolutional", convolutional=ConvolutionalOptions(2, 6)),
    ],
    ids=lambda options: options.core,
)
def test_encoders_come_back_from_disk(tmp_path, options):
    torch.manual_seed(0)
    mice = {
        "a": Population(4, cortical_um=torch.rand(4, 2) * 600),
        "b": Population(3, start_px=20 * torch.rand(3, 2)),
    }
    encoder = build_encoder(options, mice, (2, 36, 64), 5).eval()
    files = tmp_path / "model.safetensors", tmp_path / "model.json"
    architecture = {"options": asdict(options), "image_shape": [2, 36, 64], "behaviour_dim": 5}
    save_encoder(encoder, *files, architecture, {})
    loaded = load_encoder(*files)
    inputs = torch.randn(2, 2, 36, 64), torch.randn(2, 5), torch.randn(2, 2)
    for mouse in mice:
        assert torch.equal(loaded(mouse, *inputs), encoder(mouse, *inputs))
        assert (loaded(mouse, *inputs) >= 0).all()
    other = build_encoder(options, {"a": mice["a"]}, (2, 36, 64), 5)
    save_encoder(other, files[0], tmp_path / "other.json", architecture, {})
    with pytest.raises(InputError, match="no weights of the network"):
        load_encoder(*files)


def test_positions_in_pixels_are_the_middle_of_what_a_feature_sees():
    core = V1TCore(**SMALL)
    # the first patch covers pixels 0–7; the last of 8 × 15 begins at (28, 56)
    places = torch.tensor([[3.5, 3.5], [31.5, 59.5], [10.0, 40.0]])
    encoder = Encoder(core, {"a": Population(3, start_px=places)}, shifter=False)
    corners = encoder.readouts["a"].mean_position()[:2]
    assert torch.allclose(corners, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-6)
    assert torch.allclose(encoder.positions_px("a"), places, atol=1e-4)

import pytest
import timm
import torch
from safetensors.torch import save_file

from workflow_scripts.models.backbones import build_backbone
from workflow_scripts.models.priors import (
    BackboneLayer,
    DinoTokens,
    Past,
    pixels,
    prior_features,
)
from workflow_scripts.models.vist import ViST
from workflow_scripts.stores.errors import InputError

# The smallest that DINOv2's own code builds: the architecture counts here, not the weights.
TINY = "vit_tiny_patch16_224"


def movie(n_frames=10, side=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n_frames, side, side), generator=generator, dtype=torch.uint8)


def backbone(layer="layer1"):
    torch.manual_seed(0)
    return BackboneLayer(build_backbone("resnet3d", 4, 1).eval(), layer, 1).eval()


@pytest.mark.parametrize("past", [Past(), Past(4, 2), Past(3, 1), Past(4, 2, repeated=True)])
def test_a_prior_looks_back_as_far_as_it_says(past):
    first, last = movie(12), movie(12)
    first[2] = 255 - first[2]

    def earliest(shown):  # the mean of the earliest frame that it is shown
        return shown[:, 0].mean(dim=(1, 2, 3))[:, None, None, None]

    differ = (features(earliest, first, past) != features(earliest, last, past)).flatten()
    assert differ.nonzero().flatten().tolist() == [2 + past.look_back]


def features(prior, frames, past):
    return torch.cat(list(prior_features(prior, frames, past, batch_size=4)))


@pytest.mark.parametrize(
    ("prior", "past"),
    [
        (pixels, Past()),
        (backbone(), Past(4, 2)),
        (backbone("layer2"), Past(5, 1)),
        (backbone(), Past(4, 1, repeated=True)),
    ],
)
def test_the_whole_chain_is_causal_prior_included(prior, past):
    """No rate at t changes when a frame after t does; that at the changed frame does."""
    frames = movie()
    shown = features(prior, frames, past)
    torch.manual_seed(0)
    network = ViST(
        shown.shape[1], 2, width=4, n_blocks=2, windows=((1, 3),), grid=shown.shape[-1],
        recompute=False,
    ).eval()  # fmt: skip
    maps = torch.ones(2, *shown.shape[-2:])
    before = network(shown[None], maps)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        t = int(torch.randint(1, len(frames), (), generator=generator))
        changed = frames.clone()
        changed[t:] = 255 - changed[t:]
        after = network(features(prior, changed, past)[None], maps)
        assert torch.equal(before[..., :t], after[..., :t])
        assert not torch.equal(before[..., t], after[..., t])


def test_a_backbone_sees_its_past_or_one_frame_repeated():
    frames = movie()
    past, repeated = (features(backbone(), frames, Past(4, 1, one)) for one in (False, True))
    still = frames.clone()
    still[:] = frames[6]
    torch.testing.assert_close(repeated[6], features(backbone(), still, Past(4, 1))[6])
    assert not torch.allclose(past[6], repeated[6])
    torch.testing.assert_close(past[0], repeated[0])  # before the movie its first frame is shown


def test_dinov2_comes_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(TINY, pretrained=False, img_size=32, num_classes=0).eval()
    weights = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), weights)
    prior = DinoTokens(TINY, weights, 32).eval()
    tokens = features(prior, movie(3, 40), Past())
    assert tokens.shape == (3, network.embed_dim, 2, 2)
    with pytest.raises(InputError, match="no DINOv2 weights at"):
        DinoTokens(TINY, tmp_path / "none.safetensors", 32)
    save_file({"a": torch.zeros(1)}, weights)
    with pytest.raises(InputError, match="no weights of"):
        DinoTokens(TINY, weights, 32)


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no layer 'layer9'"):
        features(backbone("layer9"), movie(2), Past(2))

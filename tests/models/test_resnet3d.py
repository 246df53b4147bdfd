import pytest
import torch
from torchvision.models.video import r3d_18

from workflow_scripts.models.backbones import (
    BACKBONES,
    build_backbone,
    load_backbone,
)
from workflow_scripts.models.files import save_model
from workflow_scripts.models.resnet3d import LAYERS, ResNet3D
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash


def test_width_64_is_torchvisions_r3d_18():
    torch.manual_seed(0)
    reference = r3d_18().eval()
    reference.fc = torch.nn.Identity()
    network = ResNet3D(width=64).eval()
    network.load_state_dict(reference.state_dict())
    clips = torch.randn(2, 3, 8, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(clips), reference(clips), atol=1e-5, rtol=1e-5)


def test_layers_have_torchvisions_shapes_at_another_width():
    responses = ResNet3D(width=8, in_channels=1, norm="group").responses(
        torch.randn(1, 1, 8, 56, 56)
    )
    shapes = {name: tuple(response.shape[1:]) for name, response in responses.items()}
    assert shapes == {
        "layer1": (8, 8, 28, 28),
        "layer2": (16, 4, 14, 14),
        "layer3": (32, 2, 7, 7),
        "layer4": (64, 1, 4, 4),
    }
    assert all((response >= 0).all() for response in responses.values())


def test_group_norm_shares_nothing_between_clips():
    torch.manual_seed(0)
    network = ResNet3D(width=8, in_channels=1, norm="group")
    clips = torch.randn(2, 1, 8, 32, 32)
    alone = network(clips[:1])
    torch.testing.assert_close(network(clips)[:1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "resnet3d"])
def test_borrowed_backbones_answer_by_the_same_layer_names(name):
    network = build_backbone(name, width=64, in_channels=1).eval()
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())
    with torch.no_grad():
        responses = network.responses(torch.randn(1, 1, 8, 64, 64))
    assert tuple(responses) == LAYERS
    assert network.features(responses).shape == (1, network.feature_dim)
    rows = [response.shape[3] for response in responses.values()]
    assert rows == sorted(rows, reverse=True)


def test_saved_backbone_answers_as_before(tmp_path):
    network = build_backbone("resnet3d", width=4, in_channels=1).eval()
    record = {"backbone": {"name": "resnet3d", "width": 4, "in_channels": 1}}
    save_model(network, tmp_path / "w.safetensors", tmp_path / "m.json", record, {})
    loaded = load_backbone(tmp_path / "w.safetensors", tmp_path / "m.json")
    clips = torch.randn(1, 1, 8, 32, 32)
    assert torch.equal(loaded(clips), network(clips))
    wider = build_backbone("resnet3d", width=8, in_channels=1)
    save_model(wider, tmp_path / "w.safetensors", tmp_path / "other.json", record, {})
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_backbone(tmp_path / "w.safetensors", tmp_path / "m.json")


def test_when_a_backbone_was_made_does_not_change_its_hash(tmp_path):
    network = build_backbone("resnet3d", width=4, in_channels=1)
    record = {"backbone": {"name": "resnet3d", "width": 4, "in_channels": 1}}
    files = [tmp_path / f"{name}.json" for name in "abc"]
    for file, made in zip(
        files,
        ({"created": "monday"}, {"created": "friday"}, {"created": "friday", "code_hash": "1"}),
        strict=True,
    ):
        save_model(network, tmp_path / "w.safetensors", file, record, made)
    monday, friday, other_code = map(input_hash, files)
    assert monday == friday != other_code


def test_unknown_backbone_is_named():
    with pytest.raises(InputError, match="resnet4d"):
        build_backbone("resnet4d", 16, 1)

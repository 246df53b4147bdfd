import torch

from workflow_scripts.models.receptive_fields import Field, receptive_fields
from workflow_scripts.models.resnet3d import ResNet3D


def test_fields_of_the_3d_resnet_follow_from_its_kernels():
    """7×7 with stride 2, then four 3×3 a layer; each layer but the first halves the sampling."""
    size_px, jump = 7, 2
    expected = {}
    for index in range(4):
        for number in range(4):
            size_px += 2 * jump
            if index > 0 and number == 0:
                jump *= 2
        expected[f"layer{index + 1}"] = Field(0.0, float(jump), size_px)
    assert receptive_fields("resnet3d", 1, 8, 144) == expected


def test_a_pixel_moves_the_responses_whose_field_it_is_in():
    """Of a network with weights of its own, but without the norms, which share what they see."""
    torch.manual_seed(0)
    network = ResNet3D(4, 1, norm="group").double().eval()
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
    screen, pixel = torch.rand(1, 1, 4, 96, 96, dtype=torch.float64), 41
    other = screen.clone()
    other[..., pixel, pixel] += 1
    fields = receptive_fields("resnet3d", 1, 4, 96)
    with torch.no_grad():
        before, after = network.responses(screen), network.responses(other)
    for layer in ("layer1", "layer2"):
        field = fields[layer]
        moved = (before[layer] != after[layer]).any(dim=1)[0].any(dim=0).any(dim=1)
        centres = field.first_px + field.stride_px * torch.arange(len(moved))
        reached = (centres - pixel).abs() <= (field.size_px - 1) / 2
        assert (moved <= reached).all()
        assert moved.sum() >= reached.sum() - 2  # a ReLU may hide the outermost

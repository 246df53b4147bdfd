import dataclasses

import pytest
import torch

from workflow_scripts.models.retina_baselines import LinearNonlinear
from workflow_scripts.models.retina_encoders import (
    RetinaEncoderOptions,
    build_retina_encoder,
    load_ensemble,
    save_ensemble,
)
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import write_json

CELLS, FRAMES = 3, 9
CENTRED = ["vist", "cnn", "cnn3d", "crnn", "ln"]


def options(kind):
    return RetinaEncoderOptions(
        kind=kind, grid=9, width=4, channels=3, kinds=2, n_blocks=2, windows=[[1, 3]], frames=5,
        blocks=3, dropout=0.1, stem_frames=3 if kind == "vist" else 1, stem_size=3,
    )  # fmt: skip


def build(kind):
    torch.manual_seed(0)
    network = build_retina_encoder(options(kind), 1, CELLS).eval()
    if isinstance(network, LinearNonlinear):
        torch.nn.init.normal_(network.weight)
        torch.nn.init.constant_(network.bias, 5.0)
    return network


def shown(frames=FRAMES):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(CELLS, frames, 1, 9, 9, generator=generator), torch.rand(CELLS, 9, 9)


@pytest.mark.parametrize("kind", CENTRED)
def test_encoders_are_causal(kind):
    network, (windows, maps) = build(kind), shown()
    before = network(windows, maps, torch.arange(CELLS))
    assert before.shape == (CELLS, FRAMES)
    for t in (1, 5, 8):
        changed = windows.clone()
        changed[:, t:] *= -1
        after = network(changed, maps, torch.arange(CELLS))
        torch.testing.assert_close(after[:, :t], before[:, :t])
        assert not torch.allclose(after[:, t], before[:, t])


@pytest.mark.parametrize("kind", CENTRED)
@pytest.mark.parametrize("last", [1, 4])
def test_the_last_frames_alone_are_the_same(kind, last):
    network, (windows, maps) = build(kind), shown()
    whole = network(windows, maps, torch.arange(CELLS))
    torch.testing.assert_close(network(windows, maps, torch.arange(CELLS), last), whole[:, -last:])


@pytest.mark.parametrize("kind", ["vist", "cnn3d"])
def test_the_control_looks_as_far_ahead_as_said(kind):
    chosen = dataclasses.replace(options(kind), causal=False, stem_frames=1)
    torch.manual_seed(0)
    network, n = build_retina_encoder(chosen, 1, CELLS).eval(), 3 * chosen.field
    windows, maps = shown(n)
    windows.requires_grad_()
    network(windows, maps, torch.arange(CELLS))[0, n // 2].backward()
    seen = torch.nonzero(windows.grad[0].abs().amax(dim=(1, 2, 3)))
    assert int(seen.max()) == n // 2 + chosen.ahead
    assert int(seen.max() - seen.min()) + 1 == chosen.field
    assert options(kind).ahead == 0


@pytest.mark.parametrize("kind", [kind for kind in CENTRED if kind != "crnn"])
def test_outputs_depend_on_no_more_frames_than_said(kind):
    field = options(kind).field
    network, (windows, maps) = build(kind), shown(field + 2)
    windows.requires_grad_()
    network(windows, maps, torch.arange(CELLS))[0, -1].backward()
    seen = windows.grad[0].abs().amax(dim=(1, 2, 3)) > 0
    assert not seen[:2].any()
    assert seen[2:].all()


@pytest.mark.parametrize("kind", [*CENTRED, "published_vist"])
def test_an_ensemble_comes_back_as_it_was_saved(kind, tmp_path):
    members = [build_retina_encoder(options(kind), 1, CELLS).eval() for _ in range(2)]
    files = tmp_path / "model.safetensors", tmp_path / "model.json"
    record = {"encoder": dataclasses.asdict(options(kind)), "features": 1, "cells": CELLS}
    save_ensemble(members, *files, record, {})
    loaded = load_ensemble(*files)
    assert loaded.options == options(kind)
    for one, other in zip(members, loaded.members, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
    write_json(files[1], {**record, "n_members": 2, "cells": CELLS + 1}, {})
    with pytest.raises(InputError, match="no weights of the network"):
        load_ensemble(*files)

import math

import numpy as np
import pytest
import torch

from workflow_scripts.models.dina import (
    DIM,
    DINA,
    MAP_PX,
    ImageTower,
    NeuralTower,
    load_dina,
    save_dina,
    symmetric_info_nce,
)
from workflow_scripts.stores.errors import InputError


def reference_info_nce(logits, image_id):
    """Float64, by the definition: the mean over a sample's positives of −log p."""
    logits = logits.double().numpy()
    total = 0.0
    for scores in (logits, logits.T):
        for row, own in zip(scores, image_id, strict=True):
            positives = [j for j, other in enumerate(image_id) if other == own]
            normaliser = np.log(np.sum(np.exp(row - row.max()))) + row.max()
            total += np.mean([normaliser - row[j] for j in positives])
    return total / (2 * len(logits))


@pytest.mark.parametrize("image_id", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1], [7, 7, 7, 7, 7]])
def test_info_nce_is_its_definition_in_double_precision(image_id):
    logits = 8 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    loss = symmetric_info_nce(logits, torch.tensor(image_id))
    assert float(loss) == pytest.approx(reference_info_nce(logits, image_id), rel=1e-5)


def test_info_nce_without_knowledge_is_the_logarithm_of_the_batch():
    loss = symmetric_info_nce(torch.zeros(7, 7), torch.arange(7))
    assert float(loss) == pytest.approx(math.log(7))


def test_both_towers_have_one_layout_whatever_the_images_size():
    for size in ((36, 64), (64, 64), (20, 12)):
        assert ImageTower()(torch.zeros(2, 1, *size)).shape == (2, DIM, MAP_PX, MAP_PX)
    assert NeuralTower(9)(torch.zeros(2, 9)).shape == (2, DIM, MAP_PX, MAP_PX)


def test_a_neural_tower_stays_small_for_thousands_of_neurons():
    n_weights = sum(parameter.numel() for parameter in NeuralTower(8000).parameters())
    assert n_weights < 33e6  # of 524 million


def test_logits_are_scaled_cosines():
    dina = DINA({"a": 3}, dim=4, map_px=4)
    neural, image = torch.randn(2, 64), torch.randn(5, 64)
    cosine = torch.nn.functional.cosine_similarity(neural[:, None], image[None], dim=2)
    assert torch.allclose(dina.logits(neural, 3 * image), cosine / 0.07, atol=1e-5)


def test_a_place_on_the_map_is_the_place_on_the_image():
    grey = torch.zeros(1, 1, 32, 64)
    spot = grey.clone()
    spot[0, 0, 4:8, 48:56] = 5.0  # row 1 and column 6 of 8
    share = torch.zeros(8, 8)
    for seed in range(10):  # filters are random, so single towers lean to a side
        torch.manual_seed(seed)
        tower = ImageTower(scales=(1,), map_px=8)
        with torch.no_grad():
            change = (tower(spot) - tower(grey)).square().sum(dim=1)[0]
        share += change / change.sum() / 10
    row, column = (share.sum(dim=axis) @ torch.arange(8.0) for axis in (1, 0))
    assert (row.item(), column.item()) == pytest.approx((1, 6), abs=0.4)


def test_models_come_back_as_they_were_saved(tmp_path):
    arguments = {"n_neurons": {"a": 3, "b": 5}, "scales": [1, 2], "dim": 4, "map_px": 4}
    models = [DINA(**arguments).eval() for _ in range(2)]
    paths = tmp_path / "model.safetensors", tmp_path / "model.json"
    save_dina(models, *paths, {"dina": arguments}, {})
    loaded, record = load_dina(*paths)
    responses = torch.randn(2, 5)
    for before, after in zip(models, loaded, strict=True):
        assert torch.equal(
            before.neural_latents("b", responses), after.neural_latents("b", responses)
        )
    save_dina(models[:1], paths[0], tmp_path / "other.json", {"dina": record["dina"]}, {})
    with pytest.raises(InputError, match=r"model\.safetensors: no weights of the network"):
        load_dina(*paths)

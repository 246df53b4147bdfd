"""Attribution, footprints and filters: identities, and a population whose fields are known."""

import numpy as np
import pytest
import torch

from workflow_scripts.analysis.attribution import (
    field_masks,
    footprint_test,
    gradient_times_input,
    image_margin,
    integrated_gradients,
    keep,
    neuron_footprints,
    pairwise_interactions,
    share_inside,
)
from workflow_scripts.analysis.latent_maps import back_project, band_limited, margin_maps
from workflow_scripts.models.dina import DINA

SHOWN = torch.arange(6)


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    dina = DINA({"a": 5}, scales=(1, 2), width=4, dim=8, map_px=8).eval()
    with torch.no_grad():
        for parameter in (*dina.image_tower.parameters(), *dina.neural_towers.parameters()):
            parameter.mul_(3)  # far from linear
    draw = torch.Generator().manual_seed(1)
    return dina, torch.randn(6, 5, generator=draw), torch.randn(6, 1, 16, 24, generator=draw)


def test_integrated_gradients_sum_to_the_difference(untrained):
    dina, responses, images = untrained
    scores = image_margin(dina, "a", images, SHOWN)
    attributed = integrated_gradients(scores, 3 * responses, n_steps=48)
    difference = (scores(3 * responses) - scores(0 * responses)).detach().numpy()
    assert np.abs(difference).max() > 0.1
    assert attributed.sum(axis=1) == pytest.approx(difference, abs=1e-4)


def test_attributions_of_a_linear_score_are_its_terms():
    responses, weights = torch.randn(4, 3), torch.tensor([1.0, -2.0, 0.0])
    terms = (responses * weights).numpy()
    for attribute in (gradient_times_input, integrated_gradients):
        assert attribute(lambda r: r @ weights, responses) == pytest.approx(terms, abs=1e-6)


def test_neurons_interact_only_where_the_score_multiplies_them():
    responses = torch.tensor([[2.0, 3.0, 5.0], [1.0, 1.0, 4.0]])

    def scores(r):
        return r.sum(dim=1) + 2 * r[:, 0] * r[:, 2]

    found = pairwise_interactions(scores, responses, [0, 1, 2])
    assert found[:, 0, 2] == pytest.approx([20.0, 8.0])
    assert found[:, 2, 0] == pytest.approx([20.0, 8.0])
    assert found[:, 0, 1] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found[:, 1, 1]).all()


def test_neurons_that_are_not_kept_respond_at_their_mean():
    responses = torch.ones(2, 4)
    assert keep(responses, np.array([3, 1, 0, 2])[::-1], 2).tolist() == [[1, 0, 1, 0]] * 2


def test_the_margin_is_divided_among_places_exactly(untrained):
    dina, responses, images = untrained
    with torch.no_grad():
        logits = dina.logits(dina.neural_latents("a", responses), dina.image_latents(images))
    own = logits.diagonal()
    margin = own - (logits.sum(dim=1) - own) / 5
    parts = margin_maps(dina, "a", responses, images, SHOWN)
    assert parts.sum(axis=(1, 2)) == pytest.approx(margin.numpy(), abs=1e-4)
    with torch.no_grad():
        twice = image_margin(dina, "a", images, SHOWN)(torch.cat([responses, responses]))
    assert twice.tolist() == pytest.approx(margin.tolist() * 2, abs=1e-4)


def test_attributions_do_not_saturate_where_the_image_is_certain(untrained):
    dina, responses, images = untrained
    attributed = []
    for factor in (1.0, 5.0):
        with torch.no_grad():
            dina.log_scale.add_(np.log(factor))
        scores = image_margin(dina, "a", images, SHOWN)
        attributed.append(integrated_gradients(scores, responses))
        with torch.no_grad():
            dina.log_scale.sub_(np.log(factor))
    assert attributed[1] == pytest.approx(5 * attributed[0], rel=1e-3, abs=1e-5)


def test_footprints_are_where_a_neurons_weights_are(untrained):
    dina, responses, images = untrained
    weight = dina.neural_towers["a"].spread.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.view(4, 8, 8, 5)[:, :, :4, 2] = 0  # neuron 2 speaks to the right half alone
    footprint = neuron_footprints(dina, "a", responses, images, SHOWN)
    with torch.no_grad():
        weight.copy_(kept)
    assert footprint.sum(axis=(1, 2)) == pytest.approx(1.0)
    assert footprint[2, :, :4].max() == 0
    assert footprint[1, :, :4].sum() > 0.2


def test_latent_channels_are_projected_to_the_patch_that_drives_them(untrained):
    dina, _, images = untrained
    found = back_project(dina, images)
    with torch.no_grad():
        maps = dina.image_tower(images)
    channel = 3
    best = found.best[channel]
    place = int((maps - maps.mean(dim=0))[best, channel].argmax())
    assert (found.row[channel, best], found.column[channel, best]) == divmod(place, 8)
    centre = slice(15 - 8, 15 + 9)  # the gradient lies about the place, within the filters' reach
    gradient = np.abs(found.gradient[channel])
    assert gradient[centre, centre].sum() > 0.95 * gradient.sum() > 0


def test_filters_add_up_and_part_the_frequencies():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    slow, fast = torch.cos(2 * np.pi * (x + 0.5) / 32), torch.cos(2 * np.pi * (y + 0.5) / 4)
    images = (1 + slow + fast)[None, None]
    low, high = (band_limited(images, 0.1, kind) for kind in ("low_pass", "high_pass"))
    assert torch.allclose(low + high, images, atol=1e-5)
    assert torch.allclose(low[0, 0], 1 + slow, atol=0.01)
    assert torch.allclose(high[0, 0], fast, atol=0.01)


def test_permuted_fields_are_chance_and_own_fields_are_found():
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(4, 28, (2, 40))
    masks = field_masks(rows, columns, np.full(40, 4.0), (32, 32), 16)
    assert masks.mean() == pytest.approx(np.pi * 16 / 32**2, rel=0.1)
    own = share_inside(masks / masks.sum(axis=(1, 2), keepdims=True), masks)
    assert footprint_test(own, 200, 0).own == pytest.approx(1.0)
    assert footprint_test(own, 200, 0).p < 0.01
    noise = rng.random((40, 16, 16))
    noise /= noise.sum(axis=(1, 2), keepdims=True)
    assert footprint_test(share_inside(noise, masks), 200, 0).p > 0.01

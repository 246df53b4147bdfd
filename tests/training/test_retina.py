import numpy as np
import pytest
import torch

from workflow_scripts.recordings.movie_responses import MovieResponses
from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.retina import chunks, hold_out, sample_windows, turned
from workflow_scripts.training.vist import LossOptions, encoder_loss, ridge_path


def ramps(height=12, width=10):
    """Two channels: the row and the column of each pixel's centre."""
    row, column = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    return torch.stack((row, column))[None].float()


def test_windows_lie_where_they_should():
    centre = torch.tensor([[6.0, 5.0], [4.3, 6.1]])
    windows = sample_windows(ramps(), centre, grid=3, step=1.5)
    assert windows.shape == (2, 1, 2, 3, 3)
    offset = torch.tensor([-1.5, 0.0, 1.5])
    for (row, column), window in zip(centre, windows[:, 0], strict=True):
        torch.testing.assert_close(window[0], (row + offset)[:, None].expand(3, 3))
        torch.testing.assert_close(window[1], (column + offset).expand(3, 3))


def test_the_edge_goes_on_beyond_the_frame():
    window = sample_windows(ramps(), torch.tensor([[0.0, 0.0]]), grid=5, step=2.0)[0, 0]
    assert window[0, 0, 0] == 0.5
    assert window[1, 0, 0] == 0.5


def responses(n_pieces=10, piece=3, rest=5):
    stimulus = np.full(n_pieces * (piece + rest), -1)
    for k in range(n_pieces):
        stimulus[k * (piece + rest) :][:piece] = k
    rate = np.where(stimulus >= 0, stimulus, np.nan).astype(np.float32)[None]
    return MovieResponses(rate, stimulus, np.full(n_pieces, "train", object))


@pytest.mark.parametrize("gap", [0, 5, 9])
def test_folds_part_the_stimuli_and_keep_their_distance(gap):
    whole, selected = responses(), []
    for fold in range(5):
        training, selecting = hold_out(whole, fold, 5, gap)
        shown, held = (np.flatnonzero(one.stimulus >= 0) for one in (training, selecting))
        assert np.abs(shown[:, None] - held).min() > gap
        assert np.isnan(training.rate_hz[:, held]).all()
        assert np.isnan(selecting.rate_hz[:, shown]).all()
        selected += sorted(set(selecting.stimulus[held]))
    assert selected == list(range(10))


def test_a_fold_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="leaves nothing"):
        hold_out(responses(), 0, 2, 500)


def test_windows_are_turned_in_eight_ways():
    square = torch.arange(9.0).view(1, 3, 3)
    ways = {tuple(turned(square, way).flatten().tolist()) for way in range(8)}
    assert len(ways) == 8
    assert torch.equal(turned(square, 0), square)


def test_chunks_cover_all_frames_once():
    frames = np.sort(np.random.default_rng(0).choice(1000, 300, replace=False))
    spans = list(chunks(frames, 50))
    np.testing.assert_array_equal(np.concatenate(spans), frames)
    assert max(span[-1] - span[0] for span in spans) < 50


def test_the_loss_looks_at_known_frames_only():
    torch.manual_seed(0)
    predicted, rate = torch.rand(2, 3, 14), torch.rand(2, 3, 14)
    known = torch.zeros(2, 14, dtype=torch.bool)
    known[:, 4:11] = True
    for kind in ("published", "poisson"):
        options = LossOptions(kind, dtw=0.1, dtw_frames=[4, 6])
        loss, _ = encoder_loss(predicted, rate, known, options)
        hidden = torch.where(known[:, None], rate, torch.rand_like(rate))
        changed, _ = encoder_loss(predicted, hidden, known, options)
        assert torch.equal(loss, changed)
        other, _ = encoder_loss(predicted, rate + known[:, None], known, options)
        assert not torch.equal(loss, other)


def test_a_perfect_prediction_costs_nothing_under_the_published_loss():
    rate = torch.rand(2, 3, 14)
    known = torch.ones(2, 14, dtype=torch.bool)
    loss, parts = encoder_loss(rate, rate, known, LossOptions("published"))
    torch.testing.assert_close(loss, torch.zeros(()), atol=1e-6, rtol=0)
    assert set(parts) == {"rmse", "negative", "soft_dtw"}


@pytest.mark.parametrize(("n", "p"), [(30, 8), (8, 30)])
def test_ridge_solves_its_normal_equations(n, p):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, k, generator=generator, dtype=torch.double) for k in (p, 1))
    penalties = [0.01, 1.0]
    for weight, penalty in zip(ridge_path(x, y[:, 0], penalties), penalties, strict=True):
        length = x.square().sum(dim=1).mean()
        gram = x.T @ x + penalty * length * torch.eye(p, dtype=x.dtype)
        torch.testing.assert_close(weight, torch.linalg.solve(gram, x.T @ y[:, 0]))

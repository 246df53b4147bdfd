import numpy as np
import pytest
import torch
import zarr

from workflow_scripts.models.spatial_loss import spatial_correlation_loss
from workflow_scripts.stores.zarr_store import COMPRESSOR
from workflow_scripts.training.clips import ShardedFrames
from workflow_scripts.training.tdann import Sheet, SpatialLoss, SpatialLossOptions


@pytest.fixture
def array(tmp_path):
    """Frames in three shards, the last one not full, with a chunk of zeros that zarr leaves out."""
    frames = np.random.default_rng(0).integers(256, size=(39, 6, 5, 3)).astype(np.uint8)
    frames[20:24] = 0
    array = zarr.create_array(
        tmp_path / "frames", shape=(0, 6, 5, 3), dtype="uint8", chunks=(4, 6, 5, 3),
        shards=(16, 6, 5, 3), compressors=COMPRESSOR,
    )  # fmt: skip
    array.append(frames)
    return array


def test_chunks_are_read_as_zarr_reads_them(array, tmp_path):
    frames = ShardedFrames(tmp_path / "frames")
    for step in (1, 2, 3):
        for start in range(36):
            stop = min(start + 7, 39)
            np.testing.assert_array_equal(frames[start:stop:step], array[start:stop:step])
    np.testing.assert_array_equal(frames[0:39:1], array[:])


def test_a_clip_that_ends_with_the_last_frame_asks_for_no_shard_beyond_it(tmp_path):
    """Its stop, in steps of the stride, lies past the end of a store of full shards."""
    frames = np.arange(32, dtype=np.uint8).reshape(32, 1, 1, 1)
    array = zarr.create_array(
        tmp_path / "frames", shape=(0, 1, 1, 1), dtype="uint8", chunks=(4, 1, 1, 1),
        shards=(16, 1, 1, 1), compressors=COMPRESSOR,
    )  # fmt: skip
    array.append(frames)
    clip = ShardedFrames(tmp_path / "frames")[27 : 27 + 3 * 2 : 2]
    assert clip.ravel().tolist() == [27, 29, 31]


def test_a_flipped_bit_is_not_read(array, tmp_path):
    shard = tmp_path / "frames" / "c" / "0" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RuntimeError):
        ShardedFrames(tmp_path / "frames")[0:16:1]


def test_the_spatial_loss_sees_the_newest_responses_in_order():
    rng = torch.Generator().manual_seed(0)
    positions, units = np.random.default_rng(0).uniform(0, 2, (6, 2)), np.arange(6)
    options = SpatialLossOptions(1.0, 1, queue_length=8, mask_same_channel=False)
    loss = SpatialLoss(Sheet(positions, units, units[None]), options)
    responses = torch.rand(4, 6, generator=rng)
    past = torch.empty(0, 6)
    for _ in range(5):  # of 3 each: wraps around, and drops the oldest
        expected = spatial_correlation_loss(
            responses, torch.as_tensor(positions).float(), past if len(past) else None
        )
        torch.testing.assert_close(loss(responses, rng), expected)
        newest = torch.rand(3, 6, generator=rng)
        loss.enqueue(newest)
        past = torch.cat([past, newest])[-8:]

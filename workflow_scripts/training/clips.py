"""Batches of clips from video stores, drawn so that a step's batch depends on the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr
from numcodecs import Zstd

from workflow_scripts.models.processes import share
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import open_store

ZSTD = Zstd()
MEMORY_BYTES = 2 * 1024**3  # of frames that are kept decompressed


class ClipSource:
    """Reads clips by their row in the clips table.

    Stores that fit into memory together are read once; larger ones are read clip by clip, which
    their chunks are cut for.

    Parameters
    ----------
    clips : Path
        Table with columns ``batch start n_frames stride``.
    batches : sequence of Path
        Video stores, in the order of the table's ``batch`` numbers.
    memory_bytes : int
        Largest size of the frames that are kept decompressed.

    Raises
    ------
    InputError
        The table is empty.
    """

    def __init__(
        self, clips: Path, batches: Sequence[Path], memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.table: pd.DataFrame = read_table(clips)
        if self.table.empty:
            raise InputError(f"{clips}: holds no clip; add videos or shorten clips.n_frames")
        arrays = [open_store(path)["frames"] for path in batches]
        in_memory = sum(array.nbytes for array in arrays) <= memory_bytes
        self._frames = [
            array.to_numpy() if in_memory else ShardedFrames(path / "frames")
            for array, path in zip(arrays, batches, strict=True)
        ]
        self._batch = self.table["batch"].to_numpy()
        self._start = self.table["start"].to_numpy()
        self._stride = self.table["stride"].to_numpy()
        self.n_frames = int(self.table["n_frames"].iloc[0])
        self.n_channels = int(arrays[0].shape[-1])

    def __len__(self) -> int:
        return len(self.table)

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Clips of the given rows → uint8 (clip, channel, time, y, x)."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # decompression drops the GIL
            clips = np.stack(list(pool.map(self._clip, rows)))
        return torch.from_numpy(np.moveaxis(clips, -1, 1).copy())

    def _clip(self, row: int) -> np.ndarray:
        start, stride = self._start[row], self._stride[row]
        frames = self._frames[self._batch[row]]
        return frames[start : start + self.n_frames * stride : stride]

    def batch(self, step: int, batch_size: int, seed: int) -> torch.Tensor:
        """Draw this process's share of one step's batch, without replacement.

        The batch follows from (seed, step) alone: a resumed run needs no state of a loader, and
        the clips of a step do not depend on how many processes read them.
        """
        rng = np.random.default_rng((seed, step))
        replace = batch_size > len(self)
        return self.read(rng.choice(len(self), batch_size, replace=replace)[share(batch_size)])


class ShardedFrames:
    """Frames of a store, read straight from the chunks of its shards.

    As ``zarr.open_array(path)[start:stop:step]``, of which nine tenths of the time are spent on
    scheduling where a clip is two or three chunks. A chunk's checksum is verified.

    Parameters
    ----------
    path : Path
        zarr 3 array (time, y, x, channel) of shards along time whose chunks are compressed by zstd,
        as `ingest_videos` writes it.
    """

    def __init__(self, path: Path) -> None:
        array: Any = zarr.open_array(path, mode="r")
        self._chunk, self._dtype = array.chunks, array.dtype
        self._n_chunks = array.shards[0] // array.chunks[0]  # of a shard
        n_shards = -(-array.shape[0] // array.shards[0])
        self._shards = [
            np.memmap(path / "c" / f"{shard}/0/0/0", np.uint8, "r") for shard in range(n_shards)
        ]

    def __getitem__(self, frames: slice) -> np.ndarray:
        """Frames start to stop in steps, (time, y, x, channel)."""
        length = self._chunk[0]
        steps = (frames.stop - 1 - frames.start) // frames.step
        first, last = frames.start // length, (frames.start + steps * frames.step) // length
        chunks = np.concatenate([self._read(chunk) for chunk in range(first, last + 1)])
        return chunks[frames.start - first * length : frames.stop - first * length : frames.step]

    def _read(self, number: int) -> np.ndarray:
        """One chunk, by the table of (offset, length) and a checksum that end its shard."""
        shard, chunk = divmod(number, self._n_chunks)
        data = self._shards[shard]
        table = data[-16 * self._n_chunks - 4 : -4].view("<u8").reshape(-1, 2)
        offset, size = map(int, table[chunk])
        if size == 2**64 - 1:  # left out by zarr, for it is all zeros
            return np.zeros(self._chunk, self._dtype)
        raw = ZSTD.decode(data[offset : offset + size])
        return np.frombuffer(raw, self._dtype).reshape(self._chunk)

"""Zarr 3 stores: written whole, checksummed, and checked when they are opened."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import MANIFEST, file_hash, stable

# Without the checksum a flipped bit in a chunk is read silently.
COMPRESSOR = ZstdCodec(level=3, checksum=True)


def write_store(
    path: Path,
    dataset: xr.Dataset,
    provenance: dict[str, Any],
    chunks: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Write a dataset as a zarr 3 store, atomically.

    Parameters
    ----------
    path : Path
        Folder to create; an older store there is replaced when the new one is whole.
    dataset : xr.Dataset
        Every variable needs the attributes ``units`` and ``long_name``.
    provenance : dict
        From `stores.provenance.provenance`; becomes the store's attributes.
    chunks : mapping, optional
        Shape of the chunks of large variables.

    Raises
    ------
    InputError
        A variable has no units or no long_name.
    """
    dataset = dataset.assign_attrs(provenance)
    encoding = _encoding(path, dataset, chunks or {})
    with atomic_path(path) as temporary, _quiet():
        dataset.to_zarr(temporary, mode="w", zarr_format=3, consolidated=True, encoding=encoding)
        _write_manifest(temporary)


@contextmanager
def StoreWriter(path: Path, provenance: dict[str, Any]) -> Iterator[zarr.Group]:  # noqa: N802
    """Write a store piece by piece: yields an open group that becomes `path` on a clean exit.

    Create arrays with ``compressors=COMPRESSOR``, ``dimension_names`` and the attributes
    ``units`` and ``long_name``, as `add_array` does, so that xarray opens them.
    """
    with atomic_path(path) as temporary, _quiet():
        group = zarr.open_group(temporary, mode="w", zarr_format=3)
        yield group
        # Opened again: `add_dataset` has written attributes that `group` does not know of.
        zarr.open_group(group.store, mode="r+").attrs.update(provenance)
        zarr.consolidate_metadata(group.store)
        _write_manifest(temporary)


def add_array(
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    *,
    units: str,
    long_name: str,
) -> zarr.Array:
    """Add a single-precision variable to a store that is being written; fill it piece by piece."""
    return group.create_array(
        name,
        shape=shape,
        dtype="float32",
        chunks=chunks,
        compressors=COMPRESSOR,
        dimension_names=dims,
        attributes={"units": units, "long_name": long_name},
    )


def add_dataset(group: zarr.Group, dataset: xr.Dataset) -> None:
    """Add a dataset, its attributes too, to a store that is being written.

    Raises
    ------
    InputError
        A variable has no units or no long_name.
    """
    dataset = dataset.copy()
    encoding = _encoding(group.name, dataset, {})
    dataset.to_zarr(group.store, mode="a", zarr_format=3, consolidated=False, encoding=encoding)


def open_store(path: Path, load: bool = False) -> xr.Dataset:
    """Open a store after checking that it is whole.

    Parameters
    ----------
    path : Path
        Folder written by `write_store` or `StoreWriter`.
    load : bool
        Read everything into memory now, which also verifies every chunk's checksum.

    Raises
    ------
    InputError
        The folder is no such store, or one of its files is missing or has another size. (A chunk
        that is missing would otherwise be read as zeros.) With `load`, also: a chunk is damaged.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    for name, entry in manifest["files"].items():
        file = path / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            state = "truncated or replaced" if file.is_file() else "missing"
            raise InputError(f"{path}: its file {name} is {state}; delete the store and rerun")
    with _quiet():
        dataset = xr.open_zarr(path, consolidated=True, chunks=None)
        try:
            return dataset.load() if load else dataset
        except (RuntimeError, ValueError) as error:  # what the codecs raise
            raise InputError(
                f"{path}: a chunk is damaged ({error}); delete the store and rerun"
            ) from error


def _encoding(
    path: Path | str, dataset: xr.Dataset, chunks: Mapping[str, tuple[int, ...]]
) -> dict[Any, dict[str, Any]]:
    """Check that all variables are described, and say how they are stored."""
    for name, variable in dataset.variables.items():
        missing = [key for key in ("units", "long_name") if key not in variable.attrs]
        if missing:
            raise InputError(f"{path}: variable {name!r} has no {' and no '.join(missing)}")
        if variable.dtype.kind == "U":  # fixed-width strings have no zarr 3 specification yet
            dataset[name] = variable.astype(object)
    return {
        name: {"compressors": [COMPRESSOR]}
        | ({"chunks": chunks[str(name)]} if name in chunks else {})
        for name, variable in dataset.variables.items()
        if variable.ndim
    }


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / MANIFEST).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: no readable {MANIFEST}, so not a finished store; delete it and rerun"
        ) from error


def _write_manifest(root: Path) -> None:
    files = {
        str(file.relative_to(root)): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }
    digest = hashlib.sha256()
    for name, entry in files.items():
        if name == "zarr.json":
            metadata = json.loads((root / name).read_text())
            metadata["attributes"] = stable(metadata["attributes"])
            part = json.dumps(metadata, sort_keys=True)
        else:
            part = entry["sha256"]
        digest.update(f"{name}\0{part}\0".encode())
    manifest = {"content_hash": digest.hexdigest(), "files": files}
    (root / MANIFEST).write_text(json.dumps(manifest, indent=1))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the zarr warnings that every one of our stores would raise for no reason."""
    with warnings.catch_warnings():
        # Consolidated metadata spares a directory listing, and with it .snakemake_timestamp.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr.*")
        yield


def variable(
    dims: str | tuple[str, ...], values: Any, units: str, long_name: str
) -> tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]:
    """Describe a variable for `xr.Dataset`: dims, values and the two required attributes."""
    return dims, np.asarray(values), {"units": units, "long_name": long_name}

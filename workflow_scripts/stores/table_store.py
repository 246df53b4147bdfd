"""Tables as parquet and records as JSON, with the provenance that stores carry."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import stable


def write_table(path: Path, frame: pd.DataFrame, provenance: dict[str, Any]) -> None:
    """Write a table as parquet, atomically; `provenance` goes into the schema's metadata.

    ``frame.attrs`` (JSON-serialisable) is stored beside the provenance and comes back on reading.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False)
    attributes = json.dumps(frame.attrs, sort_keys=True)
    content = hashlib.sha256(_column_bytes(table))
    content.update(json.dumps([attributes, stable(provenance)]).encode())
    metadata = {
        "attrs": attributes,
        "provenance": json.dumps(provenance),
        "content_hash": content.hexdigest(),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _column_bytes(table: pa.Table) -> pa.Buffer:
    """Names, types and values of the columns, without the schema's metadata."""
    bare = table.replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, bare.schema) as stream:
        stream.write_table(bare)
    return sink.getvalue()


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; its stored attributes come back as ``frame.attrs``.

    Raises
    ------
    InputError
        The file is missing, damaged or not parquet.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{path}: not a readable parquet table ({error}); delete and rerun"
        ) from error
    frame = table.to_pandas()
    metadata = table.schema.metadata or {}
    frame.attrs = json.loads(metadata.get(b"attrs", b"{}"))
    return frame


def write_json(path: Path, record: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Write a record as JSON with its provenance and a content hash, atomically.

    NumPy's numbers become Python's; what JSON cannot hold (NaN, infinity) becomes null.
    """
    record = _as_json(record)
    whole = {**record, "content_hash": _json_hash(record, provenance), "provenance": provenance}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON record.

    Raises
    ------
    InputError
        The file is missing, not JSON, or not what its content hash says.
    """
    try:
        whole = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error}); delete and rerun") from error
    if "content_hash" in whole:
        record = {k: v for k, v in whole.items() if k not in ("content_hash", "provenance")}
        if whole["content_hash"] != _json_hash(record, whole.get("provenance", {})):
            raise InputError(f"{path}: damaged, its hash does not agree; delete and rerun")
    return whole


def _json_hash(record: dict[str, Any], provenance: dict[str, Any]) -> str:
    # As it is read back: numbers as keys become text, which sorts otherwise.
    plain = json.loads(json.dumps([record, stable(provenance)], allow_nan=False))
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

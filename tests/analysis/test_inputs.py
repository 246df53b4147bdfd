from pathlib import Path

import pandas as pd
import pytest

from workflow_scripts.analysis.inputs import paired, read_columns
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import write_table


def test_names_and_files_keep_their_order():
    files = [Path("b"), Path("a")]
    assert paired(["first", "second"], files, "files") == [
        ("first", files[0]),
        ("second", files[1]),
    ]


@pytest.mark.parametrize(("names", "n_files"), [(["a", "b"], 1), (["a"], 2), ([], 0)])
def test_a_file_for_each_name_or_an_error(names, n_files):
    with pytest.raises(InputError, match=f"--tuning: {n_files} files for the {len(names)}"):
        paired(names, [Path("t")] * n_files, "tuning")


def test_all_missing_columns_are_named(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, pd.DataFrame({"dsi": [0.5]}), {})
    assert read_columns(path, ["dsi"], "measure_tuning").dsi.tolist() == [0.5]
    with pytest.raises(InputError, match=r"t\.parquet: no column r, layer; rerun measure_tuning"):
        read_columns(path, ["r", "dsi", "layer"], "measure_tuning")

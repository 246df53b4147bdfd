import shutil
from pathlib import Path

import pytest

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.videos import batches_of_videos

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "resources/schemas", tmp_path / "resources/schemas")
    return tmp_path


def make_sheet(root, rows, header="video_id\tpath"):
    for row in rows:
        if (path := row.split("\t")[-1]).endswith(".mp4"):
            (root / path).touch()
    (root / "sheet.tsv").write_text("\n".join([header, *rows]) + "\n")
    return {"source": "sheet.tsv", "exclude": [], "batch_size": 2}


def ids(batches):
    return {name: [video.video_id for video in batch] for name, batch in batches.items()}


def test_a_sheet_is_cut_into_batches_in_its_order(root):
    section = make_sheet(root, ["b\tb.mp4", "a\ta.mp4", "c\tc.mp4"])
    assert ids(batches_of_videos(section, root)) == {"000": ["b", "a"], "001": ["c"]}


def test_adding_and_excluding_a_video_leaves_other_batches_alone(root):
    rows = [f"v{i}\tv{i}.mp4" for i in range(5)]
    before = batches_of_videos(make_sheet(root, rows), root)
    added = batches_of_videos(make_sheet(root, [*rows, "v5\tv5.mp4"]), root)
    assert added["000"] == before["000"]
    assert added["001"] == before["001"]
    excluded = batches_of_videos(make_sheet(root, rows) | {"exclude": ["v0", "v4"]}, root)
    assert ids(excluded) == {"000": ["v1"], "001": ["v2", "v3"]}
    assert excluded["001"] == before["001"]


def test_every_problem_of_a_sheet_is_named_at_once(root):
    section = make_sheet(root, ["a\ta.mp4", "a\tb.mp4", "c\tgone.avi", "{d}\td.mp4", "\te.mp4"])
    with pytest.raises(InputError) as caught:
        batches_of_videos(section, root)
    message = str(caught.value)
    assert "sheet.tsv: 4 problem(s)" in message
    assert "video_id 'a' stands 2 times" in message
    assert "line 4: path: no file" in message
    assert "line 5: video_id" in message
    assert "line 6: video_id" in message


def test_a_sheet_without_its_columns_says_which(root):
    section = make_sheet(root, ["a\ta.mp4"], header="name\tpath")
    with pytest.raises(InputError) as caught:
        batches_of_videos(section, root)
    assert "line 2: video_id: missing" in str(caught.value)
    assert "line 2: name: unknown field" in str(caught.value)


def test_a_folder_tree_is_listed_by_path_whatever_its_names_hold(root):
    for name in ['b c/x\'s "1".MP4', "a/z.webm", "a/notes.txt", "a/$(touch y).mkv"]:
        file = root / "kinetics" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    section = {"source": "kinetics", "exclude": ["a/z.webm"], "batch_size": 10}
    batch = batches_of_videos(section, root)["000"]
    assert [video.video_id for video in batch] == ["a/$(touch y).mkv", 'b c/x\'s "1".MP4']
    assert all(Path(video.path).is_file() for video in batch)


def test_a_raw_array_brings_its_frame_rate(root):
    (root / "a.npy").touch()
    section = make_sheet(
        root, ["a\ta.npy\t12.5", "b\tb.mp4\t"], header="video_id\tpath\tframe_rate_hz"
    )
    (root / "b.mp4").touch()
    array, file = batches_of_videos(section, root)["000"]
    assert array.options()["frame_rate_hz"] == 12.5
    assert "frame_rate_hz" not in file.options()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": "nowhere"}, "nothing at"),
        ({"exclude": ["nobody"]}, "names no known video: nobody"),
        ({"exclude": ["a"]}, "no video is left"),
    ],
)
def test_mistakes_in_the_section_are_named(root, changes, expected):
    section = make_sheet(root, ["a\ta.mp4"]) | changes
    with pytest.raises(InputError, match=expected):
        batches_of_videos(section, root)

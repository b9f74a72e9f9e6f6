from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from napari_tomodrgn.data.star import StarBlocks, read_star, write_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError

SMALL = """# Created by hand

# version 50001

data_optics

loop_
_rlnOpticsGroup #1
_rlnName\t#2
1   one
2   two

# version 50001

data_particles

loop_
_rlnA #1
_rlnB #2
  1.50   0012

\t2.250\tdata_x
-1e-3 name#1
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str | bytes, name: str = "a.star") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def test_values_stay_the_text_of_the_file(write) -> None:
    blocks = read_star(write(SMALL.replace("name#1", "name")))
    assert list(blocks) == ["optics", "particles"]
    assert blocks["particles"]["rlnA"].tolist() == ["1.50", "2.250", "-1e-3"]
    assert blocks["particles"]["rlnB"].tolist() == ["0012", "data_x", "name"]


def test_a_row_may_begin_with_a_name_like_a_header(write) -> None:
    text = "data_\nloop_\n_rlnTomoName\n_rlnB\ndata_1.tomostar 1\ndata_2.tomostar 2\n"
    assert read_star(write(text))[""]["rlnTomoName"].tolist() == [
        "data_1.tomostar",
        "data_2.tomostar",
    ]


def test_quotes_comments_and_hashes_inside_values(write) -> None:
    text = SMALL + "'two words' \"it's\"  # a remark\n"
    frame = read_star(write(text))["particles"]
    assert frame["rlnA"].tolist() == ["1.50", "2.250", "-1e-3", "two words"]
    assert frame["rlnB"].tolist() == ["0012", "data_x", "name#1", "it's"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_byte_order_mark(write, ending: str, mark: bytes) -> None:
    blocks = read_star(write(mark + SMALL.replace("\n", ending).encode()))
    assert len(blocks["particles"]) == 3


def test_key_value_blocks(write) -> None:
    blocks = read_star(write("data_general\n\n_rlnA  1\n_rlnB\t'x y'  # why\n\ndata_\n_rlnC 2\n"))
    assert blocks == {"general": {"rlnA": "1", "rlnB": "x y"}, "": {"rlnC": "2"}}


def test_an_empty_loop_has_its_columns(write) -> None:
    frame = read_star(write("data_\nloop_\n_rlnA #1\n_rlnB #2\n"))[""]
    assert list(frame.columns) == ["rlnA", "rlnB"]
    assert len(frame) == 0


def test_equal_to_starfile_where_that_reads_correctly(write) -> None:
    path = write(SMALL.replace("name#1", "name"))
    ours, theirs = read_star(path), starfile.read(path, parse_as_string=["rlnA", "rlnB", "rlnName"])
    for name, block in theirs.items():
        assert block.astype(str).to_numpy().tolist() == ours[name].to_numpy().tolist()


def test_round_trip_keeps_text_order_and_version_comments(write, tmp_path: Path) -> None:
    blocks = read_star(write(SMALL + "'two words' \"it's\"\n"))
    write_star(tmp_path / "b.star", blocks)
    again = read_star(tmp_path / "b.star")
    assert list(again) == list(blocks)
    for name, block in blocks.items():
        pd.testing.assert_frame_equal(again[name], block)
    assert again.comments["particles"] == ("# version 50001",)
    assert starfile.read(tmp_path / "b.star")["particles"].shape == (4, 2)


def test_real_files_read_and_written_letter_for_letter(real_data: Path, tmp_path: Path) -> None:
    for path in sorted(real_data.glob("*/*.star")):
        blocks = read_star(path)
        write_star(tmp_path / "copy.star", blocks)
        assert (tmp_path / "copy.star").read_text().split() == path.read_text().split()
        for name, block in starfile.read(path, always_dict=True).items():
            if isinstance(block, dict):
                continue
            table = StarTable(path, name, blocks[name])
            for column in block.columns:
                if block[column].dtype.kind in "if":
                    np.testing.assert_array_equal(table.numbers(column), block[column])
                else:
                    assert table.frame[column].tolist() == block[column].tolist()


LOOP = "data_\nloop_\n_rlnA\n_rlnB\n"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "empty-file", "empty"),
        (" \n\n", "empty-file", "empty"),
        (b"MAP \0\0\1\2" * 200, "not-star", "binary"),
        (b"data_\n" + b"x" * 5000 + b"\0", "not-star", "NUL"),
        ("<!DOCTYPE html>\n<html></html>", "not-star", "<!DOCTYPE html>"),
        ("a,b,c\n1,2,3\n", "not-star", "not a STAR file"),
        ("data_\n_rlnA f\xfcnf\n".encode("latin-1"), "not-star", "UTF-8"),
        (LOOP + "1 2\n3\n", "bad-star", "1 values in row 2, but 2 columns"),
        (LOOP + "1 2\n3 4 5\n", "bad-star", "3 values in row 2"),
        (LOOP + "1 2 # x\n\n3 4 5\n", "bad-star", "3 values in row 2"),
        ("data_\nloop_\n_rlnA\n_rlnA\n1 2\n", "bad-star", "rlnA twice"),
        ("data_x\n_rlnA 1\ndata_x\n_rlnA 1\n", "duplicate-block", "data_x"),
        ("data_x\nloop_\n1 2\n", "bad-star", "names no columns"),
        ("data_x\n_rlnA 1\nloop_\n_rlnB\n1\n", "bad-star", "loop"),
        ("data_x\nstray words\n", "bad-star", "stray"),
        (LOOP + ";\nlong text\n;\n2\n", "bad-star", "several lines"),
    ],
)
def test_bad_files(write, text: str | bytes, code: str, words: str) -> None:
    path = write(text)
    with pytest.raises(BadInputError) as caught:
        read_star(path)
    assert caught.value.code == code
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.star", tmp_path):
        with pytest.raises(BadInputError, match="cannot be read"):
            read_star(path)


class TestTable:
    def table(self, **columns: list[str]) -> StarTable:
        return StarTable(Path("f.star"), "particles", pd.DataFrame(columns, dtype="str"))

    def test_numbers(self) -> None:
        table = self.table(rlnA=["1", "-2.5e3", "+4.0"])
        np.testing.assert_array_equal(table.numbers("rlnA"), [1.0, -2500.0, 4.0])
        np.testing.assert_array_equal(table.numbers("rlnNone", 7.0), [7.0, 7.0, 7.0])

    @pytest.mark.parametrize("value", ["nan", "NaN", "inf", "<NA>", "", "x", "1,5", "1e300"])
    def test_what_is_not_a_number_is_named(self, value: str) -> None:
        with pytest.raises(BadInputError, match=r"column rlnA of block data_particles, row 2"):
            self.table(rlnA=["1", value]).numbers("rlnA")

    def test_missing_column_says_what_is_there(self) -> None:
        with pytest.raises(BadInputError, match=r"no column rlnB .* found rlnA"):
            self.table(rlnA=["1"]).numbers("rlnB")

    def test_empty_text_is_named(self) -> None:
        with pytest.raises(BadInputError, match="row 2, is empty"):
            self.table(rlnA=["x", ""]).texts("rlnA")

    def test_constant_refuses_what_differs(self) -> None:
        assert self.table(rlnA=["2", "2.0001"]).constant("rlnA") == pytest.approx(2.0, rel=1e-3)
        with pytest.raises(BadInputError, match="row 3") as caught:
            self.table(rlnA=["2", "2", "3"]).constant("rlnA")
        assert caught.value.code == "mixed-optics"


def test_comments_of_plain_dicts_are_optional(tmp_path: Path) -> None:
    write_star(tmp_path / "a.star", {"x": {"rlnA": ""}})
    assert read_star(tmp_path / "a.star") == StarBlocks({"x": {"rlnA": ""}})

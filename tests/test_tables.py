import codecs
import csv
import gzip
import os
import re
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biranet import tables
from biranet.errors import InputError
from biranet.grades import parse_grade
from biranet.spreadsheet_cells import as_cell, from_cell
from biranet.tables import parse_cells, read_header, read_rows, read_table, write_table


@pytest.fixture
def table_file(tmp_path):
    """Function that writes a table as given and says where it is."""

    def write(content):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_rows_with_more_values_than_columns_are_refused_and_a_byte_order_mark_is_not(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("\ufefffile,grade\na.jpg,1\nb.jpg,2,3\n", encoding="utf-8")
    rows = read_rows(path, ["file"])
    assert next(rows) == {"file": "a.jpg", "grade": "1"}
    with pytest.raises(InputError, match=r"rows\.csv, line 3: there are more values than columns"):
        next(rows)


def test_every_value_stays_the_text_it_was(table_file):
    table = read_table(table_file("file,group,note\n001.jpg,001,NA\n2.jpg,1e3,\n3.jpg, null ,nan\n"), ["file"])
    assert table.to_dict("list") == {
        "file": ["001.jpg", "2.jpg", "3.jpg"],
        "group": ["001", "1e3", " null "],
        "note": ["NA", "", "nan"],
    }


def test_the_index_is_the_row_that_a_spreadsheet_shows(table_file):
    table = read_table(table_file("file\na\n\nb\n,\n  \nc\n"))
    assert list(table.index) == [2, 4, 7]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbffile,grade\na.jpg,1\n",
        b'\xef\xbb\xbf"file","grade"\r\n"a.jpg","1"\r\n',
        b"file,grade,,\na.jpg,1,,\n",
        b" file , grade\na.jpg,1",
        b"file,grade\na.jpg,1,,,\n",
        b",file,grade\n0,a.jpg,1\n",
        b"file,grade\n\n\na.jpg,1\n\n",
    ],
    ids=[
        "byte-order mark",
        "mark and quotes",
        "trailing commas",
        "spaces",
        "long row",
        "nameless index",
        "empty lines",
    ],
)
def test_tables_as_programs_write_them(table_file, content):
    assert read_table(table_file(content), ["file", "grade"]).to_dict("records") == [{"file": "a.jpg", "grade": "1"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "file;grade;note\na.jpg;1;b, c\n"),
        ("a.csv", "file\tgrade\tnote\na.jpg\t1\tb, c\n"),
        ("a.tsv", "file\tgrade\tnote\na.jpg\t1\tb, c\n"),
        ("a.TAB", 'file\tgrade\tnote\n"a.jpg"\t1\t"b, c"\n'),
        ("a.tsv", 'file,grade,note\na.jpg,1,"b, c"\n'),
        ("a.txt", 'file\tgrade\t"note"\na.jpg\t1\tb, c\n'),
        ("a.csv", '"file";"grade";"note"\na.jpg;1;b, c\n'),
    ],
)
def test_values_are_separated_as_the_header_says(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    assert read_table(path).to_dict("records") == [{"file": "a.jpg", "grade": "1", "note": "b, c"}]
    assert read_header(path) == ("file", "grade", "note")


@pytest.mark.parametrize(
    ("name", "header", "columns"),
    [
        ("a.csv", 'file,"grade; tab\tor comma,",c\n', ("file", "grade; tab\tor comma,", "c")),
        ("a.csv", "file,left;right\n", ("file", "left;right")),
        ("a.tsv", "file\tleft;right, both\n", ("file", "left;right, both")),
        ("a.tsv", "file\n", ("file",)),
        ("a.csv", ",file,,\n", ("file",)),
        ("a.csv", "", ()),
    ],
)
def test_headers_that_hold_several_separators_go_by_the_ending(tmp_path, name, header, columns):
    path = tmp_path / name
    path.write_text(header)
    assert read_header(path) == columns


def test_the_header_of_what_is_no_table_is_empty(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    for name in ("a.csv", "a.parquet", "gone.csv", "gone.parquet", "."):
        assert read_header(tmp_path / name) == ()


@pytest.fixture
def parquet_file(tmp_path):
    """A Parquet table with values of every kind, and its rows as text."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "labels.parquet"
    pd.DataFrame(
        {
            "file": ["001.jpg", "b.jpg", None],
            "grade": pd.array([3, None, 0], dtype="Int64"),
            "score": [3.0, None, 0.5],
            "seen": [True, False, True],
            "on": pd.to_datetime(["2020-01-02", None, "2021-03-04"]).date,
            "picture": [b"\xff\xd8", b"", None],
            "boxes": [[1, 2], [], None],
            "image": [{"bytes": b"\xff", "path": "a"}, None, None],
        }
    ).to_parquet(path)
    return path


def test_parquet_values_become_text(parquet_file):
    table = read_table(parquet_file, ["file", "grade"])
    assert table.to_dict("list") == {
        "file": ["001.jpg", "b.jpg", ""],
        "grade": ["3", "", "0"],
        "score": ["3.0", "", "0.5"],
        "seen": ["True", "False", "True"],
        "on": ["2020-01-02", "", "2021-03-04"],
    }
    assert list(table.index) == [1, 2, 3]
    assert read_header(parquet_file) == tuple(table.columns)
    assert parse_cells(table, "grade", parquet_file, parse_grade) == [3, None, 0]


def test_a_parquet_text_that_is_no_utf8_is_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    names = pa.array([b"a\xff.jpg"]).view(pa.string())
    parquet.write_table(pa.table({"file": names}), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match="is not a Parquet table that can be read"):
        read_table(tmp_path / "labels.parquet")


def test_wrong_parquet(parquet_file, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no column 'level'; its columns are: file, grade"):
        read_table(parquet_file, ["level"])
    with pytest.raises(InputError, match=r"cannot read .*gone\.parquet"):
        read_table(tmp_path / "gone.parquet")
    pd.DataFrame({"file": []}).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(InputError, match=r"empty\.parquet has no rows"):
        read_table(tmp_path / "empty.parquet")
    data = parquet_file.read_bytes()
    for damaged in (data[:-40], data[:4] + bytes(len(data) - 200) + data[-196:]):
        parquet_file.write_bytes(damaged)
        with pytest.raises(InputError, match="is not a Parquet table"):
            read_table(parquet_file)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs pyarrow; install it with: pip install .biranet\[parquet\]"):
        read_table(parquet_file)


def test_a_short_row_has_empty_values_at_its_end(table_file):
    table = read_table(table_file("file,grade,group\na.jpg\nb.jpg,1\n"))
    assert table.to_dict("list") == {"file": ["a.jpg", "b.jpg"], "grade": ["", "1"], "group": ["", ""]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,grade\na.jpg,1\nb,c.jpg,2\n", "row 3: 3 values for 2 columns"),
        ("file,grade,file\na.jpg,1,b.jpg\n", "two columns named 'file'"),
        ("file,grade, grade \na.jpg,1,1\n", "two columns named 'grade'"),
        ("image,level\na,1\n", "no column 'file'; its columns are: image, level"),
        ("file;grade\na;1\nb,1\n", "row 3: 'b,1' is separated by commas, but the header by semicolons"),
        ("file\tgrade\na,1\n", "row 2: 'a,1' is separated by commas, but the header by tabs"),
        ("", "no column 'file'; its columns are: none"),
        ("\n\n", "no column 'file'"),
        ("file,grade\n", "no rows below its header"),
        ("file,grade\n,\n  ,\n", "no rows below its header"),
        (b"file,grade\ncaf\xe9.jpg,1\n", "not a CSV table in UTF-8"),
        (b"file,grade\na,1\ncaf\xe9.jpg,1\n", r"\(line 3 holds the byte 0xe9\); save it as CSV in UTF-8"),
        ("file,grade\na,1\n".encode("utf-16-le"), "its first line holds zeros"),
        ("file,grade\na,1\n".encode("utf-32"), "its first line holds zeros"),
        ("file,grade\na,1\n".encode("utf-16")[:-1], "not a CSV table in UTF-8"),
        ('file,grade\nb,0\n"a.jpg,1\nc,2\n', "row 3: a quotation mark is opened and not closed"),
        ('file,grade\n"a" b.jpg,1\n', "row 2: a quotation mark inside of a cell is not doubled"),
        ("file,grade\na.jpg," + "1" * 200_000 + "\n", "row 2: a cell has more than 131,072 letters"),
        (b"PK\x03\x04" + bytes(26) + b"trainLabels.csv", "is an archive; unpack it, and name what is in it"),
        (gzip.compress(b"file,grade\na,1\n", mtime=0), "is an archive; unpack it"),
        (bytes(257) + b"ustar", "is an archive; unpack it"),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "is a spreadsheet; save its table as CSV in UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet"),
    ],
)
def test_what_is_no_table_is_one_sentence_with_the_file(table_file, content, words):
    path = table_file(content)
    with pytest.raises(InputError, match=words) as caught:
        read_table(path, ["file", "grade"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "sep=;\r\nfile;grade;note\r\na.jpg;1;b, c\r\n".encode("utf-8-sig")),
        ("a.csv", b"SEP=;;;\nfile;grade;note\na.jpg;1;b, c\n"),
        ("a.csv", b'"sep=|"\nfile|grade|note\na.jpg|1|b, c\n'),
        ("a.tsv", b'sep=,\rfile,grade,note\ra.jpg,1,"b, c"\r'),
        ("a.csv", b"sep=\t\nfile\tgrade\tnote\na.jpg\t1\tb, c\n"),
        ("Unicode text.txt", "file\tgrade\tnote\r\na.jpg\t1\tb, c\r\n".encode("utf-16")),
        ("a.csv", codecs.BOM_UTF16_BE + "sep=;\nfile;grade;note\na.jpg;1;b, c\n".encode("utf-16-be")),
    ],
)
def test_tables_as_a_spreadsheet_writes_them(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path, ["file"])
    assert table.to_dict("records") == [{"file": "a.jpg", "grade": "1", "note": "b, c"}]
    assert list(table.index) == [2]  # as the spreadsheet shows it, which hides the first line
    assert read_header(path) == ("file", "grade", "note")


def test_a_header_of_any_length_is_read_whole(table_file):
    names = [f"c{number}" for number in range(30_000)]
    path = table_file(f"sep=;\n{';'.join(names)};file;grade\n{';' * 30_000}a.jpg;1\n")
    assert read_header(path) == (*names, "file", "grade")
    assert read_table(path, ["file", "grade"])["file"].tolist() == ["a.jpg"]


def test_columns_are_listed_shortly_and_without_orders_to_the_terminal(table_file):
    path = table_file(",".join(["\x1b[2Jall well", "y" * 500, *map(str, range(100))]) + "\n1\n")
    with pytest.raises(InputError) as caught:
        read_table(path, ["file"])
    assert str(caught.value).endswith(f"'\\x1b[2Jall well', {'y' * 60}, {', '.join(map(str, range(28)))} and 72 more")


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_nobody_waits_for_what_is_no_file(tmp_path, name, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    assert read_header(tmp_path / name) == ()
    for read in (read_table, lambda path: next(read_rows(path))):
        with pytest.raises(InputError, match=rf"cannot read .*{name}: it is no regular file"):
            read(tmp_path / name)


def test_a_text_that_is_too_long_is_not_read(tmp_path):
    with (tmp_path / "labels.csv").open("wb") as file:
        file.truncate(10**12)  # it takes no room on the disk
    with pytest.raises(InputError, match="is longer than 1,000 MB"):
        read_table(tmp_path / "labels.csv")


def test_a_parquet_table_is_asked_for_its_size_first(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    # The same value ten million times takes as many bytes as once.
    monkeypatch.setattr(tables, "_MAX_CELLS", 5)
    pd.DataFrame({"file": ["a.jpg"] * 3, "grade": [1] * 3}).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(InputError, match="has 6 cells, more than a table of photos has"):
        read_table(tmp_path / "labels.parquet")


def test_the_index_of_a_data_frame_is_a_column_like_others(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"file": ["a.jpg"], "grade": [1]}).set_index("file").to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").to_dict("records") == [{"grade": "1", "file": "a.jpg"}]


@pytest.mark.parametrize("place", ["missing.csv", "."])
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path, place):
    with pytest.raises(InputError, match="cannot read"):
        read_table(tmp_path / place)


def test_a_grade_of_7_names_file_row_and_column(table_file):
    path = table_file("file,dr grade\na.jpg,1\n\nb.jpg,7\nc.jpg,9\n")
    with pytest.raises(InputError) as caught:
        parse_cells(read_table(path), "dr grade", path, parse_grade)
    assert str(caught.value) == f"{path}, row 4, column 'dr grade': '7' is not a grade from 0 to 4"


def test_grades_keep_their_rows_and_their_gaps(table_file):
    path = table_file("file,grade\na,0\n\nb,\nc,4.0\n")
    table = read_table(path)
    assert parse_cells(table, "grade", path, parse_grade) == [0, None, 4]
    assert list(table.index) == [2, 4, 5]


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(st.tuples(cells.filter(str.strip), cells), min_size=1, max_size=4))
def test_any_text_goes_out_and_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    write_table(path, pd.DataFrame(rows, columns=["file", "note"], dtype=object))
    assert list(read_table(path).itertuples(index=False, name=None)) == rows
    # Not only our own reader must find the rows.
    with path.open(newline="", encoding="utf-8") as file:
        assert [tuple(map(from_cell, row)) for row in csv.reader(file)][1:] == rows
    assert [tuple(row.values()) for row in read_rows(path)] == rows


formulas = st.text("'=+-@\t\r\n.,1eif a\uff1d", max_size=6)


@settings(deadline=None, max_examples=300)
@given(formulas)
def test_no_cell_is_a_formula_and_each_comes_back(text):
    cell = as_cell(text)
    assert from_cell(cell) == text
    if cell[:1] in tuple("=+-@\t\r\n\uff1d"):
        assert cell in ("", "+", "-") or re.fullmatch(r"[-+]([\d.,]+(e[-+]?\d+)?|inf)", cell)


def test_formulas_are_neutral_in_cells_and_in_the_header(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"file": ["=cmd()", "@x", "-1+2", "+a"], "=1": ["-1.5", "'-1.5", "-", "+1e-3"]}))
    assert path.read_text() == "file,'=1\n'=cmd(),-1.5\n'@x,''-1.5\n'-1+2,-\n'+a,+1e-3\n"
    assert read_header(path) == ("file", "=1")
    assert list(read_rows(path, ["=1"])) == read_table(path, ["=1"]).to_dict("records")
    write_table(path, pd.DataFrame({"x": [-1.5, float("-inf"), -2e-9]}))
    assert path.read_text() == "x\n-1.5\n-inf\n-2e-09\n"


def test_numbers_come_back_exactly(tmp_path):
    path = tmp_path / "numbers.csv"
    probabilities = np.random.default_rng(1).random(1000, dtype=np.float32)
    grades = pd.array([0, None, 4] * 333 + [1], dtype="Int64")
    write_table(path, pd.DataFrame({"p0": probabilities, "grade": grades}))
    back = read_table(path)
    assert np.array_equal(back["p0"].astype(np.float32), probabilities)
    assert back["grade"].tolist()[:3] == ["0", "", "4"]


def test_lines_end_alike_on_every_machine(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"file": ["a", "b"], "grade": [1, 2]}))
    assert path.read_bytes() == b"file,grade\na,1\nb,2\n"


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_table(path, pd.DataFrame({"file": ["caf\udce9.jpg"]}))
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_json_lines_are_read_as_tables_are(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_bytes('{"file": "a\u2028.jpg", "p0": 1e-05, "n": null}\r\n\n{"file": "001", "grade": 2}\n'.encode())
    table = read_table(path, ["file", "grade"])
    assert table.to_numpy().tolist() == [["a\u2028.jpg", "1e-05", "", ""], ["001", "", "", "2"]]
    assert list(table) == ["file", "p0", "n", "grade"] and list(table.index) == [1, 2]
    assert read_header(path) == ("file", "p0", "n")


def test_a_number_that_names_somebody_stays_whole_where_another_is_missing(tmp_path):
    frame = pd.DataFrame({"patient": [1, 2, None], "p0": [0.5, 1.0, None], "note": [None, None, None]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.parquet", "a.jsonl"):
        texts = read_table(tmp_path / name, ["patient"]).to_numpy().tolist()
        assert texts == [["1", "0.5", ""], ["2", "1.0", ""], ["", "", ""]]


@pytest.mark.parametrize(
    "line", ["", "7", "{", '{"file": ["a"]}', '{"file": {"a": 1}}', '{"file": "\\ud800"}', "[" * 99_999]
)
def test_what_is_no_table_of_json_lines_is_refused(tmp_path, line):
    path = tmp_path / "table.jsonl"
    path.write_text(f'{{"file": "a"}}\n{line}\n' if line else "")
    with pytest.raises(InputError, match=r"table\.jsonl, row 2 is no row of JSON lines: " if line else "column|rows"):
        read_table(path, ["file"])

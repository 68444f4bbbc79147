import pytest

from biranet.errors import InputError
from biranet.photos.datasets import LabelSource, read_labels


@pytest.fixture
def table(photos, lay, tmp_path):
    """Function that makes a table of a photo for each value of its column `level`, and reads it."""

    def table(*values, **given):
        lay(photos, *(f"{number}.jpg" for number in range(len(values))))
        text = "file,level\n" + "".join(f"{number}.jpg,{value}\n" for number, value in enumerate(values))
        labels = lay(tmp_path, texts={"l.csv": text}) / "l.csv"
        found = read_labels(photos, LabelSource(labels, columns={"grade": "level"}, **given)).photos
        return [photo.ungradable or photo.grade for photo in found]

    return table


def test_a_scale_that_begins_with_one(table):
    given = {str(grade + 1): str(grade) for grade in range(5)}
    assert table(1, 2, "3.0", 4, 5, "NA", grades=given) == [0, 1, 2, 3, 4, None]


def test_values_that_mean_ungradable(table):
    reason = "the labels say that it cannot be graded"
    assert table(0, -1, "-1.0", 5, "", "NA", ungradable=["-1", "5", "na"]) == [0, reason, reason, reason, None, reason]


@pytest.mark.parametrize(
    ("values", "given", "words"),
    [
        ([0, 5], {}, "l.csv, row 3, column 'level': '5' is not a grade from 0 to 4; where the scale begins with 1"),
        ([0, 1], {"grades": {"0": "0"}}, "row 3, column 'level': '1' is not among the values of --grades"),
        ([0, 1], {"grades": {"0": "0", "1": "1", "Mlid": "1"}}, "--grades Mlid=1: no label has this value"),
        ([0, 1], {"ungradable": ["-1"]}, "--ungradable -1: no label has this value"),
        ([0], {"grades": {"0": "7"}}, "--grades 0=7: '7' is not a grade from 0 to 4"),
        ([0], {"grades": {"0": "NA"}}, "--grades 0=NA: 'NA' is not a grade from 0 to 4"),
        ([0], {"grades": {"No DR": "0", "no_dr": "1"}}, "--grades No DR=0 and --grades no_dr=1 give one value two"),
        (
            [0],
            {"grades": {"5": "4"}, "ungradable": ["5"]},
            "--grades 5=4 and --ungradable 5 give one value two meanings",
        ),
        (["None", "mild"], {}, "row 3, column 'level': 'None' stands among words such as 'mild'"),
        (["mild", "none"], {}, "row 3, column 'level': 'none' stands among words such as 'mild'"),
    ],
)
def test_wrong_scales(table, values, given, words):
    with pytest.raises(InputError) as caught:
        table(*values, **given)
    assert words in str(caught.value)

import pytest

from biranet.errors import InputError
from biranet.words import parse_eye


@pytest.mark.parametrize(
    ("written", "eye"),
    [
        *(
            (text, "right")
            for text in ("right", "R", "OD", "O.D.", "re", "RE", "Right eye", "right_eye", "oculus dexter")
        ),
        *((text, "left") for text in ("left", " L ", "OS", "o.s.", "LE", "Left-Eye", "OI", "OG", "OE", "\u5de6\u773c")),
        *((text, "") for text in ("", "NA", "nan", "unknown", "U", "?")),
    ],
)
def test_eyes_are_read_as_people_write_them(written, eye):
    assert parse_eye(written) == eye


@pytest.mark.parametrize("wrong", ["1", "2", "0", "both", "B", "eye", "left and right", "x", "male"])
def test_what_is_no_eye_is_named(wrong):
    with pytest.raises(InputError, match="is not an eye") as caught:
        parse_eye(wrong)
    assert repr(wrong) in str(caught.value)
    assert ("other sets" in str(caught.value)) == wrong.isdigit()

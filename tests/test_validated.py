"""What is wrong in the values of a file is said in one sentence."""

import dataclasses

import pytest

from biranet.errors import InputError
from biranet.validated import STRICT, validated


@dataclasses.dataclass(frozen=True)
class Inner:
    __pydantic_config__ = STRICT

    share: float = 0.5

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise InputError(f"the share must lie between 0 and 1, not {self.share}")


@dataclasses.dataclass(frozen=True)
class Outer:
    __pydantic_config__ = STRICT

    count: int
    parts: tuple[Inner, ...] = ()
    named: dict[str, Inner] = dataclasses.field(default_factory=dict)
    last: Inner | None = None


def test_plain_values_become_dataclasses():
    values = {"count": 3, "parts": [{"share": 1}], "named": {"a": {}}}
    assert validated(Outer, values, "here") == Outer(3, (Inner(1.0),), {"a": Inner()})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "here: count: Field required"),
        ({"count": 3, "parts": [{}, {"share": 2}]}, "here: parts.1: the share must lie between 0 and 1, not 2.0"),
        (
            {"count": 3, "trunk": "x"},
            "here: there is no setting 'trunk', which is backbone now; known here are: count, parts, named, last",
        ),
        ({"count": 3, "cuont": 4}, "here: there is no setting 'cuont'; known here are: count, parts, named, last"),
        ({"count": 3, "parts": [{"x": 1}]}, "here: there is no setting 'parts.0.x'; known here are: share"),
        ({"count": 3, "named": {"a": {"x": 1}}}, "here: there is no setting 'named.a.x'; known here are: share"),
        ({"count": 3, "last": {"x": 1}}, "here: there is no setting 'last.x'; known here are: share"),
        ({"count": 3, "\x1b[2J": 4}, r"here: there is no setting '\x1b[2J'; known here are: count, parts, named, last"),
        ([1], "here: Input should be a dictionary or an instance of Outer"),
        (None, "here: Input should be a dictionary or an instance of Outer"),
    ],
)
def test_what_is_wrong_is_one_sentence(values, sentence):
    with pytest.raises(InputError) as caught:
        validated(Outer, values, "here")
    assert str(caught.value) == sentence


def test_a_key_of_a_dictionary_cannot_write_to_the_terminal():
    with pytest.raises(InputError) as caught:
        validated(Outer, {"count": 3, "named": {"\x1b[2J": {"share": "much"}}}, "here")
    assert str(caught.value).isprintable()

"""What compares values compares all of them."""

import pytest

from near import near


@pytest.mark.parametrize("kind", [list, tuple])
def test_near_looks_into_everything(kind):
    assert {"a": kind([1.0, kind([2.0, "b"])])} == near({"a": kind([1 + 1e-8, kind([2 - 1e-8, "b"])])})
    assert {"a": kind([1.0, kind([2.0, "b"])])} != near({"a": kind([1.0, kind([2.1, "b"])])})

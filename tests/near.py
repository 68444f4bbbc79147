"""Values compared but for their last digits, which hang on the machine."""

import pytest


def near(value):
    """What equals a value, however nested, but for the last digits of its numbers."""
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(near(each) for each in value)
    return pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value

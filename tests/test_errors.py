import pickle

import pytest

from biranet.errors import BiranetError, InputError, InterruptedRunError, PhotoError, RefusedError


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("x"), 2), (RefusedError("x"), 1), (InterruptedRunError("x"), 130), (PhotoError("no_field", "x"), 2)],
)
def test_every_error_is_one_family_with_its_exit_status(error, status):
    assert isinstance(error, BiranetError)
    assert error.exit_status == status
    assert str(error) == "x"


def test_a_recipe_checker_sees_wrong_input_as_a_value_error():
    # pydantic turns only a ValueError of a cross-field check into its own error, which names the setting.
    assert issubclass(InputError, ValueError)


def test_a_photo_error_passes_between_processes():
    error = pickle.loads(pickle.dumps(PhotoError("no_field", "it is black")))
    assert (error.status, error.reason, str(error)) == ("no_field", "it is black", "it is black")

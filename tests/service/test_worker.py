"""What a worker does with parcels, without a process."""

import io

import pytest
from PIL import Image

import biranet
from biranet.photos.drawn.synthetic import draw_photo
from biranet.service.parcels import Parcel, Photo
from biranet.service.worker import Fault, _grade_parcels


def parcel(grade, *, draw=False, broken=False):
    buffer = io.BytesIO()
    Image.fromarray(draw_photo(grade=grade, seed=grade)).save(buffer, "JPEG")
    # What nobody foresaw, in place of the bytes of a file.
    return Parcel([Photo(str(grade), None if broken else buffer.getvalue())], draw)


@pytest.mark.parametrize("together", [False, True])
def test_a_fault_touches_its_own_request_alone(together):
    parcels = [parcel(0, draw=True), parcel(1, broken=True), parcel(4)]
    first, fault, last = _grade_parcels(biranet.load(), parcels, together=together)
    assert isinstance(fault, Fault) and ".py, line " in fault.summary
    assert [first[0].prediction.status, last[0].prediction.status] == ["ok", "ok"]
    assert first[0].view.jpeg and last[0].view is None


def test_photos_that_are_computed_together_stay_apart():
    apart = _grade_parcels(biranet.load(), [parcel(0, draw=True), parcel(4)], together=False)
    both = _grade_parcels(biranet.load(), [parcel(0, draw=True), parcel(4)], together=True)
    for [one], [other] in zip(apart, both, strict=True):
        assert one.prediction.file == other.prediction.file
        assert one.prediction.probabilities == pytest.approx(other.prediction.probabilities, abs=1e-6)
    assert both[0][0].view.layers and both[1][0].view is None

"""Masks of lesions as data sets publish them."""

import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.photos.datasets.masked import find_masked_photos

IDRID = "A. Segmentation/{}/a. Training Set"
IMAGES, TRUTHS = IDRID.format("1. Original Images"), IDRID.format("2. All Segmentation Groundtruths")


def listed(found):
    return [(photo.file.rpartition("/")[2], "".join(photo.masks), photo.split) for photo in found.photos]


def test_idrid_as_published(photos, lay):
    lay(
        photos,
        f"{IMAGES}/IDRiD_01.jpg",
        f"{IMAGES}/IDRiD_02.jpg",
        f"{IMAGES}/IDRiD_03.jpg",
        f"{TRUTHS}/1. Microaneurysms/IDRiD_01_MA.tif",
        f"{TRUTHS}/1. Microaneurysms/IDRiD_02_MA.tif",
        f"{TRUTHS}/4. Soft Exudates/IDRiD_02_SE.tif",
        f"{TRUTHS}/5. Optic Disc/IDRiD_01_OD.tif",
        f"{IMAGES.replace('a. Training', 'b. Testing')}/IDRiD_55.jpg",
        f"{TRUTHS.replace('a. Training', 'b. Testing')}/3. Hard Exudates/IDRiD_55_EX.tif",
        # The grading task numbers other photos in its own way.
        "B. Disease Grading/1. Original Images/a. Training Set/IDRiD_001.jpg",
    )
    found = find_masked_photos(photos)
    assert listed(found) == [
        ("IDRiD_01.jpg", "MAOD", "train"),
        ("IDRiD_02.jpg", "MASE", "train"),
        ("IDRiD_55.jpg", "EX", "test"),
    ]
    assert found.photos[0].masks["MA"] == (f"{TRUTHS}/1. Microaneurysms/IDRiD_01_MA.tif", None)
    # Nobody has drawn haemorrhages here, so no photo is without them.
    assert {photo.drawn for photo in found.photos} == {("MA", "EX", "SE", "OD")}
    assert found.unmasked == [f"{IMAGES}/IDRiD_03.jpg"]


def test_visits_of_idrid_are_those_of_its_grading_task(photos, lay):
    lay(
        photos,
        f"{TRUTHS}/1. Microaneurysms/IDRiD_01_MA.tif",
        f"{TRUTHS}/1. Microaneurysms/IDRiD_02_MA.tif",
        f"{TRUTHS.replace('a. Training', 'b. Testing')}/1. Microaneurysms/IDRiD_55_MA.tif",
    )
    comments = {
        "a. Training Set/IDRiD_01": b"visit 1",
        "a. Training Set/IDRiD_02": b"2",
        "b. Testing Set/IDRiD_55": b"2",
    }
    for name, comment in comments.items():
        path = photos / "A. Segmentation" / "1. Original Images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, comment=comment)
    first, second, tested = (photo.group for photo in find_masked_photos(photos).photos)
    assert first
    assert first != second == tested


def test_ddr_as_published(photos, lay):
    lay(
        photos / "DDR-dataset",
        "lesion_segmentation/train/image/007-3399-200.jpg",
        "lesion_segmentation/train/label/MA/007-3399-200.tif",
        "lesion_segmentation/train/label/HE/007-3399-200.tif",
        "lesion_segmentation/valid/image/20170413102628830.jpg",
        "lesion_segmentation/valid/segmentation label/EX/20170413102628830.tif",
        "lesion_segmentation/test/image/007-1774-100.jpg",
        "lesion_segmentation/test/label/SE/007-1774-100.tif",
        "DR_grading/train/007-3399-200.jpg",
    )
    found = find_masked_photos(photos)
    assert listed(found) == [
        ("007-1774-100.jpg", "SE", "test"),
        ("007-3399-200.jpg", "HEMA", "train"),
        ("20170413102628830.jpg", "EX", "validation"),
    ]
    assert {(photo.source, photo.drawn) for photo in found.photos} == {("ddr", ("MA", "HE", "EX", "SE"))}


def test_fgadr_as_published(photos, lay):
    lay(
        photos / "Seg-set",
        "Original_Images/0000_1.png",
        "Original_Images/0001_1.png",
        "Microaneurysms_Masks/0000_1.png",
        "Hemohedge_Masks/0001_1.png",
        "HardExudate_Masks/0001_1.png",
        "IRMA_Masks/0001_1.png",
    )
    found = find_masked_photos(photos)
    assert listed(found) == [("0000_1.png", "MA", ""), ("0001_1.png", "EXHE", "")]
    assert found.photos[0].drawn == ("MA", "HE", "EX")


def test_table_of_masks_with_a_bit_a_lesion(photos, lay):
    table = "image,mask,official_part,grading_image_id,group\nset/lesions/a.jpg,set/masks/a.png,test,IDRiD_102,g1\n"
    for folder in (photos, photos / "set"):
        lay(photos, "set/lesions/a.jpg", "set/masks/a.png", texts={"set/lesions.csv": table})
        (photo,) = find_masked_photos(folder).photos
        assert (folder / photo.file).exists()
        assert (photo.split, photo.group, photo.source) == ("test", "g1", "set")
        assert {kind: mask.bit for kind, mask in photo.masks.items()} == {"MA": 0, "HE": 1, "EX": 2, "SE": 3, "OD": 4}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a.jpg,a.png,holdout,g\n", "row 2, column 'official_part': 'holdout' is not one of train, validation"),
        ("a.jpg,a.png,train,g\na.jpg,a.png,test,g\n", "row 3: a.jpg has a row before"),
    ],
)
def test_tables_of_masks_that_are_refused(photos, lay, rows, told):
    lay(photos, "a.jpg", "a.png", texts={"lesions.csv": f"image,mask,official_part,group\n{rows}"})
    with pytest.raises(InputError, match=told):
        find_masked_photos(photos)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.jpg"], "holds no masks of lesions; looked for: masks such as 2. All Segmentation Groundtruths/"),
        (["Microaneurysms_Masks/7.png"], "Microaneurysms_Masks/7.png is the mask of a photo that is not there: 7"),
    ],
)
def test_refused(photos, lay, names, told):
    lay(photos, *names)
    with pytest.raises(InputError, match=told):
        find_masked_photos(photos)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        find_masked_photos(tmp_path / "nowhere")

from biranet.photos.datasets import LabeledPhoto, read_labels


def test_fgadr_as_published(photos, lay):
    lay(
        photos,
        *(f"Seg-set/{folder}/{name}" for folder in ("Original_Images", "HardExudate_Masks") for name in FGADR),
        texts={"Seg-set/DR_Seg_Grading_Label.csv": "".join(f"{name},{grade}\n" for name, grade in FGADR.items())},
    )
    found = read_labels(photos)
    assert found.dataset == "fgadr"
    assert found.photos == [
        LabeledPhoto(f"Seg-set/Original_Images/{name}", grade, "", "", "", "fgadr") for name, grade in FGADR.items()
    ]


FGADR = {"0000_1.png": 2, "0001_2.png": 3, "0003_3.png": 4}

from biranet.photos.datasets import LabeledPhoto, read_labels

DEEPDRID_HEADER = (
    "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,right_eye_DR_Level,patient_DR_Level,"
    "Clarity,Field definition,Artifact\n"
)


def test_deepdrid_as_published(photos, lay):
    base = "regular_fundus_images"
    rows = (
        "1,1_l1,\\regular-fundus-training\\1\\1_l1.jpg,0,0,,2,8,8,4\n"
        "1,1_l2,\\regular-fundus-training\\1\\1_l2.jpg,1,0,,2,8,8,0\n"
        "1,1_r1,\\regular-fundus-training\\1\\1_r1.jpg,0,,2,2,8,8,4\n"
        # In the published file the name of one patient's photo says the other eye than its grade.
        "56,56_r3,\\regular-fundus-training\\56\\56_r3.jpg,0,1,,1,10,8,1\n"
    )
    validation = "265,265_r1,\\regular-fundus-validation\\265\\265_r1.jpg,1,,4,4,10,8,0\n"
    files = [
        *(f"{base}/regular-fundus-training/Images/{name}.jpg" for name in ("1/1_l1", "1/1_l2", "1/1_r1", "56/56_r3")),
        f"{base}/regular-fundus-validation/Images/265/265_r1.jpg",
    ]
    lay(
        photos,
        *files,
        f"{base}/Online-Challenge1&2-Evaluation/Images/347/347_l1.jpg",
        texts={
            f"{base}/regular-fundus-training/regular-fundus-training.csv": DEEPDRID_HEADER + rows,
            f"{base}/regular-fundus-validation/regular-fundus-validation.csv": DEEPDRID_HEADER + validation,
            f"{base}/Online-Challenge1&2-Evaluation/Challenge1_upload.csv": "image_id,DR_Level\n347_l1,\n",
        },
    )
    found = read_labels(photos)
    assert found.dataset == "deepdrid"
    assert [(photo.file, photo.grade, photo.group, photo.eye, photo.split) for photo in found.photos] == [
        (files[0], 0, "1", "left", "train"),
        (files[1], 0, "1", "left", "train"),
        (files[2], 2, "1", "right", "train"),
        (files[3], 1, "56", "left", "train"),
        (files[4], 4, "265", "right", "validation"),
    ]
    assert found.photos[1].extra_columns["Overall quality"] == "1"
    assert {"image_path", "patient_DR_Level", "Clarity", "Field definition", "Artifact"} < set(
        found.photos[0].extra_columns
    )


def test_deepdrid_test_labels_saved_as_csv(photos, lay):
    folder = "Online-Challenge1&2-Evaluation"
    names = [f"{folder}/Images/347/347_{shot}.jpg" for shot in ("l1", "r1")]
    lay(photos, *names, texts={f"{folder}/Challenge1_labels.csv": "image_id,DR_Levels\n347_l1,1\n347_r1,4\n"})
    assert read_labels(photos).photos == [
        LabeledPhoto(names[0], 1, "347", "left", "test", "deepdrid", group_from="data set"),
        LabeledPhoto(names[1], 4, "347", "right", "test", "deepdrid", group_from="data set"),
    ]

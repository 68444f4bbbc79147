import pytest

from biranet.photos.datasets import LabelSource, read_labels

PATIENTS = [f"P{number:02d}" for number in range(1, 7)]


def guessed(photos):
    return {photo.file: (photo.group, photo.group_from) for photo in read_labels(photos).photos}


def unknown(found):
    return set(found.values()) == {("", "")}


@pytest.mark.parametrize(
    "names",
    [
        ["macula_left", "disc_left"],
        ["fundus_left", "fundus_right"],
        ["left", "right"],
        ["OD", "OS"],
        ["IMG_001_L", "IMG_002_R"],
        ["zentral_R", "zentral_L"],
        ["macula_OD", "overview"],
    ],
    ids="_".join,
)
@pytest.mark.parametrize("inside", ["", "2019-03-01/", "visit 2/", "images/"])
def test_names_of_views_and_eyes_leave_the_folder_to_be_the_patient(photos, lay, names, inside):
    lay(photos, *(f"{patient}/{inside}{name}.jpg" for patient in PATIENTS for name in names))
    found = guessed(photos)
    assert len(found) == len(PATIENTS) * len(names)
    assert all(value == (file.split("/")[0], "folder") for file, value in found.items())


def test_visits_of_one_patient_stay_together(photos, lay):
    lay(photos, *(f"clinic/{patient}/{day}/left.jpg" for patient in PATIENTS for day in ("2019-03-01", "2020-04-02")))
    assert {group for group, _ in guessed(photos).values()} == {f"clinic/{patient}" for patient in PATIENTS}


@pytest.mark.parametrize("folders", [("", ""), ("0/", "2/"), ("train/", "test/"), ("2019/", "2020/"), ("a/", "b/")])
def test_a_number_before_the_eye_is_the_patient_wherever_its_eyes_lie(photos, lay, folders):
    lay(photos, *(f"{folders[eye == 'right']}{n}_{eye}.jpg" for n in (10, 11) for eye in ("left", "right")))
    assert set(guessed(photos).values()) == {("10", "name"), ("11", "name")}


def test_numbers_that_return_in_other_folders_say_no_patient(photos, lay):
    lay(photos, *(f"{site}/{n}_{eye}.jpg" for site in ("north", "south") for n in (1, 2) for eye in ("left", "right")))
    assert unknown(guessed(photos))


def test_a_name_with_many_photos_of_one_eye_is_no_patient(photos, lay):
    lay(photos, *(f"visit{visit}/7_left.jpg" for visit in range(4)))
    assert set(guessed(photos).values()) == {("7", "name")}
    lay(photos, "visit9/7_left.jpg")
    assert unknown(guessed(photos))


def test_views_in_one_folder_or_among_numbered_photos_say_no_patient(photos, lay):
    lay(photos, "macula_left.jpg", "disc_right.jpg", "site/fundus_left.jpg", *(f"site/12_{e}.jpg" for e in "LR"))
    assert guessed(photos) == {
        "macula_left.jpg": ("", ""),
        "disc_right.jpg": ("", ""),
        "site/fundus_left.jpg": ("", ""),
        "site/12_L.jpg": ("12", "name"),
        "site/12_R.jpg": ("12", "name"),
    }


def test_pictures_counted_anew_in_each_year_say_no_patient(photos, lay):
    lay(photos, *(f"{year}/IMG_1_{eye}.jpg" for year in (2001, 2002) for eye in ("left", "right")))
    assert unknown(guessed(photos))


def test_folders_of_eyes_are_no_patients(photos, lay):
    lay(photos, "left/fundus_left.jpg", "right/fundus_right.jpg")
    assert unknown(guessed(photos))


def test_what_the_labels_say_is_not_guessed(photos, lay, tmp_path):
    lay(photos, "P1/left.jpg", "P1/right.jpg", "P2/left.jpg", "10_left.jpg")
    text = "file,grade,group\nP1/left.jpg,0,ann\nP1/right.jpg,1,NA\nP2/left.jpg,2,\n10_left.jpg,3,10\n"
    found = read_labels(photos, LabelSource(lay(tmp_path, texts={"l.csv": text}) / "l.csv")).photos
    assert [(photo.group, photo.group_from) for photo in found] == [
        ("ann", "labels"), ("P1", "folder"), ("P2", "folder"), ("10", "labels"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [
        ["P01/IMG_0001_left", "P01/IMG_0002_right", "P02/IMG_0003_left", "P02/IMG_0004_right"],
        ["P01/20200101_left", "P01/20200101_right", "P01/20210601_left"],
        ["P01/DSC0001_L", "P01/DSC0001_R", "P02/P1010007_L"],
        ["P01/visit1_L", "P01/visit1_R", "P01/exam 2_L"],
        [f"{patient}/{n:03d}_left" for patient in PATIENTS for n in (1, 2)],
        [
            f"{patient}/{10 * k + n}_{eye}"
            for k, patient in enumerate(PATIENTS)
            for n, eye in ((1, "left"), (2, "right"))
        ],
    ],
)
def test_counters_visits_and_dates_leave_the_folder_to_be_the_patient(photos, lay, names):
    lay(photos, *(f"{name}.jpg" for name in names))
    assert all(value == (file.split("/")[0], "folder") for file, value in guessed(photos).items())


@pytest.mark.parametrize(
    "stem",
    [
        "DSC0001", "IMG_20200101_120000", "IMG-0001-1", "_MG_0012", "P1010001", "SAM_0003", "IM000001", "foto 3",
        "scan1", "frame12a", "visit1", "exam_2", "eye", "2020-01-03", "20200103", "03-01-2020", "3.1.2020",
        "20200103T101500", "20200103101500", "2020-01-03 10.15", "optic_disc_2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("inside", ["", "DCIM/", "clinic/"])
def test_counters_visits_and_dates_are_no_patients(photos, lay, stem, inside):
    lay(photos, f"{inside}{stem}_left.jpg", f"{inside}{stem}_right.jpg")
    assert unknown(guessed(photos))


@pytest.mark.parametrize("told", ["P01_macula", "P01_visit1", "P01_2020-01-03", "P01-IMG_0001", "IMG_P01"])
def test_what_is_told_beside_the_patient_is_left_away(photos, lay, told):
    lay(photos, f"{told}_left.jpg", "P01_right.jpg", "P02_left.jpg")
    assert set(guessed(photos).values()) == {("P01", "name"), ("P02", "name")}


def test_names_of_which_none_has_two_photos_say_no_patient(photos, lay):
    lay(photos, *(f"{n}_{'left' if n % 2 else 'right'}.jpg" for n in range(8)))
    assert unknown(guessed(photos))


@pytest.mark.parametrize("folder", ["part", "chunk", "site"])
def test_folders_named_alike_whose_names_pair_eyes_are_no_patients(photos, lay, folder):
    lay(photos, *(f"{folder}{n // 3}/{n}_{eye}.jpg" for n in range(6) for eye in ("left", "right")))
    assert set(guessed(photos).values()) == {(str(n), "name") for n in range(6)}


def test_a_folder_of_a_whole_clinic_is_no_patient(photos, lay):
    lay(photos, *(f"{place}/IMG_{n}_left.jpg" for place in ("north", "south") for n in range(20)))
    assert unknown(guessed(photos))

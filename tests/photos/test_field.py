import cv2
import numpy as np
import pytest

from biranet.errors import PhotoError
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.field import Field, cut_field, find_field
from biranet.photos.read import read_photo


def draw(height, width, x, y, radius, *, dim=0.0, noise=0.0, background=0.0, shadow=False, tag=False, seed=0):
    """A photo with a field, and where the field is."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns - x, rows - y) / radius
    lit = distance <= 1
    light = 1 - dim * distance.clip(0, 1) ** 2
    if shadow:
        light = light * np.where(rows > y + 0.5 * radius, 0.02, 1)
    photo = np.where(lit[:, :, None], light[:, :, None] * np.array([170, 90, 40]), 0)
    photo = np.maximum(photo, background) + np.random.default_rng(seed).normal(0, noise, photo.shape)
    photo = photo.clip(0, 255).astype(np.uint8)
    if tag:
        cv2.putText(photo, "OD 10:22", (4, height // 20 + 6), cv2.FONT_HERSHEY_SIMPLEX, height / 600, (255,) * 3, 2)
        cv2.rectangle(photo, (width - width // 12, height - height // 12), (width, height), (255,) * 3, -1)
    return photo, lit


def box_of(lit):
    rows, columns = np.nonzero(lit)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def assert_holds(field, box, *, spare_fraction):
    left, top, right, bottom = box
    assert field.left_px <= left
    assert field.top_px <= top
    assert field.left_px + field.side_px >= right
    assert field.top_px + field.side_px >= bottom
    assert field.side_px <= (1 + spare_fraction) * max(right - left, bottom - top)


@pytest.mark.parametrize("seed", range(60))
def test_no_part_of_a_drawn_field_is_lost(seed):
    rng = np.random.default_rng(seed)
    height = int(rng.integers(120, 700))
    width = int(height * rng.uniform(1, 1.6))
    radius = height * rng.uniform(0.3, 0.62)
    photo, lit = draw(
        height,
        width,
        width * rng.uniform(0.45, 0.55),
        height * rng.uniform(0.46, 0.54),
        radius,
        dim=rng.uniform(0, 0.8),
        noise=rng.choice([0, 3, 10]),
        background=rng.choice([0, 4, 12]),
        tag=radius < 0.4 * height and rng.random() < 0.5,
        seed=seed,
    )
    assert_holds(find_field(photo), box_of(lit), spare_fraction=0.07)


def test_a_field_cut_at_top_and_bottom_is_padded_there():
    photo, lit = draw(285, 429, 200, 142, 172)
    field = find_field(photo)
    assert_holds(field, box_of(lit), spare_fraction=0.03)
    assert field.top_px < 0 < field.left_px
    assert field.top_px + field.side_px > 285
    square = cut_field(photo, field, 100)
    assert (square[:8] == 0).all()
    assert (square[-8:] == 0).all()
    assert (square[50, 5:95] > 0).any(axis=1).all()


def test_a_shadow_at_the_edge_is_completed_to_the_circle():
    photo, lit = draw(400, 600, 300, 200, 180, shadow=True)
    assert photo[lit].max(axis=1).min() < 5
    assert_holds(find_field(photo), box_of(lit), spare_fraction=0.05)


@pytest.mark.parametrize("side", [28, 64, 224, 1000])
def test_a_field_that_fills_a_square_photo_is_kept_whole(side):
    photo, _ = draw(side, side, side / 2, side / 2, side * 0.8, dim=0.5)
    assert find_field(photo) == Field(0, 0, side)
    photo, lit = draw(side, side, (side - 1) / 2, (side - 1) / 2, side / 2)
    assert_holds(find_field(photo), box_of(lit), spare_fraction=0.0)


def test_a_dark_photo_still_has_a_field():
    photo, lit = draw(300, 450, 220, 150, 130)
    assert_holds(find_field(photo // 5), box_of(lit), spare_fraction=0.05)


def test_an_overexposed_field_that_fills_the_photo_is_not_one_colour():
    photo, _ = draw(100, 100, 50, 50, 90, dim=0.5)
    photo[:, :, 0] = 255
    assert find_field(photo) == Field(0, 0, 100)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turning_the_photo_turns_the_field(turn):
    photo, _ = draw(300, 450, 200, 160, 120, dim=0.5, noise=3, tag=True)
    straight, turned = find_field(photo), find_field(np.ascontiguousarray(np.rot90(photo, turn)))
    left, top, (height, width) = straight.left_px, straight.top_px, photo.shape[:2]
    for _ in range(turn):  # a quarter to the left
        left, top, height, width = top, width - left - straight.side_px, width, height
    assert abs(straight.side_px - turned.side_px) <= 4
    assert abs(left - turned.left_px) <= 4
    assert abs(top - turned.top_px) <= 4


def test_a_sheet_of_photographs_is_refused_and_a_field_beside_small_print_is_not():
    eye, _ = draw(300, 300, 150, 150, 120)
    with pytest.raises(PhotoError, match="several large lit parts"):
        find_field(np.concatenate([eye, eye, eye], axis=1))
    small = cv2.resize(eye, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    beside = np.concatenate([eye, np.concatenate([small, np.zeros_like(small)])], axis=1)
    assert_holds(find_field(beside), (30, 30, 270, 270), spare_fraction=0.06)


def test_the_same_photo_gives_the_same_field():
    photo, _ = draw(300, 450, 200, 160, 170, dim=0.7, noise=10)
    assert find_field(photo) == find_field(photo.copy())


EYE = np.ascontiguousarray(draw_photo(2, 3, 400, 400))
EYE_RADIUS = find_field(EYE).side_px / 2 - 4
MIDDLE = (330.0, 250.0, 180.0)


def lay(ground, x, y, radius, rim=None):
    """A picture with the eye on it as a circle, in a lens with a rim of this level if one is given."""
    scale = radius / EYE_RADIUS
    move = np.float32([[scale, 0, x - 199.5 * scale], [0, scale, y - 199.5 * scale]])
    size = ground.shape[1::-1]
    eye = cv2.warpAffine(EYE, move, size, flags=cv2.INTER_AREA)
    rows, columns = np.mgrid[: size[1], : size[0]]
    distance = np.hypot(columns - x, rows - y)
    ground = ground if rim is None else np.where(distance[:, :, None] < 1.15 * radius, rim, ground).astype(np.uint8)
    return np.where(distance[:, :, None] < radius, eye, ground).astype(np.uint8)


def as_jpeg(photo, quality):
    return cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def blobs(shape, color, seed):
    """A hand or a wall out of focus."""
    uneven = np.random.default_rng(seed).normal(0, 40, (5, 4, 1)).repeat(3, axis=2)
    return (cv2.resize(uneven, shape[::-1], interpolation=cv2.INTER_CUBIC) + color).clip(0, 255).astype(np.uint8)


def assert_found(photo, x, y, radius, off_px):
    """The square is that of the circle, and what the square holds beside it is black."""
    field = find_field(photo)
    height, width = photo.shape[:2]
    left, top = max(0, x - radius), max(0, y - radius)
    right, bottom = min(width, x + radius), min(height, y + radius)
    assert abs(field.left_px + field.side_px / 2 - (left + right) / 2) <= off_px
    assert abs(field.top_px + field.side_px / 2 - (top + bottom) / 2) <= off_px
    assert abs(field.side_px - max(right - left, bottom - top)) <= 2 * off_px + 4
    square = cut_field(photo, field, field.side_px)
    rows, columns = np.indices(square.shape[:2]) + 0.5
    beside = np.hypot(columns + field.left_px - x, rows + field.top_px - y) > radius + 2 * off_px
    assert square[beside].max(initial=0) < 45


GROUNDS = {
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "dark grey": (75, 75, 75),
    "blue": (30, 60, 200),
    "green": (40, 160, 60),
    "red": (200, 30, 30),
    "pink": (240, 170, 170),
    "yellow": (240, 220, 60),
}


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_field_is_the_same_whatever_one_colour_is_around_it(ground):
    assert_found(lay(np.full((500, 640, 3), GROUNDS[ground], np.uint8), *MIDDLE), *MIDDLE, off_px=5)


def test_neither_noise_nor_a_gradient_around_the_field_hides_it():
    rng = np.random.default_rng(0)
    noisy = rng.normal(200, 10, (500, 640, 3)).clip(0, 255).astype(np.uint8)
    assert_found(as_jpeg(lay(noisy, *MIDDLE), 60), *MIDDLE, off_px=5)
    slope = np.linspace(60, 250, 640)[None, :, None].repeat(500, axis=0).repeat(3, axis=2)
    assert_found(lay(slope.astype(np.uint8), *MIDDLE), *MIDDLE, off_px=5)


@pytest.mark.parametrize("scale", [0.5, 2])
def test_a_field_on_white_moves_and_grows_with_its_photo(scale):
    white = np.full((round(500 * scale), round(640 * scale), 3), 255, np.uint8)
    for x, y in ((330, 250), (290, 215), (400, 280)):
        circle = (scale * x, scale * y, scale * 180)
        assert_found(lay(white, *circle), *circle, off_px=6 * scale)


@pytest.mark.parametrize("radius", [220, 290])
def test_a_field_on_white_that_the_photo_cuts_is_padded(radius):
    photo = lay(np.full((430, 640, 3), 255, np.uint8), 330, 220, radius)
    assert_found(photo, 330, 220, radius, off_px=6)


@pytest.mark.parametrize("share", [1, 1.04])
def test_a_field_that_a_square_with_white_corners_just_holds_gets_black_ones(share):
    photo = lay(np.full((300, 300, 3), 255, np.uint8), 150, 150, share * 150)
    assert_found(photo, 150, 150, share * 150, off_px=3)
    small = cv2.resize(photo, (28, 28), interpolation=cv2.INTER_AREA)
    assert find_field(small) == Field(0, 0, 28)


def test_a_field_cut_straight_leaves_no_white_above_it():
    photo = lay(np.full((500, 640, 3), 255, np.uint8), *MIDDLE)
    photo[:110] = 255
    field = find_field(photo)
    square = cut_field(photo, field, field.side_px)
    assert abs(field.circle.top - 110) <= 5
    assert np.percentile(square[np.abs(np.arange(field.side_px) + field.top_px - 105) < 5], 99) < 30


@pytest.mark.parametrize(("color", "seed"), [((190, 140, 110), 0), ((190, 140, 110), 1), ((90, 60, 45), 2), (180, 3)])
def test_a_field_in_a_lens_is_found_before_a_hand_or_a_wall(color, seed):
    circle = (200.0 + 20 * seed, 400.0 - 30 * seed, 110.0 + 15 * seed)
    photo = lay(blobs((800, 450), color, seed), *circle, rim=14)
    assert_found(as_jpeg(photo, 80), *circle, off_px=7)


def test_a_field_beside_a_hand_in_the_dark_is_found():
    ground = np.zeros((800, 450, 3), np.uint8)
    cv2.ellipse(ground, (450, 620), (250, 330), 20, 0, 360, (200, 150, 120), -1)
    assert_found(lay(ground, 200, 350, 150, rim=14), 200, 350, 150, off_px=8)


def test_a_strip_of_text_is_no_part_of_the_field():
    for first, x in ((400, 320), (300, 200)):
        photo = lay(np.zeros((500, 640, 3), np.uint8), x, 230, 190)
        strip = photo[first:] if x == 320 else photo[:, 450:]
        strip[:] = 245
        cv2.putText(strip, "OD 31.12.1999", (5, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
        field = find_field(photo)
        assert abs(field.left_px + field.side_px / 2 - x) <= 5
        assert field.side_px <= 2 * 190 + 14
        assert (cut_field(photo, field, 200).min(axis=2) > 225).mean() < 0.01


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("words", ["", "OD 31.12.1999"])
@pytest.mark.parametrize("color", [(255, 255, 255), (128, 128, 128), (30, 30, 30), (20, 80, 200)])
def test_a_band_along_any_edge_is_no_part_of_a_field_that_the_photo_cuts(color, words, turn):
    photo = lay(np.zeros((512, 771, 3), np.uint8), 358, 256, 312)
    band = photo[450:]
    band[:] = color
    cv2.rectangle(band, (0, 0), (90 * bool(words), 62), (200, 40, 30), -1)
    cv2.putText(band, words, (130, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)
    photo = as_jpeg(np.ascontiguousarray(np.rot90(photo, turn)), 80)
    field = find_field(photo)
    assert 620 <= field.side_px <= 634
    square = np.rot90(cut_field(photo, field, 312), -turn)
    assert (square[-59:] == 0).all()
    assert (square[246, 50:260] > 0).any(axis=1).all()


def test_bands_of_several_colours_and_frames_are_left_out():
    photo = lay(np.zeros((512, 771, 3), np.uint8), 358, 256, 312)
    photo[-60:-20], photo[-20:], photo[:30], photo[:, :30], photo[:, -20:] = 200, 255, 128, 60, 255
    field = find_field(photo)
    square = cut_field(photo, field, field.side_px)
    assert abs(field.side_px - 624) <= 6
    assert (square[: 30 - field.top_px] == 0).all()
    assert (square[452 - field.top_px :] == 0).all()


def test_without_its_band_a_photo_is_what_the_rest_is():
    black = np.zeros((300, 400, 3), np.uint8)
    black[260:] = 255
    with pytest.raises(PhotoError, match="the photo is black"):
        find_field(black)
    cut_out = EYE[150:350, 220:420].copy()
    cut_out[170:] = 255
    field = find_field(cut_out)
    assert field.side_px == 200
    assert not cut_field(cut_out, field, 200)[170 - field.top_px :].any()


@pytest.mark.parametrize(("page", "bar"), [(245, (50, 60, 90)), (32, (10, 10, 10)), (250, (0, 0, 0))])
def test_a_field_in_a_screenshot_is_found(page, bar):
    photo = np.full((600, 900, 3), page, np.uint8)
    photo[:40] = bar
    for row in range(8):
        cv2.putText(photo, "lorem ipsum", (5, 100 + 60 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (128, 128, 128), 2)
    photo[70:570, 200:880] = 0
    photo[70:570, 200:880] = lay(photo[70:570, 200:880], 340, 250, 220)
    assert_found(photo, 540, 320, 220, off_px=6)


def test_a_sheet_on_white_is_refused():
    photo = lay(lay(np.full((300, 600, 3), 255, np.uint8), 150, 150, 130), 450, 150, 130)
    with pytest.raises(PhotoError, match="several large lit parts"):
        find_field(photo)


@pytest.mark.parametrize(("top", "left", "side"), [(120, 110, 180), (150, 60, 100), (130, 220, 120), (100, 100, 200)])
def test_a_cut_out_of_the_retina_is_all_field_and_its_optic_disc_is_none(top, left, side):
    part = cv2.resize(EYE[top : top + side, left : left + side], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert find_field(part) == Field(0, 0, 2 * side)
    spot = cv2.circle(part.copy(), (side, side), side // 2, (250, 225, 150), -1, cv2.LINE_AA)
    assert find_field(spot) == Field(0, 0, 2 * side)


def test_an_eye_with_something_else_around_it_and_no_round_edge_is_refused():
    photo = blobs((500, 400), 150, 5)
    cv2.rectangle(photo, (110, 150), (290, 340), (170, 90, 40), -1)
    with pytest.raises(PhotoError, match="something else than an eye around its middle") as caught:
        find_field(photo)
    assert caught.value.status == "no_field"


BLANK = np.zeros((200, 300, 3), np.uint8)
TEXT = cv2.putText(BLANK.copy(), "no photo today", (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255,) * 3, 2)
STRIP = cv2.rectangle(BLANK.copy(), (10, 80), (290, 110), (200,) * 3, -1)
ANGLE = cv2.rectangle(
    cv2.rectangle(BLANK.copy(), (50, 20), (70, 180), (200,) * 3, -1), (50, 160), (210, 180), (200,) * 3, -1
)


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (BLANK, "black"),
        (BLANK + 7, "black"),
        (BLANK + 128, "one colour"),
        (BLANK + 255, "one colour"),
        (TEXT, "no large lit part"),
        (STRIP, "not round"),
        (ANGLE, "not round"),
        (BLANK[:1, :1] + 90, "one colour"),
    ],
)
def test_photos_without_a_field(photo, words):
    with pytest.raises(PhotoError, match=words) as caught:
        find_field(photo)
    assert caught.value.status == "no_field"


@pytest.mark.parametrize("field", [Field(10, 5, 40), Field(-8, -20, 140), Field(30, 40, 90)])
def test_cutting_at_its_own_size_copies_pixels(field):
    photo = np.random.default_rng(1).integers(1, 255, (100, 120, 3), dtype=np.uint8)
    square = cut_field(photo, field, field.side_px)
    expected = np.zeros((field.side_px, field.side_px, 3), np.uint8)
    for row in range(field.side_px):
        for column in range(field.side_px):
            y, x = row + field.top_px, column + field.left_px
            if 0 <= y < 100 and 0 <= x < 120:
                expected[row, column] = photo[y, x]
    assert (square == expected).all()


def test_shrinking_averages_and_growing_keeps_the_mean():
    photo = np.random.default_rng(1).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    small = cut_field(photo, Field(0, 0, 120), 30)
    averages = photo.reshape(30, 4, 30, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - averages).max() <= 1
    large = cut_field(small, Field(0, 0, 30), 90)
    assert large.shape == (90, 90, 3)
    assert abs(float(large.mean()) - float(small.mean())) < 2


@pytest.mark.real
def test_no_part_of_a_real_field_is_lost(real_data):
    paths = sorted((real_data / "images512").rglob("*.jpg"))[::8]
    assert len(paths) > 90
    for path in paths:
        photo = read_photo(path)
        # Independent of the code: rows and columns in which red, smoothed at full size, is far above the dark.
        red = cv2.GaussianBlur(photo[:, :, 0], (0, 0), 2)
        lit = red > 45
        columns = np.nonzero(lit.mean(axis=0) > 0.03)[0]
        rows = np.nonzero(lit.mean(axis=1) > 0.03)[0]
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        field = find_field(photo)
        assert_holds(field, box, spare_fraction=0.25)
        assert 1.1 < field.side_px / photo.shape[0] < 1.4, path.name

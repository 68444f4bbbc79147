"""What finds lesions in photos: the lesion branch by itself, or that of a model that grades, on any engine."""

import hashlib
from pathlib import Path

from PIL import Image

from biranet.config import Device
from biranet.errors import InputError
from biranet.extras import require_extras
from biranet.inference.addresses import Address, open_source
from biranet.inference.engines import ONNX_SUFFIX, load_engine
from biranet.inference.lesions import Lesions
from biranet.inference.loading import encode_photo
from biranet.learning.checkpoint_info import FORMAT
from biranet.learning.lesion_branch.maps import LesionFinder, LesionMaps
from biranet.learning.lesions.settings import CHECKPOINT_NAME
from biranet.learning.predictor import Predictor
from biranet.learning.shipped_models import LESIONS_DEFAULT, find_checkpoint, is_shipped, model_name
from biranet.learning.tensors import open_tensors
from biranet.learning.transforms import Pixels, resize
from biranet.photos.prepare import prepare_photo
from biranet.setting_names import setting


class LesionReader:
    """Finds the lesions of photographs.

    Args:
        finder: What maps them.

    Example:
        >>> import biranet
        >>> from biranet.learning.lesions.checkpoint import LesionInfo, LoadedLesions, build_lesion_net
        >>> from biranet.learning.lesions.finder import BranchFinder
        >>> from biranet.learning.lesions.settings import LesionConfig
        >>> small = {"width": 8, "image_size": 96, "smallest_size": 64, "patch": 64}
        >>> config = LesionConfig(backbone="test_resnet", pretrained=False, freeze="none", **small)
        >>> info = LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), biranet.Preparation(size_px=96))
        >>> reader = biranet.LesionReader(BranchFinder(LoadedLesions(build_lesion_net(config), info, ""), "cpu"))
        >>> found = reader.find(biranet.draw_photo(grade=4, seed=7))
        >>> found.maps.shares.shape
        (5, 24, 24)
        >>> found.findings["MA"].not_told
        'too small to see microaneurysms: 96 pixels across the field, and 768 are needed'
    """

    def __init__(self, finder: LesionFinder) -> None:
        self.finder = finder

    def __repr__(self) -> str:
        return f"LesionReader({self.finder!r})"

    def find(self, photo: Path | Address | str | bytes | Image.Image | Pixels, *, name: str | None = None) -> Lesions:
        """Find the lesions of one photo.

        Args:
            photo: A file or its bytes, an address, a PIL picture, or RGB pixels (H, W, 3), uint8, as taken: not cut,
                not resized.
            name: What it is called; the name of its file when not given.

        Raises:
            InputError: If it is something else, or what the network answers is no number.
            PhotoError: If the photo cannot be read or has no field.
        """
        if isinstance(photo, str):
            photo = Path(photo)
        source = photo if isinstance(photo, Path | Address | bytes) else encode_photo(photo)
        file = open_source(source)
        called = "" if isinstance(source, bytes) else str(source)
        return Lesions(
            called if name is None else name,
            self.finder.find(file.data),
            self.finder.thresholds,
            source,
            hashlib.sha256(file.data).hexdigest(),
        )


class GradingFinder:
    """The lesion branch of a model that grades, on any engine; a `LesionFinder`.

    Args:
        predictor: The model.

    Raises:
        InputError: If it has no lesion branch.
    """

    def __init__(self, predictor: Predictor) -> None:
        if predictor.info.lesions is None:
            raise InputError(
                f"{model_name(predictor.origin)} grades photos, and looks for no lesions; give {LESIONS_DEFAULT}, "
                f"which ships, or RUN/{CHECKPOINT_NAME} of train-lesions"
            )
        self.predictor, self.thresholds = predictor, predictor.info.lesions.thresholds

    def __repr__(self) -> str:
        return f"GradingFinder({self.predictor!r})"

    def find(self, source: Path | str | bytes, size_px: int | None = None) -> LesionMaps:
        """Find the lesions of a photo, as `LesionFinder.find` says; the size is that of its images alone."""
        seen_px = self.predictor.info.image_size
        if size_px not in (None, seen_px):
            raise InputError(f"{setting('size_px')} must be {seen_px}, not {size_px}")
        prepared = prepare_photo(source, self.predictor.info.preparation)
        image = resize(prepared.pixels, seen_px)  # through the same bytes as to a grade
        shares = self.predictor.predict(image[None]).lesions
        if shares is None:
            raise InputError(f"{self.predictor.origin} gives no maps of lesions; export it again")
        return LesionMaps(shares[0], prepared.cut, seen_px)


def load_lesions(file: Path | str | None = None, device: Device = "auto") -> LesionReader:
    """Load what finds lesions.

    Args:
        file: `RUN/lesions.safetensors` of `biranet train-lesions`; or a model that grades and has a lesion branch, by
            its file or, where it ships, its name. The one that ships when not given.
        device: Where to compute; auto takes a GPU where there is one.

    Raises:
        InputError: If it is none, or there is no such device.

    Example:
        >>> import biranet
        >>> biranet.load_lesions("no.pt")
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: no.pt is no file; give a checkpoint of lesions, such as RUN/lesions.safetensors
    """
    path = find_checkpoint(LESIONS_DEFAULT if file is None else file)
    if is_shipped(path) or path.suffix.lower() == ONNX_SUFFIX or _grades(path):
        return LesionReader(GradingFinder(load_engine(path, device=device)))
    with require_extras("finding lesions by a checkpoint of train-lesions"):
        from biranet.learning.lesions.finder import BranchFinder
    return LesionReader(BranchFinder.load(path, device))


def _grades(path: Path) -> bool:
    """Whether a checkpoint is one of a network that grades."""
    with open_tensors(path, "a checkpoint of lesions", f"RUN/{CHECKPOINT_NAME}") as stored:
        return bool(stored.header.get("format") == FORMAT)

"""The segments of a JPEG: what its head says, which scans it has, and where it ends. Nothing is decoded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

START, END = b"\xff\xd8", b"\xff\xd9"
SCAN_MARKER, END_MARKER = 0xDA, END[1]

_MARKER = re.compile(rb"\xff[^\0\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[\xc4\xd9\xda-\xdd]")
"""Inside of a scan only what may follow it is a marker; anything else there is damage, which the decoder judges."""

_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that no length follows."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_JPEG_LS, _LOSSLESS = 0xF7, frozenset({0xC3, 0xC7, 0xCB, 0xCF})

_MAX_SEGMENTS = 10_000
MAX_STRAY_BYTES = 4096
"""In the head, whose bytes Pillow reads one by one."""


@dataclass(frozen=True)
class Segment:
    """One segment.

    Attributes:
        marker: Its second byte, such as 0xE1 for EXIF.
        start: Where its content starts.
        end: Where its content ends, at most at the end of the file.
        stray_bytes: How many bytes before its marker belong to nothing.
    """

    marker: int
    start: int
    end: int
    stray_bytes: int


def segments(data: bytes, start: int = 0) -> Iterator[Segment]:
    """Go through the segments of a JPEG, as libjpeg finds them.

    Args:
        data: The file, or the beginning of it.
        start: Where the JPEG begins in it.

    Yields:
        Its segments with those between its scans, at most some ten thousand; the end mark last, where there is one.
        Where another JPEG begins in its head, it ends without.
    """
    if not data.startswith(START, start):
        return
    at, marker = start + 2, 0
    for _ in range(_MAX_SEGMENTS):
        match = (_MARKER_IN_SCAN if marker == SCAN_MARKER else _MARKER).search(data, at)
        if match is None:
            return
        marker, content = data[match.start() + 1], match.end()
        stray_bytes = match.start() - at
        if marker == END_MARKER:
            yield Segment(marker, content, content, stray_bytes)
        if marker in (START[1], END_MARKER):
            return
        length = 0 if marker in _ALONE else max(2, int.from_bytes(data[content : content + 2], "big"))
        at = min(content + length, len(data))
        yield Segment(marker, min(content + 2, at), at, stray_bytes)


@dataclass(frozen=True)
class Jpeg:
    """What the segments of a JPEG say.

    Attributes:
        kind: Marker of its frame, which names the coding.
        width_px: Width.
        height_px: Height.
        bits: Bits of a sample.
        components: How many components; 1 is grey.
        scans: How many scans were found.
        complete: Whether the scans of a progressive file bring every coefficient to its last bit; True of any other.
        jfif: Whether it says that it is JFIF, in which colours are luminance and two differences.
        adobe: Whether Adobe's mark says how colours are stored; decoders then give red, green and blue.
        names: The names of its components.
        end: Where the file ends, behind its end mark; None where it has none.
    """

    kind: int
    width_px: int
    height_px: int
    bits: int
    components: int
    scans: int
    complete: bool
    jfif: bool
    adobe: bool
    names: bytes
    end: int | None

    @property
    def unsupported_kind(self) -> str:
        """What it is, where libjpeg does not read it; empty where it does."""
        if self.kind == _JPEG_LS:
            return "a JPEG-LS picture"
        if self.kind in _LOSSLESS:
            return "a lossless JPEG"
        return f"a JPEG of {self.bits} bits a colour" if self.bits != 8 else ""

    @property
    def colors(self) -> str:
        """Which colours pydicom's decoding by Pillow leaves, in the words of DICOM; empty where nothing tells."""
        if self.adobe or self.names in (b"RGB", b"rgb"):
            return "RGB"
        return "YBR_FULL" if self.jfif else ""

    @property
    def progressive(self) -> bool:
        """Whether each scan adds to the whole picture."""
        return self.kind in _PROGRESSIVE


def parse_jpeg(data: bytes, start: int = 0, max_stray_bytes: int = MAX_STRAY_BYTES) -> Jpeg | None:
    """Look through a JPEG without decoding it.

    Args:
        data: The file.
        start: Where the JPEG begins in it.
        max_stray_bytes: How many bytes of its head may belong to nothing; from the first further one on, nothing is
            looked at.

    Returns:
        What was found; None where there is no whole frame header.
    """
    frame, stray_bytes, scans, end = None, 0, 0, None
    jfif = adobe = False
    missing: dict[int, list[int]] = {}
    for segment in segments(data, start):
        content = data[segment.start : segment.end]
        if not scans:
            stray_bytes += segment.stray_bytes
            if stray_bytes > max_stray_bytes:
                break
            jfif |= segment.marker == 0xE0 and content.startswith(b"JFIF\0")
            adobe |= segment.marker == 0xEE and content.startswith(b"Adobe")
        if segment.marker in _FRAMES and frame is None and len(content) >= 6 + 3 * content[5]:
            frame = segment.marker, content
            missing = {content[6 + 3 * number]: [-1] * 64 for number in range(content[5])}
        elif segment.marker == SCAN_MARKER:
            scans += 1
            _note_scan(content, missing)
        elif segment.marker == END_MARKER:
            end = segment.end
    if frame is None:
        return None
    kind, head = frame
    return Jpeg(
        kind=kind,
        bits=head[0],
        height_px=int.from_bytes(head[1:3], "big"),
        width_px=int.from_bytes(head[3:5], "big"),
        components=head[5],
        scans=scans,
        complete=kind not in _PROGRESSIVE or not any(any(bits) for bits in missing.values()),
        jfif=jfif,
        adobe=adobe,
        names=head[6::3][: head[5]],
        end=end,
    )


def _note_scan(content: bytes, missing: dict[int, list[int]]) -> None:
    """Note which bits of which coefficients are still missing after a scan of a progressive file."""
    if len(content) < 1 or len(content) != 4 + 2 * content[0]:
        return
    first, last, bits = content[-3], content[-2], content[-1] & 15
    for number in range(content[0]):
        if (of_component := missing.get(content[1 + 2 * number])) is not None:
            of_component[first : last + 1] = [bits] * len(of_component[first : last + 1])

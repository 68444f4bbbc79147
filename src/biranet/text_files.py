"""Text files that people exchange: regular ones of bounded length, in UTF-8 or as Excel writes "Unicode text"."""

import codecs
import re
from contextlib import suppress
from pathlib import Path

from biranet.errors import InputError
from biranet.files import open_regular, read_regular, unreadable

MAX_TEXT_BYTES = 1_000_000_000
"""Longest table that is read: ten million photos with a hundred letters each."""

SPREADSHEET_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".numbers"})
"""Endings, in lower case, of files that a spreadsheet program keeps for itself."""

_DOCUMENT_SUFFIXES = frozenset({".docx", ".doc", ".odt", ".pptx", ".ppt", ".pages"})

ARCHIVE_SUFFIXES = frozenset({".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar"})
"""Endings, in lower case, of files that must be unpacked first."""

_ZIP = b"PK"
_PACKED = (_ZIP, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a")
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
_WORKBOOK = re.compile(
    rb"PK.{28}(\[Content_Types\]\.xml|_rels/|docProps/|xl/|mimetypeapplication/vnd\.oasis)", re.DOTALL
)

_HEAD_BYTES = 65_536
_MAX_HEAD_LENGTH = 64_000_000


def refuse_packed(path: Path) -> None:
    """Refuse a spreadsheet or an archive where a table is wanted, by its content.

    Raises:
        InputError: If it is one. Why a file cannot be read is for its reader to say.
    """
    with suppress(OSError), open_regular(path) as file:
        _refuse_packed(path, file.read(_TAR_MARK_AT + len(_TAR_MARK)))


def _refuse_packed(path: Path, head: bytes) -> None:
    suffix = path.suffix.lower()
    zipped_workbook = head.startswith(_ZIP) and suffix in SPREADSHEET_SUFFIXES | _DOCUMENT_SUFFIXES
    if head.startswith(_OLD_WORKBOOK) or zipped_workbook or _WORKBOOK.match(head):
        kind = "document" if suffix in _DOCUMENT_SUFFIXES else "spreadsheet"
        raise InputError(f"{path} is a {kind}; save its table as CSV in UTF-8, and name that file")
    if head.startswith(_PACKED) or head[_TAR_MARK_AT:].startswith(_TAR_MARK):
        raise InputError(f"{path} is an archive; unpack it, and name what is in it")


def read_text(path: Path) -> str:
    """Read a text file whole, without its byte-order mark; the ends of its lines stay as they are.

    Args:
        path: A regular file in UTF-8, or in UTF-16 with a byte-order mark.

    Raises:
        InputError: If it cannot be read, is too long, or is something else.
    """
    try:
        data = read_regular(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    _refuse_packed(path, data[: _TAR_MARK_AT + len(_TAR_MARK)])
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(data[: error.start].splitlines()) or 1
        raise InputError(
            f"{path} is not a CSV table in UTF-8 (line {line} holds the byte 0x{data[error.start]:02x}); "
            "save it as CSV in UTF-8"
        ) from None
    if "\0" in text[: text.find("\n")]:
        raise InputError(f"{path} is not a CSV table in UTF-8 (its first line holds zeros); save it as CSV in UTF-8")
    return text


def read_head(path: Path) -> str:
    """Read the beginning of a text file, as far as its second line goes at least; nothing where it is no text."""
    data = b""
    try:
        with open_regular(path) as file:
            while len(data) < _MAX_HEAD_LENGTH and data.count(b"\n") + data.count(b"\r") < 2:
                more = file.read(max(_HEAD_BYTES, len(data)))
                data += more
                if not more:
                    break
        text = codecs.getincrementaldecoder(_encoding(data))().decode(data)
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if "\0" in text[: text.find("\n")] else text


def _encoding(data: bytes) -> str:
    # The mark of UTF-32 begins like that of UTF-16; its zeros are refused.
    return "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"

"""Photos and tables that lie elsewhere: `s3://`, `gs://`, `https://` and `http://`, read through fsspec.

Credentials come from where the user keeps them (the environment, files of the provider's tools). What may hold some in
an address, a user before `@` and all behind `?`, is used and never written down: not in tables, journals or errors.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from biranet.errors import InputError, PhotoError
from biranet.extras import require_extras
from biranet.photos.formats import PHOTO_SUFFIXES, PhotoFile
from biranet.photos.formats.limits import check_bytes
from biranet.photos.prepare import open_photo

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_STORES, _WEB = ("s3", "gs"), ("https", "http")
_KNOWN = ", ".join(f"{scheme}://" for scheme in (*_STORES, *_WEB))

CONNECT_S, SILENCE_S, WHOLE_S = 10.0, 60.0, 600.0
"""Longest time to wait for a connection, for the next bytes, and for all of a file."""

_CHUNK_BYTES = 16_000_000
_PROBED = 5
"""So many servers and buckets are asked before it is said that none can be reached."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Address:
    """Where a photo or a table lies.

    Attributes:
        name: The address as it is written down, without what may be a credential.
        url: The address as it is asked for.
    """

    name: str
    url: str = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def as_posix(self) -> str:
        """The name."""
        return self.name

    @property
    def scheme(self) -> str:
        """How it is asked for, such as `s3`."""
        return self.name.partition(":")[0]

    @property
    def suffix(self) -> str:
        """The ending of the name, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def can_be_listed(self) -> bool:
        """Whether it may be what many photos lie below, and no photo by its ending."""
        return self.scheme in _STORES and self.suffix not in PHOTO_SUFFIXES

    def beside(self, name: str) -> "Address":
        """The address of what a table calls by this name, seen from where the table lies."""
        where = self.url if self.scheme in _STORES else self.url.partition("?")[0].partition("#")[0]
        return parse_address(f"{where.rpartition('/')[0]}/{name}")


def is_address(text: str) -> bool:
    """Whether a text is an address, of any kind, and no path.

    Example:
        >>> is_address("s3://clinic/eye.jpg"), is_address("clinic/eye.jpg")
        (True, False)
    """
    return _ADDRESS.match(text) is not None


def parse_address(text: str) -> Address:
    """Read an address.

    Args:
        text: For which `is_address` is true.

    Raises:
        InputError: If it is of a kind that is not read, or none.

    Example:
        >>> str(parse_address("https://me:secret@clinic.example/eye.jpg?signature=secret"))
        'https://clinic.example/eye.jpg'
    """
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in (*_STORES, *_WEB):
        raise InputError(f"{scheme}:// is no kind of address that is read; known are {_KNOWN}")
    if scheme in _STORES:
        name = f"{scheme}://{rest}"
        if not rest.partition("/")[0] or "@" in rest.partition("/")[0]:
            raise InputError(f"an address of {scheme}:// begins with the name of a bucket, such as {scheme}://bucket/")
        return Address(name, name)
    try:
        parts = urlsplit(text)
        if not parts.hostname or parts.port == 0:  # one that is no number is a ValueError
            raise ValueError
    except ValueError:
        raise InputError(f"an address of {scheme}:// begins with a server, such as {scheme}://server/eye.jpg") from None
    return Address(f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", text)


def read_address(address: Address) -> bytes:
    """Read what lies at an address, whole and no longer than a photo may be.

    Raises:
        PhotoError: If it cannot be read; the sentence does not name the address.
    """
    with _sentences():
        return _within(WHOLE_S, lambda: _read(address))


def open_source(source: Path | Address | bytes) -> PhotoFile:
    """Read the file of a photo, wherever it is.

    Raises:
        PhotoError: If it cannot be read.
    """
    return open_photo(read_address(source) if isinstance(source, Address) else source)


def _read(address: Address) -> bytes:
    system, path = _system(address)
    how = {"block_size": 0} if address.scheme in _WEB else {"cache_type": "none"}
    parts, length = [], 0
    with system.open(path, "rb", **how) as file:
        check_bytes(file.size or 0)
        while part := file.read(_CHUNK_BYTES):
            parts.append(part)
            length += len(part)
            check_bytes(length)
    return b"".join(parts)


def address_state(address: Address) -> dict[str, str]:
    """Ask what an address holds: its length, and the mark that its server gives to this very content.

    Returns:
        Cells; nothing where the server gives no such mark, so that only reading tells.

    Raises:
        PhotoError: If it is not there or cannot be reached.
    """
    with _sentences():
        info = _within(SILENCE_S, lambda: _info(address))
    mark = str(info.get("ETag") or info.get("etag") or "")
    return {} if not mark or mark.startswith("W/") else {"bytes": str(info.get("size")), "mark": mark}


def _info(address: Address) -> dict[str, Any]:
    system, path = _system(address)
    info: dict[str, Any] = system.info(path)
    return info


def list_address(address: Address) -> list[Address]:
    """List what lies below an address, in the order of the names; only the address itself where nothing does.

    Raises:
        InputError: If it cannot be listed.
    """
    try:
        with _sentences():
            names = _within(WHOLE_S, lambda: _find(address))
    except PhotoError as error:
        raise InputError(f"{address} cannot be listed: {error}") from error
    return [parse_address(f"{address.scheme}://{name}") for name in names]


def _find(address: Address) -> list[str]:
    system, path = _system(address)
    names: list[str] = sorted(system.find(path))
    return names


def check_reachable(addresses: Iterable[Address], remedy: str = "") -> None:
    """Refuse to begin, or to go on, where nothing can be reached: a package, credentials or the network are missing.

    Args:
        addresses: What is to be read; of some servers and buckets one address each is asked for.
        remedy: What to do, for the error.

    Raises:
        InputError: If none of them answers.
    """
    first: dict[str, Address] = {}
    for address in addresses:
        first.setdefault("/".join(address.name.split("/")[:3]), address)
    for address in {address.scheme: address for address in first.values()}.values():
        _need_packages(address)
    reason, unreachable = "", None
    for address in list(first.values())[:_PROBED]:
        try:
            address_state(address)
        except UnreachableError as error:
            reason, unreachable = reason or str(error), unreachable or address
        except PhotoError:
            return  # the server answers; what it says is for the photo's row
        else:
            return
    if unreachable is not None:
        raise InputError("; ".join(filter(None, (f"{unreachable} cannot be read: {reason}", remedy))))


class UnreachableError(PhotoError):
    """What cannot be read for a reason that all of its server's or its bucket's photos share."""


def _need_packages(address: Address) -> None:
    """Refuse an address whose package is missing."""
    if address.scheme == "gs":
        try:
            import gcsfs  # noqa: F401
        except ModuleNotFoundError:
            raise InputError(f"reading {address} needs gcsfs; install it with: pip install gcsfs") from None
    with require_extras(f"reading {address}", "remote"):
        import aiohttp  # noqa: F401
        import fsspec  # noqa: F401

        if address.scheme == "s3":
            import s3fs  # noqa: F401


def _system(address: Address) -> tuple[Any, str]:
    """The file system of an address in fsspec, and its path there."""
    _need_packages(address)
    import aiohttp
    import fsspec

    options: dict[str, Any] = {"requests_timeout": SILENCE_S}
    if address.scheme == "s3":
        options = {
            "config_kwargs": {
                "connect_timeout": CONNECT_S,
                "read_timeout": SILENCE_S,
                "retries": {"max_attempts": 2},
            }
        }
    if address.scheme in _WEB:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        options = {"client_kwargs": {"timeout": timeout, "trust_env": True}}  # proxies of the environment
    system_and_path: tuple[Any, str] = fsspec.core.url_to_fs(address.url, use_listings_cache=False, **options)
    return system_and_path


def _within(limit_s: float, work: Callable[[], Result]) -> Result:
    """Do something that waits for others, for so long at most: what hangs is left to a thread that ends with us."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again below, where it was waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


@contextmanager
def _sentences() -> Iterator[None]:
    """Say in one clause what went wrong, in our own words: those of others may quote the address with its secrets."""
    try:
        yield
    except (InputError, PhotoError):
        raise
    except FileNotFoundError as error:
        # fsspec says so as well where a server did not answer or refused.
        raise _describe(error.__cause__ or error) from None
    except PermissionError:
        raise PhotoError("unreadable", "no permission to read the file") from None
    except Exception as error:  # Each of these libraries has errors of many kinds.
        raise _describe(error) from None


def _describe(error: BaseException) -> PhotoError:
    kind, status = type(error).__name__, getattr(error, "status", None)
    if isinstance(status, int) and status != _NOT_FOUND:
        denied = "no permission to read the file" if status in _DENIED else f"the server answered with status {status}"
        return PhotoError("unreadable", denied)
    if "Credential" in kind:
        return UnreachableError("unreadable", "no credentials were found; give them as its provider's tools take them")
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        return UnreachableError("unreadable", "the server did not answer in time")
    if not isinstance(error, FileNotFoundError) and (isinstance(error, OSError) or "connect" in kind.lower()):
        return UnreachableError("unreadable", "the server cannot be reached")
    missing = isinstance(error, FileNotFoundError) or status == _NOT_FOUND or kind == "ClientError"
    return PhotoError("unreadable", "no such file" if missing else f"it could not be read ({kind})")


_NOT_FOUND, _DENIED = 404, (401, 403)

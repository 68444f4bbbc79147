"""Who may ask: the token, and the hosts that a service without one may be reached by."""

import hmac
import os
import re
from pathlib import Path

from biranet.errors import InputError
from biranet.files import read_regular, unreadable
from biranet.service.settings import LOOPBACK

TOKEN_VARIABLE = "BIRANET_TOKEN"
"""Environment variable that holds the token where no file does."""

MIN_TOKEN_LETTERS = 16
_MAX_TOKEN_BYTES = 4096
_TOKEN = re.compile(r"[!-~]+")

OPEN_PATHS = re.compile(r"/|/page/.*|/favicon\.ico|/openapi\.json|/healthz|/readyz|/v2|/v2/health/(live|ready)")
"""What needs no token, since it is the same for everyone: the page itself, how the service is, and what it can do."""


def read_token(file: Path | None) -> str:
    """Read the token that requests must bring.

    Args:
        file: The file that holds it; the environment is asked when None.

    Returns:
        The token; empty where there is none.

    Raises:
        InputError: If the file cannot be read, or the token is too short or holds spaces.
    """
    if file is None:
        token, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
        if not token:
            return ""
    else:
        try:
            token, where = read_regular(file, _MAX_TOKEN_BYTES).decode("utf-8", "replace").strip(), str(file)
        except OSError as error:
            raise unreadable(file, error, "name a file that holds the token") from error
    if len(token) < MIN_TOKEN_LETTERS or not _TOKEN.fullmatch(token):
        raise InputError(
            f"the token in {where} must have at least {MIN_TOKEN_LETTERS} letters, digits or signs and no space; make "
            "one with: openssl rand -hex 32"
        )
    return token


def check_host(host: str, token: str) -> None:
    """Refuse to serve other machines without a token.

    Args:
        host: Where the service listens.
        token: What requests must bring.

    Raises:
        InputError: If anyone could ask.
    """
    if not token and host not in LOOPBACK:
        raise InputError(
            f"without a token only this machine is served, and --host {host} lets others in; give --token-file FILE, "
            f"or the token in {TOKEN_VARIABLE}"
        )


def brings_token(authorization: str, token: str) -> bool:
    """Whether a header brings the token; compared in constant time.

    Args:
        authorization: The header.
        token: The token.

    Example:
        >>> brings_token("Bearer 0123456789abcdef", "0123456789abcdef"), brings_token("", "0123456789abcdef")
        (True, False)
    """
    scheme, _, brought = authorization.strip().partition(" ")
    return hmac.compare_digest(brought.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def is_loopback_name(host: str) -> bool:
    """Whether a `Host` header names this machine: a page of another site that was led here names itself.

    Args:
        host: The header, perhaps with a port.

    Example:
        >>> is_loopback_name("localhost:8000"), is_loopback_name("[::1]:8000"), is_loopback_name("evil.example")
        (True, True, False)
    """
    name = re.sub(r":\d+\Z", "", host.strip().lower())
    return name.strip("[]") in LOOPBACK

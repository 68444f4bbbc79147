"""Requests that are sent again: by their `Idempotency-Key`, the same answer for a while, and the work is done once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from biranet.service.request_error import RequestError

KEPT_SECONDS = 600
"""How long an answer is kept for a repetition."""

MAX_KEYS = 1000
"""How many answers are kept; the oldest goes first."""

MAX_KEPT_BYTES = 50_000_000
"""How long they may be together."""

MAX_KEY_LETTERS = 255


@dataclass
class _Answer:
    digest: str
    until: float
    body: bytes | None = None


class Repeats:
    """Answers by key, in memory alone.

    Args:
        clock: Gives the time, in seconds.

    Example:
        >>> repeats = Repeats()
        >>> repeats.begin("key", "digest of the photos")
        >>> repeats.finish("key", b"the answer")
        >>> repeats.begin("key", "digest of the photos")
        b'the answer'
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._kept_bytes = 0

    def begin(self, key: str, digest: str) -> bytes | None:
        """Begin a request.

        Args:
            key: Its key.
            digest: What tells its content from others.

        Returns:
            The answer that was given before; None where the work is to be done, and `finish` or `drop` to follow.

        Raises:
            RequestError: If the key is too long, was used for something else, or the first request is still under way.
        """
        if len(key) > MAX_KEY_LETTERS:
            raise RequestError(400, f"an Idempotency-Key has at most {MAX_KEY_LETTERS} letters")
        self._make_room()
        earlier = self._answers.get(key)
        if earlier is None:
            self._answers[key] = _Answer(digest, self._clock() + KEPT_SECONDS)
            return None
        if earlier.digest != digest:
            raise RequestError(422, "this Idempotency-Key was used for another request; give each its own")
        if earlier.body is None:
            raise RequestError(409, "the request with this Idempotency-Key is still under way; wait for its answer")
        return earlier.body

    def finish(self, key: str, body: bytes) -> None:
        """Keep the answer of a request."""
        self._answers[key].body = body
        self._kept_bytes += len(body)
        self._make_room()

    def drop(self, key: str) -> None:
        """Forget a request that got no answer, so that it can be sent again."""
        del self._answers[key]

    def _make_room(self) -> None:
        """Forget answers that are old or too many, the oldest first, but no request that is under way."""
        now = self._clock()
        for key, answer in list(self._answers.items()):
            if len(self._answers) < MAX_KEYS and self._kept_bytes <= MAX_KEPT_BYTES and answer.until >= now:
                return
            if answer.body is not None:
                self._kept_bytes -= len(answer.body)
                del self._answers[key]

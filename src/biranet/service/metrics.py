"""What is counted, in the names of Prometheus; nothing of it tells of a photo."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one service.

    Attributes:
        photos: Photos that were answered for, by status.
        seconds: Seconds of requests, from their first byte to their answer, by route.
        requests: Requests that were answered, by route and status; 499 where the client went away.
        in_flight: Requests that are being answered.
        waiting: Photos that wait for a worker.
        batches: Photos that a worker got at a time.
        workers: Workers that can grade.
        restarts: Workers that ended and were started again.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.photos = Counter("biranet_photos", "Photos answered for", ["status"], registry=registry)
        self.seconds = Histogram(
            "biranet_request_seconds", "Seconds of requests", ["route"], buckets=_SECONDS, registry=registry
        )
        self.requests = Counter("biranet_requests", "Requests answered", ["route", "status"], registry=registry)
        self.in_flight = Gauge("biranet_requests_in_flight", "Requests being answered", registry=registry)
        self.waiting = Gauge("biranet_photos_waiting", "Photos that wait for a worker", registry=registry)
        self.batches = Histogram(
            "biranet_batch_photos", "Photos a worker got at a time", buckets=_PHOTOS, registry=registry
        )
        self.workers = Gauge("biranet_workers", "Workers that can grade", registry=registry)
        self.restarts = Counter("biranet_worker_restarts", "Workers started again", registry=registry)

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self._registry)

"""What a stage did with its frames, and how long it took."""

import threading
from collections import deque
from dataclasses import dataclass, field

_WINDOW = 200  # frames that medians and rates look back


@dataclass
class Accounting:
    """Counters and recent times of one stage. Every frame in is out, dropped, skipped or failed.

    :param received: frames (with people, behind the detector) that came in.
    :param published: results that went out.
    :param dropped: replaced by a newer frame before work on them began.
    :param skipped: unusable input: the reason was logged.
    :param failed: an error of our own: the traceback was logged.
    :param unmatched: results of the stage before whose image never came.
    """

    received: int = 0
    published: int = 0
    dropped: int = 0
    skipped: int = 0
    failed: int = 0
    unmatched: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _samples: deque[tuple[float, float, float, float]] = field(
        default_factory=lambda: deque(maxlen=_WINDOW), repr=False
    )

    def count(self, what: str) -> None:
        """Add one to a counter by its name."""
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)

    def frame_done(
        self, at_s: float, processing_ms: float, network_ms: float, age_ms: float
    ) -> None:
        """Note a result: when it went out, the time it took, the networks' share, its age."""
        with self._lock:
            self.published += 1
            self._samples.append((at_s, processing_ms, network_ms, age_ms))

    def summary(self) -> dict[str, float]:
        """Return counters and the medians of recent times, rate in Hz and times in ms."""
        with self._lock:
            samples = list(self._samples)
            values: dict[str, float] = {
                name: getattr(self, name)
                for name in ('received', 'published', 'dropped', 'skipped', 'failed', 'unmatched')
            }
        if samples:
            times, processing, network, age = zip(*samples, strict=True)
            span = times[-1] - times[0]
            values['rate_hz'] = (len(times) - 1) / span if span > 0 else 0.0
            values['processing_ms'] = _quantile(processing, 0.5)
            values['network_ms'] = _quantile(network, 0.5)
            values['age_ms'] = _quantile(age, 0.5)
            values['age_p95_ms'] = _quantile(age, 0.95)
        return values


def _quantile(values: tuple[float, ...], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

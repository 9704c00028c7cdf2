# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a stage did with its frames, and how long it took."""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_RESULTS = 200  # results that medians look back on
#: Seconds that rates look back on, also those that limits are for, and the ages with them.
WINDOW_S = 5.0
# Results whose times are kept: so many come in that time at 1000 Hz, the highest limit that
# parameters set, and some more.
_TIMES = 6000

#: By name, as Accounting has them.
COUNTERS = (
    'received', 'published', 'dropped', 'lost', 'stale', 'skipped', 'failed', 'unmatched',
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The times of one result, ms.

    :param processing_ms: from taking up the frame to publishing the result.
    :param network_ms: the networks' share of it.
    :param cycle_ms: since the result before; NaN = there was none.
    :param age_ms: from the image's stamp to the result, by the node's clock.
    """

    processing_ms: float
    network_ms: float
    cycle_ms: float
    age_ms: float


@dataclass(frozen=True)
class Recent:
    """Results of the last seconds.

    :param seconds: how many, fewer where work began since.
    :param rate_hz: results per second.
    :param age_ms: median age of their images; NaN = there were none.
    """

    seconds: float
    rate_hz: float
    age_ms: float


@dataclass
class Accounting:
    """Counters and recent times of one stage.

    Every frame in is out, dropped, stale, skipped or failed.

    :param received: frames (with people, behind the detector) that came in, or would have.
    :param published: results that went out.
    :param dropped: replaced by a newer frame before work on them began; of the detector also
        images that were replaced before it took them, or lost on the way.
    :param lost: how many of those dropped were lost on the way to a detector that waited for them.
    :param stale: older than `max_age_ms` when work on them would have begun.
    :param skipped: unusable input: the reason was logged.
    :param failed: an error of our own: the traceback was logged.
    :param unmatched: results of the stage before whose image never came.
    """

    received: int = 0
    published: int = 0
    dropped: int = 0
    lost: int = 0
    stale: int = 0
    skipped: int = 0
    failed: int = 0
    unmatched: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _samples: deque[tuple[float, Sample]] = field(
        default_factory=lambda: deque(maxlen=_RESULTS), repr=False
    )
    _times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES), repr=False)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a counter by its name."""
        with self._lock:
            setattr(self, what, getattr(self, what) + number)

    def frame_done(
        self, at_s: float, processing_ms: float, network_ms: float, age_ms: float
    ) -> Sample:
        """Note a result that went out at a time, and return its times, the cycle's among them."""
        with self._lock:
            self.published += 1
            cycle_ms = (at_s - self._samples[-1][0]) * 1e3 if self._samples else float('nan')
            sample = Sample(processing_ms, network_ms, cycle_ms, age_ms)
            self._samples.append((at_s, sample))
            self._times_s.append(at_s)
        return sample

    def recent(self, now_s: float, seconds: float) -> Recent:
        """Return what came out in the last seconds, by the clock of `frame_done`.

        :param seconds: up to 6, for rates up to 1000 Hz.
        """
        start_s = now_s - seconds
        with self._lock:
            ages = [sample.age_ms for at_s, sample in self._samples if at_s > start_s]
            times_s = list(self._times_s)
        rate_hz = _rate_hz(times_s, start_s, now_s)
        return Recent(seconds, rate_hz, _quantile(ages, 0.5) if ages else float('nan'))

    def summary(self) -> dict[str, float]:
        """Return counters, and medians of recent times in ms."""
        with self._lock:
            samples = [sample for _, sample in self._samples]
            values: dict[str, float] = {name: getattr(self, name) for name in COUNTERS}
        if not samples:
            return values
        values['processing_ms'] = _quantile([s.processing_ms for s in samples], 0.5)
        values['network_ms'] = _quantile([s.network_ms for s in samples], 0.5)
        # not that of a first result, which has none before it
        cycles = [s.cycle_ms for s in samples if s.cycle_ms == s.cycle_ms]
        if cycles:
            values['cycle_ms'] = _quantile(cycles, 0.5)
        ages = [s.age_ms for s in samples]
        for name, q in (('age_ms', 0.5), ('age_p95_ms', 0.95), ('age_p99_ms', 0.99)):
            values[name] = _quantile(ages, q)
        return values


def _rate_hz(times_s: Sequence[float], start_s: float, now_s: float) -> float:
    """Return results per second from a time on until now, or since the first of them.

    It is the number of intervals between them that lie in that time, a part of one by its share:
    exact for steady results, down to one each five seconds. Silence after the last counts as soon
    as it is longer than an interval.

    :param times_s: of results, ascending.
    """
    first = bisect_right(times_s, start_s)
    if first == len(times_s):
        return 0.0
    intervals = len(times_s) - first - 1.0
    if first == 0:
        start_s = times_s[0]
    else:
        intervals += (times_s[first] - start_s) / (times_s[first] - times_s[first - 1])
    span_s = times_s[-1] - start_s
    if span_s <= 0:
        return 0.0
    # what is counted ends with the last result, or, where the next is overdue, with its absence
    return min(intervals / span_s, (intervals + 1) / max(span_s, now_s - start_s))


def _quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]

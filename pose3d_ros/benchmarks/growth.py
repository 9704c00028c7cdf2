# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a number that is looked at again and again grows: its slope, robustly, and a verdict."""

from dataclasses import dataclass

import numpy as np

#: Samples are brought down to so many at the most, each the median of its neighbours: every pair
#: is looked at, and neighbours alone are not independent of each other.
_MOST = 240
_Z95 = 1.96  # of the normal distribution, both sides


@dataclass(frozen=True)
class Growth:
    """What became of a number.

    :param first: median of its first quarter.
    :param last: median of its last quarter.
    :param per_hour: its slope.
    :param low: lower end of the slope's 95 % interval.
    :param high: upper end.
    :param grows: at the lower end of that interval it rises by more than was asked for in the time
        that was looked at, and the quarters differ by more than that.
    """

    first: float
    last: float
    per_hour: float
    low: float
    high: float
    grows: bool


def growth(at_s: np.ndarray, values: np.ndarray, resolution: float) -> Growth:
    """Return the growth of a number over time by Theil and Sen: the median slope of all pairs.

    Neither a spike nor a step back, as when memory is given back, bends it. The interval is Sen's,
    by Kendall's rank correlation (P. K. Sen, JASA 63, 1968). Memory moves in steps that are not
    independent of each other, which makes the interval too narrow: so a rise counts only where it
    is larger than `resolution` besides, and so is what the slope makes of the time: a single step,
    as of one image more that had to wait, is none.

    :param at_s: (n,) times, seconds, increasing; n >= 4.
    :param values: (n,) the number at each.
    :param resolution: a smaller rise is no growth.
    :raises ValueError: fewer than four samples.
    """
    if len(values) < 4:
        raise ValueError(f'{len(values)} samples are too few to tell growth by: 4 or more')
    quarter = len(values) // 4
    first, last = float(np.median(values[:quarter])), float(np.median(values[-quarter:]))
    times, levels = _thinned(np.asarray(at_s, float)), _thinned(np.asarray(values, float))
    i, j = np.triu_indices(len(times), 1)
    slopes = np.sort((levels[j] - levels[i]) / (times[j] - times[i])) * 3600.0
    n = len(times)
    half = _Z95 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    low = float(slopes[max(0, round(len(slopes) / 2 - half))])
    high = float(slopes[min(len(slopes) - 1, round(len(slopes) / 2 + half))])
    hours = float(at_s[-1] - at_s[0]) / 3600.0
    grows = low * hours > resolution and last - first > resolution
    return Growth(first, last, float(np.median(slopes)), low, high, grows)


def least_per_hour(at_s: np.ndarray, resolution: float) -> float:
    """Return the slowest growth that samples of these times could have shown."""
    # the middles of first and last quarter lie three quarters of the time apart
    return 3600.0 * resolution / (0.75 * float(at_s[-1] - at_s[0]))


def _thinned(values: np.ndarray) -> np.ndarray:
    """Return the medians of neighbours, `_MOST` or as many as there are."""
    parts = np.array_split(values, min(len(values), _MOST))
    return np.array([np.median(part) for part in parts])

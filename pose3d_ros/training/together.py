# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the processes of a training have to decide and to know alike."""

from time import monotonic

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

#: Between two times that processes ask each other: about so long, and so many steps at the most.
_ASK_S, _ASK_STEPS = 1.0, 10


class Together:
    """The processes of a training, one of which is this one; all of them ask at the same places.

    :param accelerator: connects them.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self._steps, self._ask_at = 0, 1
        self._asked_at = monotonic()

    def any(self, flag: bool) -> bool:
        """Return whether any of them says so."""
        if self.accelerator.num_processes == 1:
            return flag
        (said,) = self._means(float(flag))
        return said > 0

    def any_soon(self, flag: bool) -> bool:
        """Return whether any of them says so, asked after each step.

        Several processes wait for each other and for their devices to ask, which they do about once
        a second, and after ten steps at the latest: in between it is no. Their clocks differ, so
        that how many steps a second has is agreed on, too.
        """
        if self.accelerator.num_processes == 1:
            return flag
        self._steps += 1
        if self._steps < self._ask_at:
            return False
        said, step_s = self._means(float(flag), (monotonic() - self._asked_at) / self._steps)
        self._steps, self._asked_at = 0, monotonic()
        self._ask_at = max(1, int(min(_ASK_STEPS, _ASK_S / max(step_s, 1e-9))))
        return said > 0

    def share_statistics(self, network: nn.Module) -> None:
        """Give all of them the first one's statistics of batch norms, which snapshots have.

        Each has its own of its last batches.
        """
        for statistics in network.buffers():
            broadcast(statistics)

    def _means(self, *values: float) -> list[float]:
        """Return the means over the processes, the same in all to the bit."""
        own = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        means: list[float] = self.accelerator.reduce(own, 'mean').tolist()
        return means

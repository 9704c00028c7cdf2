"""Joining an image with what was seen in it, by exact stamp, in bounded memory."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.inputs import (
    RESULT_QOS,
    Cameras,
    Frame,
    Input,
    cameras,
    image_input,
    stamp_ns,
)
from pose3d_ros.nodes.parameters import Param, value_of
from pose3d_ros.nodes.stage import LOG_EVERY_S, Stage

A = TypeVar('A')
B = TypeVar('B')


class Joiner(Generic[A, B]):
    """Two streams of stamped things, of which equal stamps belong together.

    Either side may come first. Each side holds `capacity` things at the most, the oldest leave
    first. A stamp older than the one before it on the same side means that the clock jumped back
    (a bag that loops): what was waiting belongs to another time and is forgotten.

    :param capacity: things held per side.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        #: Things of the right side that left without a partner.
        self.unmatched = 0
        self._left: OrderedDict[int, A] = OrderedDict()
        self._right: OrderedDict[int, B] = OrderedDict()
        self._newest_left = self._newest_right = -1

    def add_left(self, stamp_ns: int, thing: A) -> tuple[A, B] | None:
        """Take a thing of the left side (images); return the pair when it is complete."""
        if stamp_ns < self._newest_left:
            self._left.clear()
            self._right.clear()
        self._newest_left = stamp_ns
        self._left[stamp_ns] = thing
        while len(self._left) > self.capacity:
            self._left.popitem(last=False)
        return self._take(stamp_ns)

    def add_right(self, stamp_ns: int, thing: B) -> tuple[A, B] | None:
        """Take a thing of the right side (people); return the pair when it is complete."""
        if stamp_ns < self._newest_right:
            # only this side: the images of the new time may be here already
            self._right.clear()
        self._newest_right = stamp_ns
        self._right[stamp_ns] = thing
        while len(self._right) > self.capacity:
            self._right.popitem(last=False)
            self.unmatched += 1
        return self._take(stamp_ns)

    def __len__(self) -> int:
        return len(self._left) + len(self._right)

    def _take(self, stamp_ns: int) -> tuple[A, B] | None:
        if stamp_ns not in self._left or stamp_ns not in self._right:
            return None
        pair = self._left.pop(stamp_ns), self._right.pop(stamp_ns)
        # people come in the order of their images, so older images wait for nobody
        for old in [stamp for stamp in self._left if stamp < stamp_ns]:
            del self._left[old]
        return pair


class JoiningStage(Stage):
    """A stage that joins each image with what the stage before saw in it.

    :param topic: where the people come from.
    :param joined: False = the stage before runs in the same process and calls `submit`.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[Param],
        topic: str,
        joined: bool,
        camera: Cameras | None,
        **options: Any,
    ) -> None:
        super().__init__(name, parameters, **options)
        self.camera = camera or cameras(self)
        self._joiner: Joiner[Frame, PersonArray] = Joiner(value_of(self, 'buffer'))
        if not joined:
            self._images = image_input(self, self._take_frame)
            self._persons = Input(self, topic, PersonArray, topic, RESULT_QOS, self._take_persons)

    def _take_frame(self, frame: Frame) -> None:
        self._submit(self._joiner.add_left(stamp_ns(frame.header), frame))

    def _take_persons(self, message: PersonArray) -> None:
        before = self._joiner.unmatched
        self._submit(self._joiner.add_right(stamp_ns(message.header), message))
        if self._joiner.unmatched > before:
            self.accounting.count('unmatched')
            self.get_logger().warning(
                f'{self._joiner.unmatched} results came without their image so far: the image was '
                "lost, or left the buffer before (parameter 'buffer')",
                throttle_duration_sec=LOG_EVERY_S,
            )

    def _submit(self, pair: tuple[Frame, PersonArray] | None) -> None:
        if pair is not None:
            self.submit(*pair)

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Joining an image with what was seen in it, by exact stamp, in bounded memory."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pose3d_ros.camera import Camera
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.camera_inputs import Cameras, cameras
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame, Input, Unusable, image_input, stamp_ns
from pose3d_ros.nodes.parameters import Param, ParameterError, value_of
from pose3d_ros.nodes.stage import LOG_EVERY_S, Stage
from pose3d_ros.nodes.stage_parameters import CAMERA

A = TypeVar('A')
B = TypeVar('B')
T = TypeVar('T')
U = TypeVar('U')
S = TypeVar('S', Frame, PersonArray)

#: How long people wait for their image. It was published before they were looked for, and comes by
#: the same road: a tenth of this is much. One of their stamp that comes later is of another loop.
PATIENCE_S = 0.5


@dataclass(eq=False)
class _Waiting(Generic[T]):
    """What waits for its partner.

    :param number: how many of its side had come by then, with it.
    :param generation: how often its side's clock had jumped back.
    :param newest: how often that of either side had, when it came.
    :param since_s: when it came, by the joiner's clock.
    """

    stamp_ns: int
    number: int
    generation: int
    newest: int
    since_s: float
    thing: T


@dataclass
class _Side(Generic[T]):
    """One of the streams.

    :param count: things that came.
    :param generation: how often its clock has jumped back.
    :param newest_ns: stamp of its last thing.
    :param waiting: in the order of coming.
    """

    count: int = 0
    generation: int = 0
    newest_ns: int = -1
    waiting: list[_Waiting[T]] = field(default_factory=list)

    def drop_before(self, generation: int, stamp_ns: int) -> int:
        """Return how many things had to leave."""
        return self._keep(lambda w: (w.generation, w.stamp_ns) >= (generation, stamp_ns))

    def drop_since(self, since_s: float) -> int:
        """Return how many things had to leave, as they have waited since then or longer."""
        return self._keep(lambda w: w.since_s > since_s)

    def _keep(self, stays: Callable[[_Waiting[T]], bool]) -> int:
        before = len(self.waiting)
        self.waiting = [w for w in self.waiting if stays(w)]
        return before - len(self.waiting)


class _Taker:
    """Who takes up the newest of what has come when he is done with the one before.

    So what he has in hand came about when a result of his did.

    :param results: so many of his results are kept in mind, which is for as much in hand at once.
    """

    def __init__(self, results: int) -> None:
        self.count = 0  # of what has come
        # how much had come with each result; at the start he took up the first
        self._at: deque[int] = deque([0], results)

    def result(self) -> None:
        """Note that a result came."""
        self._at.append(self.count)

    def distance(self, number: int) -> int:
        """Return how far from a result something came, of those that came or could come now."""
        return min(abs(number - at) for at in (*self._at, self.count))


class Joiner(Generic[A, B]):
    """Two streams of stamped things, of which equal stamps belong together.

    Either side may come first. Each side holds `capacity` things at the most, the oldest leave
    first. A stamp older than the one before it on the same side means that the clock jumped back
    (a bag that loops): from then on that side's things are of a new generation, and only things of
    one generation belong together. What is still on its way from the last images before the jump
    finds them so, and never those of the same stamps in the next loop. Where things were lost
    around a jump, one side may not have seen it: it learns of it by a thing that came after it.

    Far more images may come than are held until their people do. Whoever finds people takes up the
    newest image when he is done with the one before. So those of the next people, and of all that
    he has in hand, came about when others of his did: of too many images the one leaves that is
    farthest from that, counted in images. Where the people go through a second stage before they
    come, the first stage's are announced, and the second takes up the newest of these: so which of
    the announced images it has in hand is told in the same way by its own people.

    People whose image was lost wait for `PATIENCE_S`: in a bag that loops, its stamp comes again.

    :param capacity: things held per side.
    :param clock: seconds that only ever go on.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity, self._clock = capacity, clock
        #: Things of the right side that left without a partner.
        self.unmatched = 0
        # of images, and of those whose people are announced
        self._first, self._second = (_Taker(max(1, capacity // 8)) for _ in range(2))
        self._announced: dict[int, int] = {}  # stamp -> number of those announced until then
        self._left: _Side[A] = _Side()
        self._right: _Side[B] = _Side()

    def add_left(self, stamp_ns: int, thing: A) -> tuple[A, B] | None:
        """Take a thing of the left side (images); return the pair when it is complete."""
        new = self._arrived(stamp_ns, thing, self._left, self._right)
        self._first.count = new.number
        partner = _partner(new, self._left, self._right)
        if partner is not None:
            return self._matched(new, partner)
        self._hold(new, self._left, self._distance)
        return None

    def add_right(self, stamp_ns: int, thing: B) -> tuple[A, B] | None:
        """Take a thing of the right side (people); return the pair when it is complete."""
        new = self._arrived(stamp_ns, thing, self._right, self._left)
        images = self._left.waiting
        if images and images[-1].stamp_ns == self._left.newest_ns:
            # the last image: no later one tells whether it came before the jump or behind it
            images[-1].newest = new.newest
        self._note_result(stamp_ns)
        partner = _partner(new, self._right, self._left)
        if partner is not None:
            return self._matched(partner, new)
        self.unmatched += self._hold(new, self._right, lambda w: new.number - w.number)
        return None

    def announce(self, stamp_ns: int) -> None:
        """Take note that people were found in an image, who will come from the stage behind."""
        self._first.result()
        self._second.count += 1
        numbers = {**self._announced, stamp_ns: self._second.count}
        self._announced = {
            s: n for s, n in numbers.items() if self._second.distance(n) < self.capacity
        }

    def __len__(self) -> int:
        return len(self._left.waiting) + len(self._right.waiting)

    def _arrived(self, stamp_ns: int, thing: T, side: _Side[T], other: _Side[U]) -> _Waiting[T]:
        now_s = self._clock()
        side.count += 1
        self.unmatched += self._right.drop_since(now_s - PATIENCE_S)
        side.generation += stamp_ns < side.newest_ns
        side.newest_ns = stamp_ns
        newest = max(side.generation, other.generation)
        return _Waiting(stamp_ns, side.count, side.generation, newest, now_s, thing)

    def _note_result(self, stamp_ns: int) -> None:
        """Note that the last stage is done with an image."""
        last = self._second if self._second.count else self._first
        last.result()
        # those before it were passed over, or are done
        done = self._announced.get(stamp_ns, 0)
        self._announced = {s: n for s, n in self._announced.items() if n > done}

    def _distance(self, image: _Waiting[A]) -> int:
        """Return how far an image is from those that people may come of."""
        number = self._announced.get(image.stamp_ns)
        if number is None:
            return self._first.distance(image.number)
        return self._second.distance(number)

    def _hold(
        self, new: _Waiting[T], side: _Side[T], distance: Callable[[_Waiting[T]], int]
    ) -> int:
        """Let a thing wait, in place of one of its stamp; return how many had to leave for it.

        :param distance: the farthest leave, of several the oldest.
        """
        before, own = len(side.waiting), (new.generation, new.stamp_ns)
        side.waiting = [w for w in side.waiting if (w.generation, w.stamp_ns) != own]
        side.waiting.append(new)
        if len(side.waiting) > self.capacity:
            side.waiting.remove(max(side.waiting, key=distance))
        return before + 1 - len(side.waiting)

    def _matched(self, left: _Waiting[A], right: _Waiting[B]) -> tuple[A, B]:
        generation = max(left.generation, right.generation)
        # people come in the order of their images, so older images wait for nobody
        self._left.drop_before(generation, left.stamp_ns)
        self.unmatched += self._right.drop_before(generation, -1)
        return left.thing, right.thing


def _partner(new: _Waiting[T], side: _Side[T], other: _Side[U]) -> _Waiting[U] | None:
    """Take what a thing belongs to from the other side: of its generation, or else of one that
    both may be of, since a side may not have seen that the clock jumped back."""
    candidates = [
        w
        for w in other.waiting
        if w.stamp_ns == new.stamp_ns and w.generation <= new.newest and w.newest >= new.generation
    ]
    if not candidates:
        return None
    found = max(candidates, key=lambda w: (w.generation == new.generation, w.generation))
    other.waiting.remove(found)
    side.generation = max(side.generation, found.generation)
    other.generation = max(other.generation, new.generation)
    return found


class JoiningStage(Stage):
    """A stage that joins each image with what the stage before saw in it.

    :param topic: where the people come from.
    :param announced: where it is told before in which images people were found; None = by nobody.
    :param joined: the stage before runs in the same process and hands them over.
    :param lender: the stage in the same process that has the camera for both; None = this one.
    """

    #: Where it has its camera from, once it is configured; the lender's, where there is one.
    camera: Cameras

    def __init__(
        self,
        name: str,
        parameters: Sequence[Param],
        topic: str,
        announced: str | None,
        joined: bool,
        lender: 'JoiningStage | None',
        **options: Any,
    ) -> None:
        super().__init__(name, parameters, joined, **options)
        self._topic, self._announced, self._lender = topic, announced, lender
        self._joiner: Joiner[Frame, PersonArray] = Joiner(0)

    def load(self) -> None:
        """Look at the camera's parameters; a subclass loads its networks besides.

        :raises ParameterError: no camera can be so, or the lender's is another.
        """
        if self._lender is None:
            self.camera = cameras(self)
            return
        for param in CAMERA:
            lent, ours = value_of(self._lender, param.name), value_of(self, param.name)
            if ours not in (lent, param.default):
                one, other = self.get_name(), self._lender.get_name()
                raise ParameterError(
                    f"parameter '{param.name}' is {ours} for {one} and {lent} for {other}, "
                    f'whose camera counts for both in one process: set it for {other}'
                )

    def camera_of(self, frame: Frame) -> Camera:
        """Return the camera that took an image.

        :raises Unusable: it is not known.
        """
        source = self._lender or self
        if not source.configured:
            raise Unusable(f'{source.get_name()}, which has the camera, is not configured')
        return source.camera.camera_of(frame)

    def subscribe(self) -> Iterator[Input]:
        """Subscribe to camera_info, and where they are not handed over, to images and people."""
        if not self._lender:
            yield self.camera.subscribe()
        if self.joined:
            return
        # what waited has been joined with what came since, or never will be
        self._joiner = Joiner(value_of(self, 'buffer'))
        yield image_input(self, self._take_frame)
        people, news = self._topic, self._announced
        yield Input(self, people, PersonArray, people, RESULT_QOS, self._take_persons)
        if news is not None:
            # where nobody announces, the people themselves tell what they can
            yield Input(self, news, PersonArray, news, RESULT_QOS, self._take_news, needed=False)

    def _take_frame(self, frame: Frame) -> None:
        if not stamp_ns(frame.header):
            self.accounting.count('received')
            self.accounting.count('skipped')
            self.get_logger().warning(
                'frame skipped: its stamp is zero, so that the people of one image cannot be told '
                'from those of another. Let the camera driver set header.stamp, or run the three '
                'stages in one process (pipeline), which needs no join',
                throttle_duration_sec=LOG_EVERY_S,
            )
            return
        self._join(self._joiner.add_left, frame)

    def _take_news(self, message: PersonArray) -> None:
        self._joiner.announce(stamp_ns(message.header))

    def _take_persons(self, message: PersonArray) -> None:
        if not stamp_ns(message.header):
            return  # of an image that was counted as skipped, and named
        self._join(self._joiner.add_right, message)

    def _join(self, add: Callable[[int, S], tuple[Frame, PersonArray] | None], thing: S) -> None:
        before = self._joiner.unmatched
        pair = add(stamp_ns(thing.header), thing)
        if lost := self._joiner.unmatched - before:
            self.accounting.count('unmatched', lost)
            self.get_logger().warning(
                f'{self._joiner.unmatched} results came without their image so far: the image was '
                "lost, came too late, or left the buffer before (parameter 'buffer')",
                throttle_duration_sec=LOG_EVERY_S,
            )
        if pair is not None:
            self.submit(*pair)

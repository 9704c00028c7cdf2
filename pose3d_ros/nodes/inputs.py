# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Inputs of a stage: images and results, and a word when one of them does not come."""

import copy
import difflib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from pose3d_ros.nodes.cdr import ImageView, read_image
from pose3d_ros.nodes.messages import (
    MessageError,
    image_from_compressed,
    image_from_message,
)
from pose3d_ros.nodes.parameters import ParameterError, value_of
from pose3d_ros.transport import segment_bytes

#: Depth 1: the middleware keeps the newest, never a queue.
SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Small results: reliable, so that recorders lose nothing.
RESULT_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

#: What images may come as -> what else they may, and the `image_transport` that takes that.
_OTHER_TRANSPORT = {Image: (CompressedImage, 'compressed'), CompressedImage: (Image, 'raw')}
_COMPRESSED = '/compressed'  # behind the name of a topic

_WARN_EVERY_S = 60.0
_ALIKE = 0.6  # from where on difflib calls two words close


class Unusable(Exception):
    """An input that no result can come from; the message says why. Counted, logged, skipped."""


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in nanoseconds, also one below 0, which rclpy's Time refuses."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def stamp_of(time_ns: int) -> Time:
    """Return the stamp of a time in nanoseconds, also of one below 0."""
    sec, nanosec = divmod(time_ns, 10**9)
    return Time(sec=sec, nanosec=nanosec)


def call_every(node: Node, period_s: float, callback: Callable[[], None]) -> None:
    """Call back in real time: a simulated one may stand still, or be published by nobody."""
    node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


@dataclass(eq=False)
class Frame:
    """One image message, decoded once, on first use, by whichever stage needs it first."""

    message: Image | ImageView | CompressedImage
    _image: np.ndarray | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def header(self) -> Header:
        """Return the message's header, which every result carries unchanged."""
        return self.message.header

    @property
    def image(self) -> np.ndarray:
        """Return the pixels (h, w, 3) uint8 BGR, not to be written to.

        :raises Unusable: the message cannot be decoded.
        """
        with self._lock:
            if self._image is None:
                compressed = isinstance(self.message, CompressedImage)
                decode = image_from_compressed if compressed else image_from_message
                try:
                    self._image = decode(self.message)
                except MessageError as error:
                    raise Unusable(str(error)) from error
            return self._image


class InputGroup(MutuallyExclusiveCallbackGroup):
    """What an executor knows inputs by; it takes messages only while there is use for them.

    Until then the newest stays in the middleware, where the next replaces it at no cost to us: a
    large image that is taken to be dropped costs as much as one that is worked on.

    :param wanted: whether a message is to be taken now; the executor is to be woken when that
        changes. None = always.
    """

    def __init__(self, wanted: Callable[[], bool] | None) -> None:
        super().__init__()
        self._wanted = wanted

    def can_execute(self, entity: object) -> bool:
        """Return whether a message may be taken."""
        return (self._wanted is None or self._wanted()) and super().can_execute(entity)


class Input:
    """A subscription that notices silence, and publishers that do not belong together.

    :param what: what comes here, for the warning.
    :param topic: its name before remapping.
    :param callback: takes the messages.
    :param raw: as serialised bytes.
    :param needed: whether silence is worth a word.
    :param wanted: whether a message is to be taken now; None = always.
    :param missed: told how many messages a newer one replaced before they were taken, or were lost
        on the way, and how long ago the one before these was taken, seconds: by the publisher's
        numbers, where the middleware tells them.
    :raises ParameterError: what the parameters qos_overrides say is no quality of service.
    """

    def __init__(
        self,
        node: Node,
        what: str,
        message_type: type,
        topic: str,
        qos: QoSProfile,
        callback: Callable[[Any], None],
        raw: bool = False,
        needed: bool = True,
        wanted: Callable[[], bool] | None = None,
        missed: Callable[[int, float], None] | None = None,
    ) -> None:
        self._wanted, self._missed = wanted, missed
        self._number = 0  # the publisher's, of the last message
        self._node, self._what, self._type, self._given = node, what, message_type, topic
        self._callback, self._needed = callback, needed
        self._several: frozenset[str] = frozenset()  # publishers that were named
        #: Messages that came, and the bytes of the last, where they are taken as bytes.
        self.count = self.last_bytes = 0
        self._room_bytes = segment_bytes(os.environ)
        self._taken_s = self._last_s = self._warned_s = time.monotonic()
        self._warned_s -= _WARN_EVERY_S
        # a copy, which rclpy changes to what the parameters qos_overrides say
        self._qos = copy.copy(qos)
        #: Its name in the graph.
        self.topic = str(node.resolve_topic_name(topic))
        try:
            self._subscription = node.create_subscription(
                message_type,
                topic,
                self._take,
                self._qos,
                raw=raw,
                callback_group=InputGroup(wanted),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        except (RuntimeError, InvalidParameterTypeException) as error:
            raise ParameterError(
                f'no subscription is possible with the parameters {self._overrides()}: {error}'
            ) from error

    def close(self) -> None:
        """Take nothing any more: the middleware does not even receive it."""
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: object, info: Mapping[str, Any]) -> None:
        self._note_missed(info.get('publication_sequence_number') or 0)
        self.count += 1
        if isinstance(message, bytes):
            self.last_bytes = len(message)
        self._taken_s = self._last_s = time.monotonic()
        self._warned_s = self._last_s - _WARN_EVERY_S
        self._callback(message)

    def _note_missed(self, number: int) -> None:
        before, self._number = self._number, number
        if not self._missed or not 0 < before < number - 1:
            return  # also after a publisher that started anew: it counts from 1
        if self._node.count_publishers(self.topic) == 1:  # the numbers of several say nothing
            self._missed(number - 1 - before, time.monotonic() - self._taken_s)

    def silent_s(self) -> float:
        """Return the seconds since the last message, or the making."""
        return time.monotonic() - self._last_s

    def silence(self) -> str:
        """Return why nothing may come, if that lasts; '' = something does, or need not."""
        if not self._needed or self.silent_s() < value_of(self._node, 'warn_after_s'):
            return ''
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        text = f'no {self._what} on {self.topic} for {value_of(self._node, "warn_after_s"):g} s: '
        return text + (self._why_unheard(publishers) if publishers else self._who_else())

    def squeeze(self) -> str:
        """Return that messages are larger than shared memory; '' = they are not, or it is unknown.

        That of the publisher counts; it is taken to have the settings of this process.
        """
        room = self._room_bytes
        if room is None or self.last_bytes <= room:
            return ''
        return (
            f'messages of {self.last_bytes / 1e6:.1f} MB on {self.topic}, and shared memory of '
            f'{room / 1e6:.1f} MB with the settings here: most are lost where the publisher has '
            'the same (README, "Large images")'
        )

    def watch(self) -> str:
        """Return `silence`, which is also logged, once a minute while it lasts."""
        self._warn_if_several()
        now_s = time.monotonic()
        if self._wanted and not self._wanted():
            self._last_s = now_s  # what is not taken may well be there
        silence = self.silence()
        if silence and now_s - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = now_s
            self._node.get_logger().warning(silence)
        return silence

    def _warn_if_several(self) -> None:
        """Name the publishers of one topic: two cameras, or a bag beside one, mix their messages.

        Of the same name is one that was started again: the one before is forgotten in a while.
        """
        names = frozenset(map(_full_name, self._node.get_publishers_info_by_topic(self.topic)))
        if len(names) > 1 and names != self._several:
            self._node.get_logger().warning(
                f'{len(names)} nodes publish {self.topic}: {", ".join(sorted(names))}. What they '
                'send is mixed here: stop all but one, or remap them apart'
            )
        self._several = names

    def _why_unheard(self, publishers: Sequence[TopicEndpointInfo]) -> str:
        """Return who publishes and how, and why that may not arrive."""
        offered = ', '.join(
            f'{_full_name(p)} ({p.qos_profile.reliability.name})' for p in publishers
        )
        text = (
            f'{len(publishers)} publisher(s): {offered}; asked for {self._qos.reliability.name}. '
        )
        own = _type_name(self._type)
        if others := sorted({p.topic_type for p in publishers} - {own}):
            return f'{text}It is published as {", ".join(others)}, not as {own}'
        # reasons end in a semicolon and a space each
        checks = [qos_check_compatible(p.qos_profile, self._qos) for p in publishers]
        misfits = {why.rstrip('; ') for fits, why in checks if fits == QoSCompatibility.ERROR}
        if misfits:
            return (
                f'{text}These do not fit together ({"; ".join(sorted(misfits))}): change the '
                f'publisher, or the parameters {self._overrides()}'
            )
        room = self._room_bytes
        here = '' if room is None else f'{room / 1e6:.1f} MB with the settings here; '
        return (
            f'{text}Is the publisher idle, or are its messages larger than its shared memory '
            f'({here}README, "Large images")?'
        )

    def _overrides(self) -> str:
        return f"'qos_overrides.{self.topic}.subscription.*'"

    def _who_else(self) -> str:
        """Return what topics could be meant, the most similar first."""
        alike = self._published(self._type)
        text = (
            f'nobody publishes it. Topics with {_type_name(self._type)}: '
            f'{", ".join(alike) or "none"}.'
        )
        if other := self._other_transport(alone=not alike):
            return f'{text} {other}'
        if not alike or self._likeness(alike[0]) < _ALIKE:
            return f'{text} Is it to be remapped?'
        return f'{text} Is {alike[0]} meant? Then remap: {_remapping(self._given, alike[0])}'

    def _other_transport(self, alone: bool) -> str:
        """Return what images could be meant that come in the transport which was not asked for.

        :param alone: there are none in the one that was; otherwise only those beside it are meant.
        """
        if self._type not in _OTHER_TRANSPORT:
            return ''
        kind, transport = _OTHER_TRANSPORT[self._type]
        suffix, found = _COMPRESSED * (transport == 'compressed'), self._published(kind)
        if (meant := self.topic.removesuffix(_COMPRESSED) + suffix) in found:
            remapped = ''
        elif alone and found and self._likeness(meant := found[0]) >= _ALIKE:
            remapped = f', and remap: {_remapping("image_raw" + suffix, meant)}'
        else:
            return ''
        return (
            f'{meant} is published as {_type_name(kind)}. Is it meant? Then set the parameter '
            f"'image_transport' to {transport}{remapped}"
        )

    def _published(self, kind: type) -> list[str]:
        """Return the topics of a type that somebody publishes, the most similar first."""
        name, node = _type_name(kind), self._node
        found = [t for t, types in node.get_topic_names_and_types() if name in types]
        return sorted(filter(node.count_publishers, found), key=self._likeness, reverse=True)

    def _likeness(self, topic: str) -> float:
        theirs, ours = (t.removesuffix(_COMPRESSED).rpartition('/')[2] for t in (topic, self.topic))
        return difflib.SequenceMatcher(None, theirs, ours).ratio()


def _type_name(kind: type) -> str:
    return kind.__module__.split('.')[0] + '/msg/' + kind.__name__


def _remapping(given: str, topic: str) -> str:
    """Return the argument that makes a topic another: one does for both transports of images."""
    if topic.endswith(_COMPRESSED):
        given, topic = 'image_raw', topic.removesuffix(_COMPRESSED)
    return f'-r {given}:={topic}'


def _full_name(publisher: TopicEndpointInfo) -> str:
    """Return the name of a publisher's node with its namespace."""
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'


def image_input(
    node: Node,
    callback: Callable[[Frame], None],
    wanted: Callable[[], bool] | None = None,
    missed: Callable[[int, float], None] | None = None,
) -> Input:
    """Subscribe to the image topic in the transport that the parameter asks for.

    :param wanted: as of `Input`.
    :param missed: as of `Input`.
    """
    if value_of(node, 'image_transport') == 'compressed':
        return Input(
            node,
            'image',
            CompressedImage,
            image_name(node),
            SENSOR_QOS,
            lambda m: callback(Frame(m)),
            wanted=wanted,
            missed=missed,
        )

    def take(serialised: bytes) -> None:
        try:
            frame = Frame(read_image(serialised))
        except ValueError as error:
            node.get_logger().warning(f'image ignored: {error}', throttle_duration_sec=5.0)
            return
        callback(frame)

    return Input(
        node,
        'image',
        Image,
        image_name(node),
        SENSOR_QOS,
        take,
        raw=True,
        wanted=wanted,
        missed=missed,
    )


def image_name(node: Node) -> str:
    """Return the name of the image topic, which may be remapped yet."""
    if value_of(node, 'image_transport') == 'raw':
        return 'image_raw'
    # of the name after remapping: whoever remaps image_raw does so for both transports
    return str(node.resolve_topic_name('image_raw')) + _COMPRESSED


def image_topic(node: Node) -> str:
    """Return the name of the image topic in the graph."""
    return str(node.resolve_topic_name(image_name(node)))

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A bag's images through the stages, into a bag with everything of the first and the results."""

import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tqdm import tqdm

from pose3d_ros import going_on
from pose3d_ros.bag_parts import PartedBag, Topic
from pose3d_ros.bags import Bag, BagError, BagMessage, messages, open_bag
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.bag_images import (
    BagImages,
    Decoder,
    Recorded,
    recorded,
    refuse_useless,
    time_s,
)
from pose3d_ros.nodes.inputs import Unusable
from pose3d_ros.nodes.markers import MarkerMaker
from pose3d_ros.nodes.messages import (
    persons_from_message,
    persons_to_message,
    poses_from_message,
    poses_to_message,
)
from pose3d_ros.offline import Stages, Trackers
from pose3d_ros.overlapping import Found, Overlapped, poses_as_in_message
from pose3d_ros.tracking import Tracker
from pose3d_ros.tracking3d import MotionOptions, Tracker3D
from pose3d_ros.video import prefetched

#: Result -> type of its messages.
RESULTS = {
    'detections': 'pose3d_ros/msg/PersonArray',
    'roots': 'pose3d_ros/msg/PersonArray',
    'poses': 'pose3d_ros/msg/Pose3DArray',
    'markers': 'visualization_msgs/msg/MarkerArray',
}
_REMEDY = 'another output, or --overwrite to replace it'
# More streams than this hold more memory each, and bring little.
_MOST_STREAMS = 8
# What a process that is killed loses at the most. Parts are not smaller, since each has an index.
_PART_BYTES, _PART_S = 2**30, 300.0


@dataclass(frozen=True)
class BagJob:
    """What is to be done.

    :param source: the bag to read.
    :param out: the folder of the bag to write.
    :param images: where its images are.
    :param namespace: of the topics of the results.
    :param markers: write those for RViz too.
    :param settings: all that the numbers depend on; JSON holds it.
    """

    source: Path
    out: Path
    images: BagImages
    namespace: str
    markers: bool
    settings: dict[str, Any]

    def topics(self) -> dict[str, Topic]:
        """Return result -> its topic."""
        return {
            name: Topic.ours(f'{self.namespace}/{name}', type_name)
            for name, type_name in RESULTS.items()
            if name != 'markers' or self.markers
        }


@dataclass(frozen=True)
class Progress:
    """What there is, of this run and earlier ones; the notes of the bag hold it.

    :param messages: of the input that were copied.
    :param images: among them.
    :param unusable: images among them that could not be used: they have no results.
    :param first_unusable: which of them was the first, and why.
    :param complete: the input is at its end.
    """

    messages: int = 0
    images: int = 0
    unusable: int = 0
    first_unusable: str = ''
    complete: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    :param progress: with the earlier runs'.
    :param new_images: of this run.
    :param people: ids that were given, by all runs.
    :param elapsed_s: of this run, from the first message on, seconds.
    :param networks_s: of which networks ran, seconds.
    :param announced: messages that the input announces.
    """

    progress: Progress
    new_images: int
    people: int
    elapsed_s: float
    networks_s: float
    announced: int


def earlier_progress(job: BagJob, overwrite: bool) -> Progress:
    """Return how far an earlier run came that is gone on with: not at all, if it is replaced.

    :raises BagError: there is a bag that is not an earlier run's, or one with other settings.
    """
    out = PartedBag(job.out)
    if not (job.out / 'metadata.yaml').exists():
        return Progress()
    try:
        notes = out.notes or {}
        progress = Progress(**notes['progress'])
        record = {key: dict(notes[key]) for key in ('settings', 'precisions', 'versions')}
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(
            f'{job.out} is a bag that this `pose3d bag` did not write; give another output'
        ) from error
    if overwrite:
        return Progress()
    if why := going_on.other_settings(record, job.settings, _REMEDY):
        raise BagError(f'{job.out} {why}')
    return progress


def streams_of(threads: int) -> int:
    """Return in how many streams networks compute most images a second: one for each core.

    :param threads: cores that there are; 0 = all of the machine that this process may use.
    """
    return min(threads or len(os.sched_getaffinity(0)), _MOST_STREAMS)


def find_people(
    job: BagJob, stages: Stages, earlier: Progress, interrupted: Event, streams: int = 1
) -> Outcome:
    """Go through the bag from where an earlier run ended; one without a message is replaced.

    An interrupt and a damaged input leave what was done before.

    :param streams: what the stages were loaded with.
    :raises BagError: the input is damaged, none of its images can be used, or the stages would go
        on otherwise than the earlier run began; the message names it.
    :raises OSError: the output cannot be written; it holds the parts before.
    """
    with open_bag(job.source) as bag:
        _refuse_taken_topics(job, bag)
        trackers, ids = Trackers(Tracker(), Tracker3D(stages.posenet.skeleton)), set[str]()
        out = PartedBag(job.out)
        record = going_on.record_of(job.settings, stages)
        if earlier.messages:
            record = _record_to_go_on_with(out, stages)
            _feed_again(job, trackers, ids)
        else:
            out.remove()
        workers = streams + 2  # in the networks, one before and one behind them
        people: Overlapped[Header] = Overlapped(stages, trackers.boxes, workers)
        run = _Run(job, bag, out, record, earlier, ids, people, trackers.space, workers + 1)
        try:
            run.go(interrupted)
        finally:
            run.close()
        return run.outcome()


def _record_to_go_on_with(out: PartedBag, stages: Stages) -> dict[str, Any]:
    """Return the record of an earlier run.

    :raises BagError: the stages would go on otherwise than it began.
    """
    record = out.notes or {}
    if why := going_on.other_computing(record, stages, _REMEDY):
        raise BagError(f'{out.path} {why}')
    return record


def _refuse_taken_topics(job: BagJob, bag: Bag) -> None:
    ours = {topic.name for topic in job.topics().values()}
    if taken := sorted(ours & {connection.topic for connection in bag.connections}):
        raise BagError(
            f'{job.source} has {", ".join(taken)} already; give another --namespace for the results'
        )


def _feed_again(job: BagJob, trackers: Trackers, ids: set[str]) -> None:
    """Bring the trackers to where the earlier run left them.

    :raises BagError: what it wrote is damaged, or they give other ids than they gave then.
    """
    topics = [f'{job.namespace}/{name}' for name in ('detections', 'poses')]
    read = 0
    try:
        with open_bag(job.out) as bag:
            for message in messages(bag, topics):
                feed = _feed_poses if message.topic == topics[1] else _feed_people
                ids.update(feed(message, trackers))
                read += 1
    except (ValueError, RuntimeError) as error:  # RuntimeError: rclpy's of broken bytes
        raise BagError(
            f'{job.out} cannot be gone on with: behind {read} messages on {" and ".join(topics)}: '
            f'{error}. --overwrite starts anew; another output leaves it as it is'
        ) from error


def _feed_poses(message: BagMessage, trackers: Trackers) -> Sequence[str]:
    """Track poses again; their ids are those of the people, which are known."""
    given = deserialize_message(message.data, Pose3DArray)
    seen = poses_from_message(given).seen
    at_s = time_s(given.header, message.at_ns)
    trackers.space.update(seen, at_s, given.focal_length_px, MotionOptions())
    return ()


def _feed_people(message: BagMessage, trackers: Trackers) -> Sequence[str]:
    """Track people again; return their ids."""
    content = deserialize_message(message.data, PersonArray)
    before = persons_from_message(content)
    persons = trackers.boxes.update(before, time_s(content.header, message.at_ns))
    if persons.ids != before.ids:
        raise ValueError('it holds other ids than this version gives')
    return persons.ids


class _Run:
    """One pass: what is read goes to the networks, and in the same order to the output."""

    def __init__(
        self,
        job: BagJob,
        bag: Bag,
        out: PartedBag,
        record: dict[str, Any],
        earlier: Progress,
        ids: set[str],
        people: Overlapped[Header],
        space: Tracker3D,
        most_in_work: int,
    ) -> None:
        self._job, self._bag, self._people, self._ids = job, bag, people, ids
        self._space = space
        self._most_in_work = most_in_work
        self._progress, self._earlier = earlier, earlier
        self._decoder = Decoder(job.images)
        self._out, self._record = out, record
        self._results = job.topics()
        self._copied = {c.id: Topic.of(c) for c in bag.connections}
        self._make_markers = MarkerMaker()
        self._waiting: deque[tuple[Recorded, Future[Found[Header]] | None]] = deque()
        self._in_work = 0
        self._networks_s = 0.0
        self._start_s = time.monotonic()
        total = sum(c.msgcount for c in bag.connections if c.topic == job.images.topic)
        self._bar: tqdm[Any] = tqdm(
            total=total or None, initial=earlier.images, unit='image', disable=None, smoothing=0.1
        )

    def go(self, interrupted: Event) -> None:
        """Run to the end of the bag, or until told to stop."""
        rest = islice(recorded(self._bag, self._job.images), self._earlier.messages, None)
        self._begin_part()
        try:
            with closing(prefetched(rest)) as records:
                for record in records:
                    if interrupted.is_set():
                        break
                    self._take(record)
            self._write_waiting(leave=0)
            if not interrupted.is_set():
                self._refuse_useless(at_end=True)
            self._end_part(complete=not interrupted.is_set())
        except BagError:
            with suppress(BagError):  # again, that none of the images can be used
                self._write_waiting(leave=0)
            self._end_part(complete=False)  # all before it is well
            raise

    def _take(self, record: Recorded) -> None:
        found = None
        if record.is_image:
            found = self._people.submit(lambda: self._decoder.picture(record))
            self._in_work += 1
        self._waiting.append((record, found))
        self._write_waiting(leave=self._most_in_work)

    def _write_waiting(self, leave: int) -> None:
        """Write what is done, in order, and wait until so many images are left in work."""
        while self._waiting:
            record, found = self._waiting[0]
            if found is not None and self._in_work <= leave and not found.done():
                return
            result, unusable = None, ''
            try:
                result = None if found is None else found.result()
            except Unusable as error:
                unusable = str(error)
            self._waiting.popleft()
            self._in_work -= record.is_image
            self._write(record, result, unusable)

    def _write(self, record: Recorded, found: Found[Header] | None, unusable: str) -> None:
        message, p = record.message, self._progress
        self._out.write(self._copied[message.connection.id], message.at_ns, message.data)
        if found is not None:
            self._publish(found, message.at_ns)
        self._progress = replace(
            p,
            messages=p.messages + 1,
            images=p.images + record.is_image,
            unusable=p.unusable + bool(unusable),
            first_unusable=p.first_unusable or unusable,
        )
        self._bar.update(record.is_image)
        old = time.monotonic() - self._out.part_started_s > _PART_S
        if old or self._out.part_bytes > _PART_BYTES:
            self._end_part(complete=False)
            self._begin_part()
        if unusable:
            self._refuse_useless()

    def _refuse_useless(self, at_end: bool = False) -> None:
        p = self._progress
        refuse_useless(self._job.source, p.images, p.unusable, p.first_unusable, at_end)

    def _publish(self, found: Found[Header], at_ns: int) -> None:
        """Write the results of an image at its log time."""
        header, camera = found.header, found.camera
        # as the node has them: without whom the network could not place, with those who coast
        placed = poses_as_in_message(found.poses[found.poses.has_joints])
        at_s = time_s(header, at_ns)
        poses = self._space.update(placed, at_s, camera.focal_px, MotionOptions())
        contents = {
            'detections': persons_to_message(found.detected, header),
            'roots': persons_to_message(found.persons, header, camera),
            'poses': poses_to_message(poses, header, camera),
        }
        if self._job.markers:
            contents['markers'] = self._make_markers(poses, header)
        for name, content in contents.items():
            self._out.write(self._results[name], at_ns, serialize_message(content))
        self._ids.update(found.detected.ids)
        self._networks_s += found.networks_s

    def _begin_part(self) -> None:
        self._out.begin_part([*self._copied.values(), *self._results.values()])

    def _end_part(self, complete: bool) -> None:
        self._progress = replace(self._progress, complete=complete)
        self._out.end_part({**self._record, 'progress': vars(self._progress)})

    def close(self) -> None:
        """Wait for the networks; a part that was not completed is dropped."""
        self._people.close()
        self._out.drop_part()
        self._bar.close()

    def outcome(self) -> Outcome:
        """Return what came of it."""
        return Outcome(
            self._progress,
            self._progress.images - self._earlier.images,
            len(self._ids - {''}),
            time.monotonic() - self._start_s,
            self._networks_s,
            self._bag.message_count,
        )

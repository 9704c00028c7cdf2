# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Writing a bag in parts, so that what was written stays readable whatever happens next.

A part is an mcap file of the bag's folder, as rosbag2 itself splits bags. It gets its name when it
is whole, and the bag's metadata.yaml, written anew and put in place at once, then lists it. A
process that is killed therefore leaves a bag of all parts before, and notes in the metadata say
how far they reach.
"""

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import TypesysError

from pose3d_ros.bags import BAG_VERSION, IDL_HEAD, BagError, our_typestore, typestore_of

_METADATA = 'metadata.yaml'
_PART = '.part'  # the folder of the part that is being written
# rosbags takes no empty hash, but bags from before Iron have none: taken out of the metadata again.
_NO_HASH = 'RIHS01_' + 64 * '0'


@dataclass(frozen=True)
class Topic:
    """What a bag says of a topic.

    :param name: of the topic.
    :param type_name: e.g. 'sensor_msgs/msg/Image'.
    :param definition: the text of the type's definition; '' = not known.
    :param type_hash: REP-2011's; '' = not known.
    :param serialization: 'cdr'.
    :param qos: rosbags' profiles that its publishers offered.
    """

    name: str
    type_name: str
    definition: str
    type_hash: str
    serialization: str = 'cdr'
    qos: Sequence[Any] = ()

    @classmethod
    def of(cls, connection: Connection) -> 'Topic':
        """Return the topic of a connection of a bag, whether we know its type or not."""
        definition, type_hash = connection.msgdef.data, connection.digest
        is_idl = connection.msgdef.format == MessageDefinitionFormat.IDL
        if is_idl and not definition.startswith(IDL_HEAD):
            definition = f'{IDL_HEAD}{connection.msgtype}\n{definition}'
        with suppress(TypesysError, KeyError):  # of a type that only its publisher knows
            store = typestore_of(connection)
            definition = definition or store.generate_msgdef(connection.msgtype, ros_version=2)[0]
            type_hash = type_hash or store.hash_rihs01(connection.msgtype)
        qos = tuple(connection.ext.offered_qos_profiles)
        format_ = connection.ext.serialization_format
        return cls(connection.topic, connection.msgtype, definition, type_hash, format_, qos)

    @classmethod
    def ours(cls, name: str, type_name: str) -> 'Topic':
        """Return a topic of a type of Jazzy, or of ours."""
        store = our_typestore()
        definition, _ = store.generate_msgdef(type_name, ros_version=2)
        return cls(name, type_name, definition, store.hash_rihs01(type_name))

    @property
    def key(self) -> tuple[object, ...]:
        """Return what a bag takes only once: several publishers of a topic may have one each."""
        return self.name, self.type_name, self.serialization, repr(list(self.qos))


class PartedBag:
    """A bag's folder that grows by whole parts.

    :param path: the folder; one that has parts already is gone on with.
    :param notes_key: of the writer's notes in the metadata.
    :raises BagError: it is a file, or the metadata of the parts there is damaged.
    """

    def __init__(self, path: Path, notes_key: str = 'pose3d_bag') -> None:
        self.path, self._notes_key = path, notes_key
        self._metadata: dict[str, Any] | None = None
        self._writer: Writer | None = None
        self._connections: dict[tuple[object, ...], Connection] = {}
        #: Bytes in the part that is being written, and the clock's time at its start, seconds.
        self.part_bytes, self.part_started_s = 0, 0.0
        if path.exists() and not path.is_dir():
            raise BagError(f'{path} is a file; a bag is written into a folder')
        if (path / _METADATA).exists():
            self._metadata = _read_metadata(path / _METADATA)
        self._remove_loose_ends()

    @property
    def notes(self) -> dict[str, Any] | None:
        """Return what was noted with the last part; None = there is none, or nothing of ours."""
        if self._metadata is None:
            return None
        try:
            return dict(json.loads(self._metadata['custom_data'][self._notes_key]))
        except (KeyError, TypeError, ValueError):
            return None

    def begin_part(self, topics: Sequence[Topic]) -> None:
        """Open the next part, with the topics that it may hold.

        :raises OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        writer = Writer(self.path / _PART, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        writer.open()
        self._writer, self._connections = writer, {}
        self.part_bytes, self.part_started_s = 0, time.monotonic()
        for topic in topics:
            if topic.key not in self._connections:
                self._connections[topic.key] = writer.add_connection(
                    topic.name,
                    topic.type_name,
                    msgdef=topic.definition,
                    rihs01=topic.type_hash or _NO_HASH,
                    serialization_format=topic.serialization,
                    offered_qos_profiles=topic.qos,
                )

    def write(self, topic: Topic, at_ns: int, data: bytes) -> None:
        """Add a serialised message to the part.

        :raises OSError: it cannot be written.
        """
        self._part().write(self._connections[topic.key], at_ns, data)
        self.part_bytes += len(data)

    def end_part(self, notes: dict[str, Any]) -> None:
        """Complete the part and list it.

        :param notes: what JSON holds, to be read again by whoever goes on.
        :raises OSError: it cannot be written; the bag is as it was before the part.
        """
        self._part().close()
        self._writer = None
        part = self.path / _PART
        added = _read_metadata(part / _METADATA)
        number = len(self._metadata['relative_file_paths']) if self._metadata else 0
        name = f'{self.path.name}_{number}.mcap'
        _rename_file(added, name)
        _forget_stand_in(added)
        whole = added if self._metadata is None else _joined(self._metadata, added)
        whole['custom_data'] = {self._notes_key: json.dumps(notes)}
        (part / f'{_PART}.mcap').replace(self.path / name)
        text = yaml.safe_dump({'rosbag2_bagfile_information': whole}, sort_keys=False)
        (part / _METADATA).write_text(text, encoding='utf-8')
        (part / _METADATA).replace(self.path / _METADATA)
        self._metadata = whole
        part.rmdir()

    def _part(self) -> Writer:
        if self._writer is None:
            raise RuntimeError('no part was begun')
        return self._writer

    def drop_part(self) -> None:
        """Remove the part that is being written, if there is one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # what Python still holds does not fit on a full disk either
                writer.abort()
        shutil.rmtree(self.path / _PART, ignore_errors=True)

    def remove(self) -> None:
        """Remove the parts and their metadata, and nothing else."""
        for name in self._metadata['relative_file_paths'] if self._metadata else ():
            (self.path / Path(name).name).unlink(missing_ok=True)
        (self.path / _METADATA).unlink(missing_ok=True)
        self._metadata = None

    def _remove_loose_ends(self) -> None:
        """Remove what a killed process left behind the parts that are listed."""
        shutil.rmtree(self.path / _PART, ignore_errors=True)
        if self.notes is not None:
            number = len(self._metadata['relative_file_paths']) if self._metadata else 0
            (self.path / f'{self.path.name}_{number}.mcap').unlink(missing_ok=True)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding='utf-8'))['rosbag2_bagfile_information']
        return {**data, 'relative_file_paths': list(data['relative_file_paths'])}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BagError(f'{path} is damaged: {error}') from error


def _rename_file(metadata: dict[str, Any], name: str) -> None:
    """Let the metadata of a part call its only file by the name that it will have."""
    metadata['relative_file_paths'] = [name]
    metadata['files'][0]['path'] = name


def _forget_stand_in(metadata: dict[str, Any]) -> None:
    for topic in metadata['topics_with_message_count']:
        if topic['topic_metadata']['type_description_hash'] == _NO_HASH:
            topic['topic_metadata']['type_description_hash'] = ''


def _joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a bag with one more part, which holds the same topics."""
    counts = [topic['message_count'] for topic in new['topics_with_message_count']]
    topics = [
        {**topic, 'message_count': topic['message_count'] + count}
        for topic, count in zip(old['topics_with_message_count'], counts, strict=True)
    ]
    parts = [part for part in (old, new) if part['message_count']] or [new]
    start = min(part['starting_time']['nanoseconds_since_epoch'] for part in parts)
    end = max(
        part['starting_time']['nanoseconds_since_epoch'] + part['duration']['nanoseconds']
        for part in parts
    )
    return {
        **new,
        'relative_file_paths': old['relative_file_paths'] + new['relative_file_paths'],
        'files': old['files'] + new['files'],
        'topics_with_message_count': topics,
        'message_count': old['message_count'] + new['message_count'],
        'starting_time': {'nanoseconds_since_epoch': start},
        'duration': {'nanoseconds': end - start},
    }

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing rosbag2 bags without ROS, on rosbags."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from pose3d_ros.share import share_file

BAG_VERSION = 9  # of metadata.yaml: Jazzy's
_OUR_MESSAGES = ('Person', 'PersonArray', 'Pose3D', 'Pose3DArray')

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'

_STORAGES = ('.mcap', '.db3')
# Between the files of an IDL definition, each with its name behind it, as rosbag2 writes them.
IDL_HEAD = '=' * 80 + '\nIDL: '


class BagError(ValueError):
    """A bag that cannot be read or written; the message names it and says why."""


@cache
def our_typestore() -> Typestore:
    """Return Jazzy's message types and our own: one store for all, to which nobody adds."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in _OUR_MESSAGES:
        text = share_file(f'msg/{name}.msg').read_text()
        store.register(get_types_from_msg(text, f'pose3d_ros/msg/{name}'))
    return store


def typestore_of(connection: Connection) -> Typestore:
    """Return what decodes the messages of a connection: as the bag defines them, if it does.

    :raises rosbags.typesys.TypesysError: the definition cannot be read.
    """
    definition = connection.msgdef
    if definition.format == MessageDefinitionFormat.NONE or not definition.data:
        return our_typestore()  # recorded before Iron
    store = get_typestore(Stores.EMPTY)
    if definition.format == MessageDefinitionFormat.MSG:
        store.register(get_types_from_msg(definition.data, connection.msgtype))
    elif definition.data.startswith(IDL_HEAD):
        for file in definition.data.split(IDL_HEAD)[1:]:
            store.register(get_types_from_idl(file.partition('\n')[2]))
    else:
        store.register(get_types_from_idl(definition.data))
    return store


class BagWriter:
    """Write serialised messages to an mcap bag that `ros2 bag play` and rosbags read.

    :param path: the bag's folder, which must not exist.
    :raises BagError: it exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise BagError(f'{path} exists already; remove it or choose another folder')
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = our_typestore()
        self._writer = Writer(path, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections: dict[str, Connection] = {}

    def write(self, topic: str, type_name: str, at_ns: int, data: bytes) -> None:
        """Write one CDR-serialised message of a type like 'sensor_msgs/msg/Image'."""
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, type_name, typestore=self._store)
            self._connections[topic] = connection
        self._writer.write(connection, at_ns, data)

    def close(self) -> None:
        """Finish the bag: without this it has no index."""
        self._writer.close()


class Bag:
    """An open bag: what it holds, and messages of types that nobody here knows, as bytes."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader
        self._stores: dict[str, Typestore] = {}

    @property
    def connections(self) -> Sequence[Connection]:
        """Return its connections, those without a message too."""
        return list(self._reader.connections)

    @property
    def message_count(self) -> int:
        """Return how many messages it announces."""
        return int(self._reader.message_count)

    @property
    def duration_s(self) -> float:
        """Return the seconds from its first message to its last."""
        return float(self._reader.duration) / 1e9

    @property
    def custom_data(self) -> dict[str, str]:
        """Return what its recorder noted besides."""
        return dict(self._reader.storage.metadata.custom or {})

    def raw(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield connection, log time (ns) and CDR bytes in the order of recording.

        :raises BagError: the bag is damaged; the message says behind which message.
        """
        if not connections:
            return
        count = 0
        with closing(self._reader.messages(connections=connections)) as found:
            while True:
                try:
                    message = next(found, None)
                except Exception as error:  # bytes that are no bag end the reader in any way
                    raise BagError(
                        f'{self.path} is damaged behind message {count}: {_why(error)}. '
                        '`mcap recover`, or `.recover` of sqlite3, saves what can be read'
                    ) from error
                if message is None:
                    return
                count += 1
                yield message

    def decode(self, connection: Connection, data: bytes) -> Any:
        """Return the message's fields as attributes, arrays as NumPy arrays.

        :raises BagError: its type is not known, or the bytes are not of it.
        """
        try:
            store = self._stores.get(connection.msgtype)
            if store is None:
                store = self._stores[connection.msgtype] = typestore_of(connection)
            return store.deserialize_cdr(data, connection.msgtype)
        except Exception as error:  # as above
            raise BagError(
                f'{self.path}: a message on {connection.topic} cannot be decoded as '
                f'{connection.msgtype}: {_why(error)}'
            ) from error


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    :param connection: with its topic and type.
    :param at_ns: when it was recorded.
    :param data: serialised, CDR.
    """

    connection: Connection
    at_ns: int
    data: bytes
    _bag: Bag

    @property
    def topic(self) -> str:
        """Return its topic."""
        return str(self.connection.topic)

    @property
    def type_name(self) -> str:
        """Return its type, e.g. 'sensor_msgs/msg/Image'."""
        return str(self.connection.msgtype)

    def decoded(self) -> Any:
        """Return the message's fields as attributes, arrays as NumPy arrays.

        :raises BagError: its type is not known, or the bytes are not of it.
        """
        return self._bag.decode(self.connection, self.data)


def is_bag(path: Path) -> bool:
    """Return whether a path is to be read as a bag: a file or folder of rosbag2, whole or not."""
    if not path.is_dir():
        return path.suffix in _STORAGES
    held = (suffix for file in path.iterdir() for suffix in file.suffixes)  # .db3.zstd, too
    return (path / 'metadata.yaml').is_file() or any(suffix in _STORAGES for suffix in held)


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a rosbag2 folder (mcap or sqlite3) or a lone .mcap or .db3 file for `messages`.

    :raises BagError: it is not a readable bag.
    """
    if not path.exists():
        raise BagError(f'there is no bag {path}')
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        raise BagError(
            f'{path} has no metadata.yaml, so it is no rosbag2 bag, or its recorder was killed: '
            f'`ros2 bag reindex {path}` makes it anew'
        )
    try:
        reader = Reader(path)
        reader.open()
    except Exception as error:  # bytes that are no bag end the reader in any way
        raise BagError(
            f'{path} is not a readable rosbag2 bag: {_why(error)}. Was its recording cut off? '
            '`mcap recover FILE` makes the index of an mcap file anew'
        ) from error
    with closing(reader):
        yield Bag(path, reader)


def _why(error: Exception) -> str:
    return str(error).strip().rstrip('.') or type(error).__name__


def messages(bag: Bag, topics: list[str] | None = None) -> Iterator[BagMessage]:
    """Yield the messages of an open bag in the order of recording; topics None = all."""
    wanted = [c for c in bag.connections if topics is None or c.topic in topics]
    for connection, at_ns, data in bag.raw(wanted):
        yield BagMessage(connection, at_ns, bytes(data), bag)


def image_topic(bag: Bag, wanted: str, option: str) -> str:
    """Return the topic of a bag's images: the wanted one, or its only one.

    :param option: what names one, for the message.
    :raises BagError: it has no images, or several topics of them and none is named.
    """
    images = topics_of(bag, IMAGE, COMPRESSED_IMAGE)
    if wanted in images or (not wanted and len(images) == 1):
        topic = wanted or images[0]
        if _is_silent(bag, topic):
            raise BagError(f'{bag.path} has no images: {topic} is in its list, without a message')
        return topic
    others = ', '.join(dict.fromkeys(c.topic for c in bag.connections)) or 'none'
    found = ', '.join(images) or f'none, only {others}'
    if wanted:
        raise BagError(f'{bag.path} has no images on {wanted}; image topics: {found}')
    if not images:
        raise BagError(f'{bag.path} has no images: image topics: {found}')
    raise BagError(f'{bag.path} has several image topics, name one by {option}: {found}')


def has_camera_info(bag: Bag, topic: str) -> bool:
    """Return whether there is any on a topic."""
    return topic in topics_of(bag, CAMERA_INFO) and not _is_silent(bag, topic)


def _is_silent(bag: Bag, topic: str) -> bool:
    return next(messages(bag, [topic]), None) is None


def topics_of(bag: Bag, *types: str) -> list[str]:
    """Return the topics of some types, each once."""
    return list(
        dict.fromkeys(
            connection.topic
            for connection in bag.connections
            # PNG of depths with a head of its own: CompressedImage only by name
            if connection.msgtype in types and not connection.topic.endswith('/compressedDepth')
        )
    )


def namespace_of(topic: str) -> str:
    """Return where the results and the camera_info of an image topic are: beside it."""
    return topic.removesuffix('/compressed').rsplit('/', 1)[0]

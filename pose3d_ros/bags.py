"""Reading and writing rosbag2 bags without ROS, on rosbags."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from pose3d_ros.share import share_file

_BAG_VERSION = 9  # of metadata.yaml: Jazzy's
_OUR_MESSAGES = ('Person', 'PersonArray', 'Pose3D', 'Pose3DArray')


class BagError(ValueError):
    """A bag that cannot be read or written; the message names it and says why."""


def our_typestore() -> Typestore:
    """Return Jazzy's message types and our own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in _OUR_MESSAGES:
        text = share_file(f'msg/{name}.msg').read_text()
        store.register(get_types_from_msg(text, f'pose3d_ros/msg/{name}'))
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
        self._writer = Writer(path, version=_BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
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


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    :param topic: its topic.
    :param type_name: e.g. 'sensor_msgs/msg/Image'.
    :param at_ns: when it was recorded.
    :param data: serialised, CDR.
    """

    topic: str
    type_name: str
    at_ns: int
    data: bytes
    _reader: AnyReader

    def decoded(self) -> Any:
        """Return the message's fields as attributes, arrays as NumPy arrays."""
        return self._reader.deserialize(self.data, self.type_name)


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """Open a rosbag2 folder (mcap or sqlite3) or a lone .mcap file for `messages`.

    :raises BagError: it is not a readable bag.
    """
    if not path.exists():
        raise BagError(f'there is no bag {path}')
    try:
        with AnyReader([path], default_typestore=our_typestore()) as reader:
            yield reader
    except (AnyReaderError, ReaderError) as error:
        raise BagError(f'{path} is not a readable rosbag2 bag: {error}') from error


def messages(reader: AnyReader, topics: list[str] | None = None) -> Iterator[BagMessage]:
    """Yield the messages of an open bag in the order of recording; topics None = all."""
    wanted = [c for c in reader.connections if topics is None or c.topic in topics]
    if not wanted:
        return
    for connection, at_ns, data in reader.messages(connections=wanted):
        yield BagMessage(connection.topic, connection.msgtype, at_ns, bytes(data), reader)

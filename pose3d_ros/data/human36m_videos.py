# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Names of Human3.6M's films, whose frames the course project's image tree has."""

from pose3d_ros.data.annotations import DataError

#: By cam_idx, from 1.
CAMERAS = ('54138969', '55011271', '58860488', '60457274')

#: What follows the action in the name of a film, for subaction 1 and 2: of most films, and of
#: those that were recorded more than once. The actors' takes are numbered without a rule.
_USUAL = (' 1', '')
_UNUSUAL = {
    1: {'Eating': (' 2', ''), 'SittingDown': (' 2', ''), 'Sitting': (' 1', ' 2')},
    5: {
        'Discussion': (' 2', ' 3'), 'Directions': (' 1', ' 2'), 'Greeting': (' 1', ' 2'),
        'Waiting': (' 1', ' 2'), 'Photo': ('', ' 2'), 'SittingDown': ('', ' 1'),
    },
    6: {
        'Waiting': (' 3', ''), 'Eating': (' 1', ' 2'), 'Sitting': (' 1', ' 2'),
        'Posing': (' 2', ''), 'Photo': ('', ' 1'),
    },
    7: {
        'Waiting': (' 1', ' 2'), 'Walking': (' 1', ' 2'), 'Phoning': (' 2', ''),
        'Photo': ('', ' 1'), 'SittingDown': ('', ' 1'),
    },
    8: {'WalkTogether': (' 1', ' 2'), 'SittingDown': ('', ' 1')},
    9: {'Discussion': (' 1', ' 2'), 'SittingDown': ('', ' 1')},
    11: {
        'Phoning': (' 3', ' 2'), 'Discussion': (' 1', ' 2'), 'Greeting': (' 2', ''),
        'Smoking': (' 2', ''), 'SittingDown': ('', ' 1'),
    },
}  # fmt: skip


def video_name(subject: int, action: str, subaction: int, camera: int, frame: int) -> str:
    """Return the file of a frame: S1/outputVideos/Eating 2.54138969.mp4/0001.jpg.

    :param action: name, as the annotations spell it.
    :param subaction: 1 or 2.
    :param camera: 1 to 4.
    :param frame: from 0.
    :raises DataError: there are no such films.
    """
    if subject not in _UNUSUAL or subaction not in (1, 2) or not 1 <= camera <= len(CAMERAS):
        raise DataError(
            f'Human3.6M has no films of subject {subject}, subaction {subaction}, camera {camera}: '
            'only its own images can lie in folders outputVideos'
        )
    number = _UNUSUAL[subject].get(action, _USUAL)[subaction - 1]
    film = f'{action}{number}.{CAMERAS[camera - 1]}.mp4'
    return f'S{subject}/outputVideos/{film}/{frame + 1:04d}.jpg'

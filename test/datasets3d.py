# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Tiny data sets in the real formats, made of 3D points seen by known cameras."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 480
FOCAL, CENTRE = (700.0, 710.0), (322.0, 238.0)


def people(count: int, joints: int, seed: int = 0) -> np.ndarray:
    """Return joints (count, joints, 3) of people about 4 m before a camera, mm."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform([-500, -200, 3500], [500, 200, 5000], (count, 1, 3))
    return middles + rng.uniform(-450, 450, (count, joints, 3))


def pixels_of(joints: np.ndarray) -> np.ndarray:
    """Return pixels (..., 2) of joints (..., 3) in the optical frame."""
    return joints[..., :2] / joints[..., 2:] * FOCAL + CENTRE


def in_image(pixels: np.ndarray) -> np.ndarray:
    """Return (...,) which pixels (..., 2) lie in the image."""
    return ((pixels >= 0) & (pixels < (WIDTH, HEIGHT))).all(axis=-1)


def box_of(pixels: np.ndarray) -> list[float]:
    """Return the box x, y, w, h that Human3.6M's conversion draws around joints (j, 2)."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    size = (high - low - 1) * 1.2
    return [*((low + high) / 2 - size / 2).tolist(), *size.tolist()]


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def cameras() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rotation and place (mm) in the world of two cameras, on two sides of its origin."""
    found = []
    for angle in (0.4, 2.6):
        rotation, _ = cv2.Rodrigues(np.array([0.1, angle, 0.05]))
        found.append((rotation, -rotation.T @ np.array([100.0, -50.0, 4300.0])))
    return found


@dataclass
class Human36M:
    """A folder of Human3.6M's format: per subject two actions, seen by two cameras.

    :param centres: whether t of the camera files is the camera's place, as in the older files.
    :param videos: whether the images lie in the course project's tree.
    """

    root: Path
    subjects: tuple[int, ...]
    frames: int = 6
    centres: bool = False
    videos: bool = False
    world: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict)
    data: dict[int, dict[str, Any]] = field(default_factory=dict)

    #: With the first takes of subjects 1, 5, 8 and 9.
    ACTIONS = ((2, 'Directions', 'Directions 1'), (9, 'Sitting', 'Sitting 1'))
    FILMS = ('54138969', '55011271')

    def write(self) -> 'Human36M':
        for subject in self.subjects:
            self.data[subject] = {'images': [], 'annotations': []}
            for action in self.ACTIONS:
                self._act(subject, *action)
            for what in ('data', 'joint_3d', 'camera'):
                self.save(subject, what)
        return self

    def _act(self, subject: int, action: int, name: str, take: str) -> None:
        rng = np.random.default_rng([subject, action])
        for frame in range(self.frames):
            world = self.world[subject, action, frame] = rng.uniform(-600, 600, (17, 3))
            for c, (rotation, place) in enumerate(cameras()):
                stem = f's_{subject:02d}_act_{action:02d}_subact_01_ca_{c + 1:02d}'
                file = f'{stem}/{stem}_{frame + 1:06d}.jpg'
                self._see(subject, (world - place) @ rotation.T, {
                    'file_name': file, 'width': WIDTH, 'height': HEIGHT, 'subject': subject,
                    'action_name': name, 'action_idx': action, 'subaction_idx': 1,
                    'cam_idx': c + 1, 'frame_idx': frame,
                })  # fmt: skip
                if self.videos:
                    film = f'{take}.{self.FILMS[c]}.mp4'
                    file = f'S{subject}/outputVideos/{film}/{frame + 1:04d}.jpg'
                if frame == 0:
                    write_image(self.root / ('videos' if self.videos else 'images') / file)

    def _see(self, subject: int, joints: np.ndarray, image: dict[str, Any]) -> None:
        pixels, data = pixels_of(joints), self.data[subject]
        number = 1000 * subject + len(data['images'])
        data['images'].append({'id': number, **image})
        data['annotations'].append({
            'id': number, 'image_id': number, 'bbox': box_of(pixels),
            'keypoints_vis': in_image(pixels).tolist(),
        })  # fmt: skip

    def path(self, subject: int, what: str) -> Path:
        return self.root / 'annotations' / f'Human36M_subject{subject}_{what}.json'

    def save(self, subject: int, what: str = 'data') -> None:
        """Write a file of a subject, again after `data` was changed."""
        joints: dict[str, Any] = {}
        for (who, action, frame), world in self.world.items():
            if who == subject:
                frames = joints.setdefault(str(action), {}).setdefault('1', {})
                frames[str(frame)] = world.tolist()
        views = {
            str(c + 1): {
                'R': rotation.tolist(), 'f': FOCAL, 'c': CENTRE,
                't': (place if self.centres else -rotation @ place).tolist(),
            }
            for c, (rotation, place) in enumerate(cameras())
        }  # fmt: skip
        content = {'data': self.data[subject], 'joint_3d': joints, 'camera': views}
        write_json(self.path(subject, what), content[what])


@dataclass
class Together:
    """A folder of a data set of which one file in the style of MS COCO has all.

    :param name: of DATASETS.
    :param file: the file, below the folder.
    :param joints: (n, j, 3) optical frame, mm.
    :param content: of the file.
    """

    root: Path
    name: str
    file: str
    joints: np.ndarray
    content: dict[str, list[dict[str, Any]]]

    def save(self) -> None:
        """Write the file, again after `content` was changed."""
        write_json(self.root / self.file, self.content)


#: Per data set: file, folder of the images, name of an image, joints in the file.
TOGETHER = {
    'muco': ('data/MuCo-3DHP.json', 'data', 'augmented_set/0/{}.jpg', 21),
    'mpii': ('annotations/train.json', '.', 'images/{}.jpg', 16),
    'coco': ('annotations/person_keypoints_train2017.json', 'images/train2017', '{}.jpg', 17),
    'mupots': ('data/MuPoTS-3D.json', 'data/MultiPersonTestSet', 'TS{}/img_000000.jpg', 17),
    'pw3d': ('data/3DPW_test.json', 'data/imageFiles/downtown_{}', 'image_00000.jpg', 24),
}


def together(root: Path, name: str) -> Together:
    """Write a data set of two images, with two people in the first and one in the second."""
    file, folder, image_name, count = TOGETHER[name]
    joints = people(3, count)
    # MuCo's people are chosen by distance: the second is behind the first
    joints[1] = joints[0] + (150, 0, 300)
    images, annotations = [], []
    for number in (0, 1):
        image = {'id': 40 + number, 'file_name': image_name.format(number + 1), 'width': WIDTH,
                 'height': HEIGHT, **_camera(name, number)}  # fmt: skip
        images.append(image)
        write_image(root / folder.format(number + 1) / image['file_name'])
    for person in range(3):
        pixels = pixels_of(joints[person])
        annotations.append({
            'id': 700 + person, 'image_id': 41 if person == 2 else 40, 'bbox': box_of(pixels),
            **_joints(name, joints[person], pixels),
        })  # fmt: skip
    made = Together(root, name, file, joints, {'images': images, 'annotations': annotations})
    made.save()
    return made


def _camera(name: str, number: int) -> dict[str, Any]:
    """Return the fields in which a data set's images have their camera."""
    fields: dict[str, dict[str, Any]] = {
        'muco': {'f': FOCAL, 'c': CENTRE},
        'mupots': {'intrinsic': [*FOCAL, *CENTRE]},
        'pw3d': {'sequence': f'downtown_{number + 1}',
                 'cam_param': {'focal': FOCAL, 'princpt': CENTRE}},
    }  # fmt: skip
    return fields.get(name, {})


def _joints(name: str, joints: np.ndarray, pixels: np.ndarray) -> dict[str, Any]:
    """Return the fields in which a data set's annotations have the joints (j, 3), mm."""
    if name in ('mpii', 'coco'):
        # the first joint is not annotated
        shown = np.concatenate([pixels, np.full((len(pixels), 1), 2.0)], axis=1)
        shown[0] = 0
        return {'keypoints': shown.reshape(-1).tolist(), 'num_keypoints': len(shown) - 1,
                'iscrowd': 0, 'segmentation': [[1.0, 2.0, 3.0]]}  # fmt: skip
    if name == 'pw3d':
        return {'joint_cam': (joints / 1000).tolist()}
    return {'keypoints_cam': joints.tolist(), 'keypoints_img': pixels.tolist(), 'is_valid': 1,
            'keypoints_vis': in_image(pixels).tolist()}  # fmt: skip

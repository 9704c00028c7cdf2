# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every reader gives what the original code's own reader gives for the same folder.

fixtures/originals_readers.npz holds what the data set classes of mks0601/3DMPPE_POSENET_RELEASE
(dd025c5) and 3DMPPE_ROOTNET_RELEASE (735ce21) load, with true boxes, from the folders that
datasets3d makes: images, processed boxes, joints in the image and the optical frame (PoseNet: all,
RootNet: the root), which of them count, focal lengths and centres.
"""

from pathlib import Path

import numpy as np
import pytest
from datasets3d import TOGETHER, Human36M, together

from pose3d_ros.data import datasets, muco
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.models.crops3dmppe import process_boxes

SPLITS = {'human36m': 'test', 'muco': 'train', 'mpii': 'train', 'coco': 'train', 'mupots': 'test',
          'pw3d': 'test'}  # fmt: skip


@pytest.fixture(scope='module')
def originals() -> dict[str, np.ndarray]:
    """Return all arrays of the fixture, by NETWORK_DATASET_FIELD."""
    with np.load(Path(__file__).parent / 'fixtures' / 'originals_readers.npz') as file:
        return dict(file)


def ours(root: Path, name: str, network: str) -> Annotations:
    """Return a data set as it is loaded to train or score a network of the originals."""
    if name == 'human36m':
        Human36M(root, (9, 11)).write()
    else:
        together(root, name)
    depths = {'depths_m': muco.ROOTNET_DEPTHS_M} if (name, network) == ('muco', 'rootnet') else {}
    return datasets.load(name, root, SPLITS[name], **depths)


@pytest.mark.parametrize(
    ('network', 'name'),
    [
        *(('rootnet', name) for name in ('human36m', *TOGETHER)),
        # the original's PoseNet does not know 3DPW
        *(('posenet', name) for name in ('human36m', *TOGETHER) if name != 'pw3d'),
    ],
)
def test_the_same_people(
    tmp_path: Path, originals: dict[str, np.ndarray], network: str, name: str
) -> None:
    def theirs(field: str) -> np.ndarray | None:
        return originals.get(f'{network}_{name}_{field}')

    people = ours(tmp_path, name, network)
    images = [str(people.images[i].relative_to(tmp_path)) for i in people.image_indices]
    assert images == theirs('images').tolist()
    width, height = people.image_sizes[people.image_indices].T
    squares, _ = process_boxes(people.boxes, width, height)
    np.testing.assert_allclose(squares, theirs('squares'), rtol=0, atol=1e-6)
    joints = list(people.skeleton.root) if network == 'rootnet' else slice(None)
    visible = people.visible[:, joints]
    np.testing.assert_array_equal(visible, theirs('visible'))
    pixels = people.pixels[:, joints]
    np.testing.assert_allclose(pixels[visible], theirs('pixels')[visible], atol=1e-4)
    units = 1 if name == 'pw3d' else 1000
    for field, found, tolerance in (
        ('joints', people.joints[:, joints] * units, 1e-3),
        ('f', people.focal_px, 0),
        ('c', people.centre_px, 0),
    ):
        expected = theirs(field)
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    # each 3D set has all of these in the fixture
    assert (theirs('joints') is not None) == people.have_depth.all()

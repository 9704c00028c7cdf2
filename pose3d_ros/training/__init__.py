# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training of RootNet and PoseNet: recipes, what is learned, what is saved, and the loop."""

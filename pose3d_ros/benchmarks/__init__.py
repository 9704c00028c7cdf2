# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What `pose3d benchmark` measures: one file per sub-command."""

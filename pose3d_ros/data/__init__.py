# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Datasets and labels: readers only, the data stays with its owner."""

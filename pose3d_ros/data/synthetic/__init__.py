# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People of our own making: Anny's bodies, posed, dressed, lit and seen by cameras.

From the body to the file: `bodies` (shapes and joints), `postures`, `motion_clips` and
`random_postures` (how they stand), `wardrobe` (colours), `scenes` (who stands where before which
camera), `renderer` (pixels), `production` (files, many at once). It needs the extra `synth`: Anny,
which brings PyTorch and Warp.
"""

import warp

warp.config.log_level = warp.LOG_ERROR  # before Anny starts it

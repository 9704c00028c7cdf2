# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The first kernels of the renderer: people and their shadows become pixels.

Kernels are Warp's, which Anny brings along: one source for a CPU (one thread, hence many processes)
and for an NVIDIA GPU. World: metres, z up, the ground at z = 0. Camera: optical frame. Pixel (0, 0)
is the middle of the first one.
"""

import warp as wp

wp.set_module_options({'enable_backward': False})  # half the time to compile

EMPTY = 2**64 - 1  # a cell that no face has met

_NEAR_M = wp.constant(0.2)
TICKS_PER_M = wp.constant(1.0e5)  # of the depth in a cell's upper half


@wp.struct
class Eye:
    """A camera: world to optical frame is R X + t; `centre` is where it is in the world."""

    R: wp.mat33
    t: wp.vec3
    centre: wp.vec3
    focal: wp.vec2
    principal: wp.vec2
    width: int
    height: int


@wp.struct
class Light:
    """The sun and what comes from above and below without it, as linear BGR."""

    to_sun: wp.vec3
    sun: wp.vec3
    sky: wp.vec3
    bounce: wp.vec3
    shadow: float  # how dark: 0..1
    hard: int  # 1 = boxes throw shadows too


@wp.kernel
def add_face_normals(
    vertices: wp.array2d[wp.vec3], faces: wp.array2d[int], normals: wp.array2d[wp.vec3]
) -> None:
    person, face = wp.tid()
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    origin = vertices[person, a]
    normal = wp.cross(vertices[person, b] - origin, vertices[person, c] - origin)
    wp.atomic_add(normals, person, a, normal)
    wp.atomic_add(normals, person, b, normal)
    wp.atomic_add(normals, person, c, normal)


@wp.kernel
def dress_and_project(
    vertices: wp.array2d[wp.vec3],
    normals: wp.array2d[wp.vec3],
    thickness: wp.array2d[float],
    eye: Eye,
    light: Light,
    screen: wp.array2d[wp.vec3],
    shadow: wp.array2d[wp.vec3],
) -> None:
    person, vertex = wp.tid()
    normal = wp.normalize(normals[person, vertex])
    normals[person, vertex] = normal
    point = vertices[person, vertex] + normal * thickness[person, vertex]
    screen[person, vertex] = _pixel(eye, point)
    # along the sun's rays down to the ground
    fallen = point - light.to_sun * (point[2] / light.to_sun[2])
    shadow[person, vertex] = _pixel(eye, fallen)


@wp.func
def _pixel(eye: Eye, point: wp.vec3) -> wp.vec3:
    """Return x and y in pixels and 1/z; 0 behind the camera."""
    optical = eye.R * point + eye.t
    if optical[2] < _NEAR_M:
        return wp.vec3(0.0, 0.0, 0.0)
    inverse = 1.0 / optical[2]
    return wp.vec3(
        eye.focal[0] * optical[0] * inverse + eye.principal[0],
        eye.focal[1] * optical[1] * inverse + eye.principal[1],
        inverse,
    )


@wp.func
def area(a: wp.vec3, b: wp.vec3, x: float, y: float) -> float:
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


@wp.kernel
def rasterise(
    screen: wp.array2d[wp.vec3],
    faces: wp.array2d[int],
    eye: Eye,
    cells: wp.array2d[wp.uint64],
) -> None:
    """Leave depth (upper half) and number of the nearest face (lower half) in each cell."""
    person, face = wp.tid()
    a = screen[person, faces[face, 0]]
    b = screen[person, faces[face, 1]]
    c = screen[person, faces[face, 2]]
    if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0:
        return
    whole = area(a, b, c[0], c[1])
    if whole >= 0.0:  # seen from inside: y points down
        return
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]))), 0)
    right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]))), eye.width - 1)
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]))), 0)
    bottom = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]))), eye.height - 1)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            x, y = float(column), float(row)
            first = area(b, c, x, y) / whole
            second = area(c, a, x, y) / whole
            third = 1.0 - first - second
            if first >= 0.0 and second >= 0.0 and third >= 0.0:
                depth = 1.0 / (first * a[2] + second * b[2] + third * c[2])
                ticks = wp.uint64(depth * TICKS_PER_M)
                number = wp.uint64(person * faces.shape[0] + face)
                wp.atomic_min(cells, row, column, (ticks << wp.uint64(32)) | number)


@wp.kernel
def cover(
    screen: wp.array2d[wp.vec3], faces: wp.array2d[int], eye: Eye, mask: wp.array2d[wp.uint8]
) -> None:
    """Mark the pixels of faces, whichever side they show."""
    person, face = wp.tid()
    a = screen[person, faces[face, 0]]
    b = screen[person, faces[face, 1]]
    c = screen[person, faces[face, 2]]
    if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0:
        return
    whole = area(a, b, c[0], c[1])
    if whole == 0.0:
        return
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]))), 0)
    right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]))), eye.width - 1)
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]))), 0)
    bottom = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]))), eye.height - 1)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            x, y = float(column), float(row)
            first = area(b, c, x, y) / whole
            second = area(c, a, x, y) / whole
            if first >= 0.0 and second >= 0.0 and first + second <= 1.0:
                mask[row, column] = wp.uint8(255)

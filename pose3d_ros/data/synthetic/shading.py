# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The last kernels of the renderer: the nearest of people, boxes, ground and sky colours a pixel.

Ground, boxes and sky are simple enough to be met by a ray for each pixel. A camera surveys once
what stands still before it; each of its pictures has other people in other light.
"""

import warp as wp

from pose3d_ros.data.synthetic.kernels import EMPTY, TICKS_PER_M, Eye, Light, area
from pose3d_ros.data.synthetic.textures import LEVELS, SIDE

wp.set_module_options({'enable_backward': False})

NOTHING = -1  # in an index map: ground, sky and backdrop
FIRST_BOX = 1000  # boxes count from here in an index map, people from 0
FAR_M = 1e4
# Pixels for a thread: a CPU copies all arguments for each, which took longer than the pixel.
STRIP = 16

_FAR_M = wp.constant(FAR_M)
_FIRST_BOX = wp.constant(FIRST_BOX)
_NOTHING = wp.constant(NOTHING)
_EMPTY = wp.constant(wp.uint64(EMPTY))
_SIDE = wp.constant(SIDE)
_STRIP = wp.constant(STRIP)
_LEVELS = wp.constant(LEVELS)


@wp.struct
class People:
    """All people of a picture.

    :param screen: (n, v) x and y in pixels and 1/z of vertices.
    :param normals: (n, v) in the world.
    :param faces: (f, 3) of all alike.
    :param cloth: (v) where on the middle body a vertex is: patterns lie there.
    :param regions: (v).
    :param colours: (n, regions, 2).
    :param patterns: (n, regions) kind, and repeats per metre.
    """

    screen: wp.array2d[wp.vec3]
    normals: wp.array2d[wp.vec3]
    faces: wp.array2d[int]
    cloth: wp.array[wp.vec3]
    regions: wp.array[int]
    colours: wp.array3d[wp.vec3]
    patterns: wp.array2d[wp.vec2]


@wp.struct
class Surroundings:
    """Colours (BGR) of ground and sky; not `drawn` = the renderer puts a picture there."""

    first: wp.vec3
    second: wp.vec3
    scale: float
    horizon: wp.vec3
    zenith: wp.vec3
    clouds: float
    drawn: int


@wp.func
def _texel(noise: wp.array3d[float], level: int, x: int, y: int) -> float:
    return noise[level, y & (_SIDE - 1), x & (_SIDE - 1)]


@wp.func
def _noise(noise: wp.array3d[float], x: float, y: float, footprint: float) -> float:
    """Return the noise at a place, in texels, as blurred as a pixel of so many texels sees it."""
    level = wp.clamp(int(wp.log2(wp.max(footprint, 1.0)) + 0.5), 0, _LEVELS - 1)
    column, row = wp.floor(x), wp.floor(y)
    u, v = x - column, y - row
    i, j = int(column), int(row)
    upper = wp.lerp(_texel(noise, level, i, j), _texel(noise, level, i + 1, j), u)
    lower = wp.lerp(_texel(noise, level, i, j + 1), _texel(noise, level, i + 1, j + 1), u)
    return wp.lerp(upper, lower, v)


@wp.func
def _stripe(place: float, footprint: float) -> float:
    """Return 0 or 1 in turns of one unit, or their mean where a pixel is wider than that."""
    wave = wp.clamp(0.5 + 4.0 * wp.sin(place * 3.14159265), 0.0, 1.0)
    return wp.lerp(wave, 0.5, wp.clamp(2.0 * footprint - 0.5, 0.0, 1.0))


@wp.func
def _pattern(
    kind: int, x: float, y: float, z: float, pixel: float, noise: wp.array3d[float]
) -> float:
    """Return how much (0..1) of the second colour a place shows; one unit is one stripe."""
    if kind == 1:
        return _stripe(z, pixel)
    if kind == 2:
        return _stripe(x, pixel)
    if kind == 3:
        return 0.5 * (_stripe(x, pixel) + _stripe(z, pixel))
    cloud = _noise(noise, 16.0 * (x + y), 16.0 * (z + 0.5 * y), 16.0 * pixel)
    if kind == 4:
        return wp.clamp(0.5 + 5.0 * (cloud - 0.5), 0.0, 1.0)
    if kind == 5:  # windows: upright panes in a wall
        wide, high = wp.abs(x - wp.floor(x) - 0.5), wp.abs(z - wp.floor(z) - 0.5)
        if wide < 0.25 and high < 0.32:
            return 1.0
        return 0.1 * cloud
    return 0.4 * cloud


@wp.func
def _lit(albedo: wp.vec3, normal: wp.vec3, light: Light) -> wp.vec3:
    up = 0.5 + 0.5 * normal[2]
    sun = wp.max(wp.dot(normal, light.to_sun), 0.0)
    return wp.cw_mul(albedo, light.bounce * (1.0 - up) + light.sky * up + light.sun * sun)


@wp.func
def _hit_box(origin: wp.vec3, ray: wp.vec3, half: wp.vec3) -> wp.vec2:
    """Return where along a ray it enters a box around 0 and the axis of that side; 0 = misses."""
    x, y, z = 1.0 / _not_zero(ray[0]), 1.0 / _not_zero(ray[1]), 1.0 / _not_zero(ray[2])
    near_x, far_x = -origin[0] * x - half[0] * wp.abs(x), -origin[0] * x + half[0] * wp.abs(x)
    near_y, far_y = -origin[1] * y - half[1] * wp.abs(y), -origin[1] * y + half[1] * wp.abs(y)
    near_z, far_z = -origin[2] * z - half[2] * wp.abs(z), -origin[2] * z + half[2] * wp.abs(z)
    enter = wp.max(wp.max(near_x, near_y), near_z)
    if enter > wp.min(wp.min(far_x, far_y), far_z) or enter < 0.0:
        return wp.vec2(0.0, 0.0)
    if enter == near_x:
        return wp.vec2(enter, 0.0)
    if enter == near_y:
        return wp.vec2(enter, 1.0)
    return wp.vec2(enter, 2.0)


@wp.func
def _not_zero(value: float) -> float:
    if wp.abs(value) < 1.0e-9:
        return 1.0e-9
    return value


@wp.func
def _turned(v: wp.vec3, cosine: float, sine: float) -> wp.vec3:
    return wp.vec3(cosine * v[0] - sine * v[1], sine * v[0] + cosine * v[1], v[2])


@wp.func
def _sky(ray: wp.vec3, around: Surroundings, noise: wp.array3d[float]) -> wp.vec3:
    direction = wp.normalize(ray)
    up = wp.max(direction[2], 0.0)
    colour = wp.lerp(around.horizon, around.zenith, wp.min(2.0 * up, 1.0))
    cloud = _noise(noise, 60.0 * direction[0] / (up + 0.2), 60.0 * direction[1] / (up + 0.2), 1.0)
    return wp.lerp(colour, wp.vec3(0.9, 0.9, 0.9), around.clouds * cloud)


@wp.func
def _dressed(
    number: int,
    x: float,
    y: float,
    people: People,
    focal: float,
    light: Light,
    noise: wp.array3d[float],
) -> wp.vec3:
    """Return the colour of a person's face of this number, at a pixel."""
    person, face = number // people.faces.shape[0], number % people.faces.shape[0]
    i, j, k = people.faces[face, 0], people.faces[face, 1], people.faces[face, 2]
    a, b, c = people.screen[person, i], people.screen[person, j], people.screen[person, k]
    whole = area(a, b, c[0], c[1])
    u, v = area(b, c, x, y) / whole, area(c, a, x, y) / whole
    w = 1.0 - u - v
    depth = 1.0 / (u * a[2] + v * b[2] + w * c[2])
    normal = wp.normalize(
        people.normals[person, i] * u
        + people.normals[person, j] * v
        + people.normals[person, k] * w
    )
    place = people.cloth[i] * u + people.cloth[j] * v + people.cloth[k] * w
    region = people.regions[i]
    if v >= u and v >= w:
        region = people.regions[j]
    elif w >= u and w >= v:
        region = people.regions[k]
    pattern = people.patterns[person, region]
    place *= pattern[1]
    pixel = pattern[1] * depth / focal
    share = _pattern(int(pattern[0]), place[0], place[1], place[2], pixel, noise)
    albedo = wp.lerp(people.colours[person, region, 0], people.colours[person, region, 1], share)
    return _lit(albedo, normal, light)


@wp.func
def _enter(boxes: wp.array2d[wp.vec3], box: int, start: wp.vec3, ray: wp.vec3) -> wp.vec2:
    """Return where a ray in the world enters a box, and the axis of that side, as _hit_box."""
    turn = boxes[box, 2]
    origin = _turned(start - boxes[box, 0], turn[0], -turn[1])
    return _hit_box(origin, _turned(ray, turn[0], -turn[1]), boxes[box, 1])


@wp.func
def _nearest_box(
    boxes: wp.array2d[wp.vec3], frames: wp.array2d[float], x: float, y: float, ray: wp.vec3,
    eye: Eye, depth: float,
) -> wp.vec3:  # fmt: skip
    """Return which box a pixel's ray enters before a depth (-1 = none), where, and the axis."""
    found = float(-1.0)
    nearest = float(depth)
    axis = float(0.0)
    for box in range(boxes.shape[0]):
        left, top, right, bottom = frames[box, 0], frames[box, 1], frames[box, 2], frames[box, 3]
        if x < left or y < top or x > right or y > bottom:
            continue
        hit = _enter(boxes, box, eye.centre, ray)
        if hit[0] > 0.0 and hit[0] < nearest:
            nearest = hit[0]
            axis = hit[1]
            found = float(box)
    return wp.vec3(found, nearest, axis)


@wp.func
def _wall_normal(boxes: wp.array2d[wp.vec3], hit: wp.vec3, ray: wp.vec3) -> wp.vec3:
    """Return the normal in the world of the side that a ray has entered by."""
    turn = boxes[int(hit[0]), 2]
    inward = _turned(ray, turn[0], -turn[1])
    axis = int(hit[2])
    side = wp.vec3(0.0, 0.0, 0.0)
    side[axis] = -wp.sign(inward[axis])
    return _turned(side, turn[0], turn[1])


@wp.func
def _wall(
    boxes: wp.array2d[wp.vec3], hit: wp.vec3, ray: wp.vec3, eye: Eye, noise: wp.array3d[float]
) -> wp.vec3:
    """Return the albedo of a box where a ray has entered it."""
    box, depth, axis = int(hit[0]), hit[1], int(hit[2])
    turn = boxes[box, 2]
    size = boxes[box, 5][0]
    seen = eye.centre + ray * depth - boxes[box, 0]
    place = _turned(seen, turn[0], -turn[1]) * size
    across, upward = place[0], place[2]
    if axis == 0:
        across = place[1]
    if axis == 2:
        upward = place[1]
    share = _pattern(int(turn[2]), across, 0.0, upward, size * depth / eye.focal[0], noise)
    return wp.lerp(boxes[box, 3], boxes[box, 4], share)


@wp.func
def _in_shadow(place: wp.vec3, boxes: wp.array2d[wp.vec3], light: Light) -> float:
    """Return 1 where a box is between a place on the ground and the sun, else 0."""
    for box in range(boxes.shape[0]):
        aside = boxes[box, 0] - place
        reaches = boxes[box, 5][1]
        if aside[0] * aside[0] + aside[1] * aside[1] > reaches * reaches:
            continue
        if _enter(boxes, box, place, light.to_sun)[0] > 0.0:
            return 1.0
    return 0.0


@wp.func
def _ray(eye: Eye, x: float, y: float) -> wp.vec3:
    """Return the direction in the world that a pixel sees, of length 1 along the optical axis."""
    return wp.transpose(eye.R) * wp.vec3(
        (x - eye.principal[0]) / eye.focal[0], (y - eye.principal[1]) / eye.focal[1], 1.0
    )


@wp.kernel
def survey(
    boxes: wp.array2d[wp.vec3],
    frames: wp.array2d[float],
    eye: Eye,
    around: Surroundings,
    noise: wp.array3d[float],
    albedos: wp.array2d[wp.vec3],
    normals: wp.array2d[wp.vec3],
    indices: wp.array2d[int],
    depths: wp.array2d[float],
) -> None:
    """Find what each pixel sees of ground, boxes and sky, whatever the light; normal 0 = sky.

    A box is six rows of `boxes`: middle; half sizes; cosine and sine of its turn, and its pattern;
    two colours; repeats of the pattern per metre, and how far from the middle its shadow reaches.
    Its frame is what of the image it can be in: left, top, right, bottom.
    """
    row, strip = wp.tid()
    for column in range(strip * _STRIP, wp.min((strip + 1) * _STRIP, eye.width)):
        x, y = float(column), float(row)
        ray = _ray(eye, x, y)
        depth = float(_FAR_M)
        index = int(_NOTHING)
        normal = wp.vec3(0.0, 0.0, 0.0)
        albedo = wp.vec3(0.0, 0.0, 0.0)
        if around.drawn == 1 and ray[2] < -1.0e-6:
            depth = wp.min(-eye.centre[2] / ray[2], _FAR_M - 1.0)
        hit = _nearest_box(boxes, frames, x, y, ray, eye, depth)
        if hit[0] >= 0.0:
            depth = hit[1]
            index = _FIRST_BOX + int(hit[0])
            normal = _wall_normal(boxes, hit, ray)
            albedo = _wall(boxes, hit, ray, eye, noise)
        elif depth < _FAR_M:
            normal = wp.vec3(0.0, 0.0, 1.0)
            place = (eye.centre + ray * depth) * around.scale
            footprint = around.scale * depth / eye.focal[0] / wp.max(-ray[2], 0.05)
            share = _noise(noise, place[0], place[1], footprint)
            albedo = wp.lerp(around.first, around.second, share)
        else:
            albedo = _sky(ray, around, noise)
        albedos[row, column] = albedo
        normals[row, column] = normal
        indices[row, column] = index
        depths[row, column] = depth


@wp.kernel
def shade(
    cells: wp.array2d[wp.uint64],
    people: People,
    boxes: wp.array2d[wp.vec3],
    frames: wp.array2d[float],
    first: int,
    throwers: wp.array2d[wp.vec3],
    eye: Eye,
    light: Light,
    around: Surroundings,
    shadow: wp.array2d[float],
    noise: wp.array3d[float],
    albedos: wp.array2d[wp.vec3],
    normals: wp.array2d[wp.vec3],
    image: wp.array2d[wp.vec3],
    indices: wp.array2d[int],
    depths: wp.array2d[float],
) -> None:
    """Put people and boxes before what `survey` found, and colour every pixel.

    `first` is the number of the first box here; `throwers` are all boxes; `indices` and `depths`
    are the survey's and become the picture's.
    """
    row, strip = wp.tid()
    for column in range(strip * _STRIP, wp.min((strip + 1) * _STRIP, eye.width)):
        x, y = float(column), float(row)
        ray = _ray(eye, x, y)
        depth, index = float(depths[row, column]), int(indices[row, column])
        normal, albedo = wp.vec3(normals[row, column]), wp.vec3(albedos[row, column])
        cell = cells[row, column]
        if cell != _EMPTY:
            away = float(cell >> wp.uint64(32)) / TICKS_PER_M
            if away < depth:
                depth = away
                index = int(cell & wp.uint64(4294967295)) // people.faces.shape[0]
        hit = _nearest_box(boxes, frames, x, y, ray, eye, depth)
        if hit[0] >= 0.0:
            depth = hit[1]
            index = _FIRST_BOX + first + int(hit[0])
            normal = _wall_normal(boxes, hit, ray)
            albedo = _wall(boxes, hit, ray, eye, noise)
        colour = albedo
        if index >= 0 and index < _FIRST_BOX:
            number = int(cell & wp.uint64(4294967295))
            colour = _dressed(number, x, y, people, eye.focal[0], light, noise)
        elif depth < _FAR_M:
            colour = _lit(albedo, normal, light)
            if index == _NOTHING:
                dark = shadow[row, column]
                if light.hard == 1:
                    dark = wp.max(dark, _in_shadow(eye.centre + ray * depth, throwers, light))
                colour *= 1.0 - light.shadow * dark
            colour = wp.lerp(colour, around.horizon, 1.0 - wp.exp(-depth / 150.0))
        image[row, column] = colour
        indices[row, column] = index
        depths[row, column] = depth

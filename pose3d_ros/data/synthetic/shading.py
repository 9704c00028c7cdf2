"""The last kernel of the renderer: the nearest of people, boxes, ground and sky colours a pixel.

Ground, boxes and sky are simple enough to be met by a ray for each pixel.
"""

import warp as wp

from pose3d_ros.data.synthetic.kernels import EMPTY, Eye, Light, area
from pose3d_ros.data.synthetic.textures import LEVELS, SIDE

wp.set_module_options({'enable_backward': False})

NOTHING = -1  # in an index map: ground, sky and backdrop
FIRST_BOX = 1000  # boxes count from here in an index map, people from 0
FAR_M = 1e4

_FAR_M = wp.constant(FAR_M)
_FIRST_BOX = wp.constant(FIRST_BOX)
_NOTHING = wp.constant(NOTHING)
_EMPTY = wp.constant(wp.uint64(EMPTY))
_SIDE = wp.constant(SIDE)
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
    enter, leave = float(-1.0e9), float(1.0e9)
    axis = int(0)
    for i in range(3):
        if wp.abs(ray[i]) < 1.0e-9:
            if wp.abs(origin[i]) > half[i]:
                enter = 2.0e9
        else:
            near = (-wp.sign(ray[i]) * half[i] - origin[i]) / ray[i]
            far = (wp.sign(ray[i]) * half[i] - origin[i]) / ray[i]
            if near > enter:
                enter = near
                axis = i
            leave = wp.min(leave, far)
    if enter > leave or enter < 0.0:
        enter = float(0.0)
    return wp.vec2(enter, float(axis))


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
) -> wp.vec4:
    """Return colour and depth of a person's face of this number, at a pixel."""
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
    colour = _lit(albedo, normal, light)
    return wp.vec4(colour[0], colour[1], colour[2], depth)


@wp.func
def _enter(boxes: wp.array2d[wp.vec3], box: int, start: wp.vec3, ray: wp.vec3) -> wp.vec2:
    """Return where a ray in the world enters a box, and the axis of that side, as _hit_box."""
    turn = boxes[box, 2]
    origin = _turned(start - boxes[box, 0], turn[0], -turn[1])
    return _hit_box(origin, _turned(ray, turn[0], -turn[1]), boxes[box, 1])


@wp.func
def _ground(
    reach: float,
    ray: wp.vec3,
    covered: float,
    boxes: wp.array2d[wp.vec3],
    eye: Eye,
    light: Light,
    around: Surroundings,
    noise: wp.array3d[float],
) -> wp.vec3:
    """Return the colour of the ground so far along a ray; `covered` 1 = in people's shadow."""
    place = eye.centre + ray * reach
    footprint = reach / eye.focal[0] / wp.max(-ray[2], 0.05)
    share = _noise(
        noise, around.scale * place[0], around.scale * place[1], around.scale * footprint
    )
    albedo = wp.lerp(around.first, around.second, share)
    shadow = float(covered)
    if light.hard == 1:
        for box in range(boxes.shape[0]):
            aside = boxes[box, 0] - place
            reaches = boxes[box, 5][1]
            if aside[0] * aside[0] + aside[1] * aside[1] > reaches * reaches:
                continue
            if _enter(boxes, box, place, light.to_sun)[0] > 0.0:
                shadow = float(1.0)
    dark = 1.0 - light.shadow * shadow
    colour = _lit(albedo, wp.vec3(0.0, 0.0, 1.0), light) * dark
    return wp.lerp(colour, around.horizon, _haze(reach))


@wp.func
def _haze(depth: float) -> float:
    return 1.0 - wp.exp(-depth / 150.0)


@wp.func
def _wall(
    boxes: wp.array2d[wp.vec3],
    box: int,
    hit: wp.vec2,
    ray: wp.vec3,
    eye: Eye,
    light: Light,
    around: Surroundings,
    noise: wp.array3d[float],
) -> wp.vec3:
    """Return the colour of the side of a box that a ray has entered by."""
    depth, axis, turn = hit[0], int(hit[1]), boxes[box, 2]
    origin = _turned(eye.centre - boxes[box, 0], turn[0], -turn[1])
    inward = _turned(ray, turn[0], -turn[1])
    size = boxes[box, 5][0]
    place = (origin + inward * depth) * size
    side = wp.vec3(0.0, 0.0, 0.0)
    side[axis] = -wp.sign(inward[axis])
    across, upward = place[0], place[2]
    if axis == 0:
        across = place[1]
    if axis == 2:
        upward = place[1]
    share = _pattern(int(turn[2]), across, 0.0, upward, size * depth / eye.focal[0], noise)
    albedo = wp.lerp(boxes[box, 3], boxes[box, 4], share)
    colour = _lit(albedo, _turned(side, turn[0], turn[1]), light)
    return wp.lerp(colour, around.horizon, _haze(depth))


@wp.kernel
def shade(
    cells: wp.array2d[wp.uint64],
    people: People,
    boxes: wp.array2d[wp.vec3],
    frames: wp.array2d[float],
    eye: Eye,
    light: Light,
    around: Surroundings,
    shadow: wp.array2d[float],
    noise: wp.array3d[float],
    image: wp.array2d[wp.vec3],
    indices: wp.array2d[int],
    depths: wp.array2d[float],
) -> None:
    """Colour every pixel by the nearest of people, boxes, ground and sky.

    A box is six rows of `boxes`: middle; half sizes; cosine and sine of its turn, and its pattern;
    two colours; repeats of the pattern per metre, and how far from the middle its shadow reaches.
    Its frame is what of the image it can be in: left, top, right, bottom.
    """
    row, column = wp.tid()
    x, y = float(column), float(row)
    ray = wp.transpose(eye.R) * wp.vec3(
        (x - eye.principal[0]) / eye.focal[0], (y - eye.principal[1]) / eye.focal[1], 1.0
    )
    depth = float(_FAR_M)
    index = int(_NOTHING)
    colour = wp.vec3(0.0, 0.0, 0.0)
    cell = cells[row, column]
    if cell != _EMPTY:
        number = int(cell & wp.uint64(4294967295))
        dressed = _dressed(number, x, y, people, eye.focal[0], light, noise)
        colour = wp.vec3(dressed[0], dressed[1], dressed[2])
        depth = dressed[3]
        index = number // people.faces.shape[0]
    if around.drawn == 1 and ray[2] < -1.0e-6:
        reach = -eye.centre[2] / ray[2]
        if reach < depth:
            depth = reach
            index = _NOTHING
            colour = _ground(reach, ray, shadow[row, column], boxes, eye, light, around, noise)
    for box in range(boxes.shape[0]):
        left, top, right, bottom = frames[box, 0], frames[box, 1], frames[box, 2], frames[box, 3]
        if x >= left and y >= top and x <= right and y <= bottom:
            hit = _enter(boxes, box, eye.centre, ray)
            if hit[0] > 0.0 and hit[0] < depth:
                depth = hit[0]
                index = _FIRST_BOX + box
                colour = _wall(boxes, box, hit, ray, eye, light, around, noise)
    if depth == _FAR_M:
        colour = _sky(ray, around, noise)
    image[row, column] = colour
    indices[row, column] = index
    depths[row, column] = depth

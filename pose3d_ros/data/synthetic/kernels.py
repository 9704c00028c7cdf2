"""The kernels of the renderer: people are rasterised, ground, boxes and sky are met by rays.

Warp's, which Anny brings along: one source for a CPU (one thread, hence many processes) and for an
NVIDIA GPU. World: metres, z up, the ground at z = 0. Camera: optical frame. Pixel (0, 0) is the
middle of the first one.
"""

import warp as wp

from pose3d_ros.data.synthetic.textures import LEVELS, SIDE

wp.set_module_options({'enable_backward': False})  # half the time to compile

NOTHING = -1  # in an index map: ground, sky and backdrop
FIRST_BOX = 1000  # boxes count from here in an index map, people from 0
FAR_M = 1e4
EMPTY = 2**64 - 1  # a cell that no face has met

_NEAR_M = wp.constant(0.2)
_TICKS_PER_M = wp.constant(1.0e5)  # of the depth in a cell's upper half
_FAR_M = wp.constant(FAR_M)
_FIRST_BOX = wp.constant(FIRST_BOX)
_NOTHING = wp.constant(NOTHING)
_EMPTY = wp.constant(wp.uint64(EMPTY))
_SIDE = wp.constant(SIDE)
_LEVELS = wp.constant(LEVELS)


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


@wp.kernel
def add_face_normals(
    vertices: wp.array2d[wp.vec3], faces: wp.array2d[int], normals: wp.array2d[wp.vec3]
):  # type: ignore[no-untyped-def]
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
):  # type: ignore[no-untyped-def]
    person, vertex = wp.tid()
    normal = wp.normalize(normals[person, vertex])
    normals[person, vertex] = normal
    point = vertices[person, vertex] + normal * thickness[person, vertex]
    screen[person, vertex] = _pixel(eye, point)
    # along the sun's rays down to the ground
    fallen = point - light.to_sun * (point[2] / light.to_sun[2])
    shadow[person, vertex] = _pixel(eye, fallen)


@wp.func
def _pixel(eye: Eye, point: wp.vec3):  # type: ignore[no-untyped-def]
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
def _area(a: wp.vec3, b: wp.vec3, x: float, y: float):  # type: ignore[no-untyped-def]
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


@wp.kernel
def rasterise(
    screen: wp.array2d[wp.vec3],
    faces: wp.array2d[int],
    eye: Eye,
    cells: wp.array2d[wp.uint64],
):  # type: ignore[no-untyped-def]
    """Leave depth (upper half) and number of the nearest face (lower half) in each cell."""
    person, face = wp.tid()
    a = screen[person, faces[face, 0]]
    b = screen[person, faces[face, 1]]
    c = screen[person, faces[face, 2]]
    if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0:
        return
    whole = _area(a, b, c[0], c[1])
    if whole >= 0.0:  # seen from inside: y points down
        return
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]))), 0)
    right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]))), eye.width - 1)
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]))), 0)
    bottom = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]))), eye.height - 1)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            x, y = float(column), float(row)
            first = _area(b, c, x, y) / whole
            second = _area(c, a, x, y) / whole
            third = 1.0 - first - second
            if first >= 0.0 and second >= 0.0 and third >= 0.0:
                depth = 1.0 / (first * a[2] + second * b[2] + third * c[2])
                ticks = wp.uint64(depth * _TICKS_PER_M)
                number = wp.uint64(person * faces.shape[0] + face)
                wp.atomic_min(cells, row, column, (ticks << wp.uint64(32)) | number)


@wp.kernel
def cover(
    screen: wp.array2d[wp.vec3], faces: wp.array2d[int], eye: Eye, mask: wp.array2d[wp.uint8]
):  # type: ignore[no-untyped-def]
    """Mark the pixels of faces, whichever side they show."""
    person, face = wp.tid()
    a = screen[person, faces[face, 0]]
    b = screen[person, faces[face, 1]]
    c = screen[person, faces[face, 2]]
    if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0:
        return
    whole = _area(a, b, c[0], c[1])
    if whole == 0.0:
        return
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]))), 0)
    right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]))), eye.width - 1)
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]))), 0)
    bottom = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]))), eye.height - 1)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            x, y = float(column), float(row)
            first = _area(b, c, x, y) / whole
            second = _area(c, a, x, y) / whole
            if first >= 0.0 and second >= 0.0 and first + second <= 1.0:
                mask[row, column] = wp.uint8(255)


@wp.func
def _texel(noise: wp.array3d[float], level: int, x: int, y: int):  # type: ignore[no-untyped-def]
    return noise[level, y & (_SIDE - 1), x & (_SIDE - 1)]


@wp.func
def _noise(noise: wp.array3d[float], x: float, y: float, footprint: float):  # type: ignore[no-untyped-def]
    """Return the noise at a place, in texels, as blurred as a pixel of so many texels sees it."""
    level = wp.clamp(int(wp.log2(wp.max(footprint, 1.0)) + 0.5), 0, _LEVELS - 1)
    column, row = wp.floor(x), wp.floor(y)
    u, v = x - column, y - row
    i, j = int(column), int(row)
    upper = wp.lerp(_texel(noise, level, i, j), _texel(noise, level, i + 1, j), u)
    lower = wp.lerp(_texel(noise, level, i, j + 1), _texel(noise, level, i + 1, j + 1), u)
    return wp.lerp(upper, lower, v)


@wp.func
def _stripe(place: float, footprint: float):  # type: ignore[no-untyped-def]
    """Return 0 or 1 in turns of one unit, or their mean where a pixel is wider than that."""
    wave = wp.clamp(0.5 + 4.0 * wp.sin(place * 3.14159265), 0.0, 1.0)
    return wp.lerp(wave, 0.5, wp.clamp(2.0 * footprint - 0.5, 0.0, 1.0))


@wp.func
def _pattern(
    kind: int, x: float, y: float, z: float, pixel: float, noise: wp.array3d[float]
):  # type: ignore[no-untyped-def]
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
def _lit(albedo: wp.vec3, normal: wp.vec3, light: Light, shade: float):  # type: ignore[no-untyped-def]
    up = 0.5 + 0.5 * normal[2]
    sun = wp.max(wp.dot(normal, light.to_sun), 0.0) * (1.0 - shade)
    return wp.cw_mul(albedo, light.bounce * (1.0 - up) + light.sky * up + light.sun * sun)


@wp.func
def _hit_box(
    origin: wp.vec3, ray: wp.vec3, half: wp.vec3
):  # type: ignore[no-untyped-def]
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
def _turned(v: wp.vec3, cosine: float, sine: float):  # type: ignore[no-untyped-def]
    return wp.vec3(cosine * v[0] - sine * v[1], sine * v[0] + cosine * v[1], v[2])


@wp.func
def _sky(ray: wp.vec3, around: Surroundings, noise: wp.array3d[float]):  # type: ignore[no-untyped-def]
    direction = wp.normalize(ray)
    up = wp.max(direction[2], 0.0)
    colour = wp.lerp(around.horizon, around.zenith, wp.min(2.0 * up, 1.0))
    cloud = _noise(noise, 60.0 * direction[0] / (up + 0.2), 60.0 * direction[1] / (up + 0.2), 1.0)
    return wp.lerp(colour, wp.vec3(0.9, 0.9, 0.9), around.clouds * cloud)


@wp.kernel
def shade(
    cells: wp.array2d[wp.uint64],
    screen: wp.array2d[wp.vec3],
    faces: wp.array2d[int],
    normals: wp.array2d[wp.vec3],
    cloth: wp.array[wp.vec3],
    regions: wp.array[int],
    colours: wp.array3d[wp.vec3],
    patterns: wp.array2d[wp.vec2],
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
):  # type: ignore[no-untyped-def]
    """Colour every pixel by the nearest of people, boxes, ground and sky.

    A box is six rows of `boxes`: middle; half sizes; cosine and sine of its turn, and its pattern;
    two colours; repeats of the pattern per metre. Its frame is what of the image it can be in:
    left, top, right, bottom.
    """
    row, column = wp.tid()
    x, y = float(column), float(row)
    local = wp.vec3(
        (x - eye.principal[0]) / eye.focal[0], (y - eye.principal[1]) / eye.focal[1], 1.0
    )
    ray = wp.transpose(eye.R) * local
    depth = float(_FAR_M)
    index = int(_NOTHING)
    colour = wp.vec3(0.0, 0.0, 0.0)
    cell = cells[row, column]
    if cell != _EMPTY:
        number = int(cell & wp.uint64(4294967295))
        person, face = number // faces.shape[0], number % faces.shape[0]
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        a, b, c = screen[person, i], screen[person, j], screen[person, k]
        whole = _area(a, b, c[0], c[1])
        u, v = _area(b, c, x, y) / whole, _area(c, a, x, y) / whole
        w = 1.0 - u - v
        depth = 1.0 / (u * a[2] + v * b[2] + w * c[2])
        index = person
        normal = wp.normalize(normals[person, i] * u + normals[person, j] * v + normals[person, k] * w)
        place = cloth[i] * u + cloth[j] * v + cloth[k] * w
        region = regions[i]
        if v >= u and v >= w:
            region = regions[j]
        elif w >= u and w >= v:
            region = regions[k]
        pattern = patterns[person, region]
        size = pattern[1]
        share = _pattern(
            int(pattern[0]), size * place[0], size * place[1], size * place[2],
            size * depth / eye.focal[0], noise,
        )
        albedo = wp.lerp(colours[person, region, 0], colours[person, region, 1], share)
        colour = _lit(albedo, normal, light, 0.0)
    if around.drawn == 1 and ray[2] < -1.0e-6:
        reach = -eye.centre[2] / ray[2]
        if reach < depth:
            depth = reach
            index = _NOTHING
            place = eye.centre + ray * reach
            footprint = reach / eye.focal[0] / wp.max(-ray[2], 0.05)
            share = _noise(
                noise, around.scale * place[0], around.scale * place[1], around.scale * footprint
            )
            albedo = wp.lerp(around.first, around.second, share)
            covered = shadow[row, column]
            if light.hard == 1:
                for box in range(boxes.shape[0]):
                    turn = boxes[box, 2]
                    start = _turned(place - boxes[box, 0], turn[0], -turn[1])
                    if _hit_box(start, _turned(light.to_sun, turn[0], -turn[1]), boxes[box, 1])[0] > 0.0:
                        covered = 1.0
            dark = 1.0 - light.shadow * covered
            ground = _lit(albedo, wp.vec3(0.0, 0.0, 1.0), light, 0.0) * dark
            haze = 1.0 - wp.exp(-reach / 150.0)
            colour = wp.lerp(ground, around.horizon, haze)
    for box in range(boxes.shape[0]):
        if x < frames[box, 0] or y < frames[box, 1] or x > frames[box, 2] or y > frames[box, 3]:
            continue
        turn = boxes[box, 2]
        origin = _turned(eye.centre - boxes[box, 0], turn[0], -turn[1])
        inward = _turned(ray, turn[0], -turn[1])
        hit = _hit_box(origin, inward, boxes[box, 1])
        if hit[0] > 0.0 and hit[0] < depth:
            depth = hit[0]
            index = _FIRST_BOX + box
            place = origin + inward * depth
            axis = int(hit[1])
            side = wp.vec3(0.0, 0.0, 0.0)
            side[axis] = -wp.sign(inward[axis])
            across = place[0]
            if axis == 0:
                across = place[1]
            upward = place[2]
            if axis == 2:
                upward = place[1]
            size = boxes[box, 5][0]
            share = _pattern(
                int(turn[2]), size * across, 0.0, size * upward, size * depth / eye.focal[0], noise
            )
            albedo = wp.lerp(boxes[box, 3], boxes[box, 4], share)
            walls = _lit(albedo, _turned(side, turn[0], turn[1]), light, 0.0)
            colour = wp.lerp(walls, around.horizon, 1.0 - wp.exp(-depth / 150.0))
    if depth == _FAR_M:
        colour = _sky(ray, around, noise)
    image[row, column] = colour
    indices[row, column] = index
    depths[row, column] = depth

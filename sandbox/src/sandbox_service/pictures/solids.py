"""Balls: the studio of a 3-D artist, and a world of modelling clay."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Packed, Pixels, Rgb, mix, ramp, rgb, to_bytes, turn
from sandbox_service.pictures.noise import Field, doubled, fractal, smoothstep
from sandbox_service.pictures.palettes import CLAY, Palette
from sandbox_service.pictures.paper import cast_shadow
from sandbox_service.pictures.terrain import Ridge, pack_pixels, paint_ridge, ridge_line, unpack


@dataclass(frozen=True)
class Ball:
    x: float
    y: float
    radius: float
    colour: Rgb
    gloss: float
    """0 chalk … 1 polished."""
    stripes: int = 0


def paint_ball(pixels: Pixels, ball: Ball, ground: Rgb) -> None:
    """Lit from the upper left by a window, from below by the ``ground``."""
    height, width = pixels.shape[:2]
    left, right = max(0, int(ball.x - ball.radius - 2)), min(width, int(ball.x + ball.radius + 3))
    top, bottom = max(0, int(ball.y - ball.radius - 2)), min(height, int(ball.y + ball.radius + 3))
    if right <= left or bottom <= top:
        return
    x = (np.arange(left, right, dtype=np.float32)[None, :] - np.float32(ball.x)) / np.float32(ball.radius)
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(ball.y)) / np.float32(ball.radius)
    square = x * x + y * y
    z = np.sqrt(np.maximum(1 - square, 0))
    diffuse = np.clip(-0.48 * x - 0.6 * y + 0.64 * z, 0, 1)
    bounce = np.clip(y * 0.9 - 0.1, 0, 1) * 0.4
    fresnel = (1 - z) ** 4
    shine = np.clip(-0.36 * x - 0.44 * y + 0.82 * z, 0, 1)
    # The window shows as a patch with a clear border in the polish.
    window = smoothstep(0.962, 0.972, shine) * 0.75 + shine**18 * 0.3
    edge = np.clip((1 - np.sqrt(square)) * ball.radius + 0.5, 0, 1)
    tone = np.float32(0.3) + 0.78 * diffuse
    if ball.stripes:
        band = np.sin((y * 0.8 + x * 0.6) * np.float32(ball.stripes)) > 0
        tone = tone * np.where(band, np.float32(0.55), np.float32(1.05))
    patch = pixels[top:bottom, left:right]
    for channel in range(3):
        light = ball.colour[channel] * tone + ground[channel] * bounce * (0.4 + 0.6 * ball.colour[channel])
        light += ball.gloss * (window + fresnel * 0.55)
        patch[..., channel] = patch[..., channel] * (1 - edge) + np.minimum(light, 1) * 255 * edge


def studio_scene(brief: Brief) -> Pixels:
    """Balls of many sizes on a seamless backdrop."""
    random, width, height = brief.random("solids"), brief.width, brief.height
    palette = brief.palette()
    wall = mix(turn(palette.horizon, float(random.uniform(-30, 30))), rgb("ffffff"), 0.35)
    floor = mix(wall, palette.sky, 0.35)
    base = turn(mix(palette.sky, rgb("ff6f61"), 0.45), float(random.uniform(0, 360)), 1.5)
    balls = _heap(brief, [turn(base, angle, 1.15) for angle in (0, 35, 180, 215, 300)])
    small = (height // 4, width // 4)
    down = np.linspace(0, 1, small[0], dtype=np.float32)[:, None]
    across = np.linspace(0, 1, small[1], dtype=np.float32)[None, :]
    table = ramp([mix(wall, rgb("ffffff"), 0.55), wall, mix(floor, wall, 0.3), floor, mix(floor, rgb("ffffff"), 0.25)])
    place = np.clip(0.62 * down + 0.3 * np.hypot(across - 0.3, down - 0.2) + 0.02, 0, 1)
    canvas = table[(place * 255).astype(np.intp)]
    for ball in balls:  # Soft on the floor, away from the light.
        x = (across * width - ball.x - ball.radius * 0.35) / (ball.radius * 1.35)
        y = (down * height - ball.y - ball.radius * 0.93) / (ball.radius * 0.36)
        canvas *= 1 - 0.5 * np.exp(-(x * x + y * y) * 1.6)[..., None]
    image = Image.fromarray(to_bytes(canvas)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.array(image)
    for ball in sorted(balls, key=lambda ball: ball.y + ball.radius):
        paint_ball(pixels, ball, floor)
    return pixels


def _heap(brief: Brief, colours: list[Rgb]) -> list[Ball]:
    """Balls that stand on the floor and do not run into each other much."""
    random, width, height = brief.random("heap"), brief.width, brief.height
    short = min(width, height)
    balls: list[Ball] = []
    for size in (0.2, 0.15, 0.12, 0.1, 0.085, 0.07, 0.06, 0.05, 0.045, 0.04, 0.035):
        radius = short * size * float(random.uniform(0.85, 1.15))
        for _ in range(12):
            foot = height * float(random.uniform(0.62, 0.9))
            x, y = width * float(random.uniform(0.1, 0.9)), foot - radius
            if all(np.hypot(x - other.x, (y - other.y) * 1.2) > (radius + other.radius) * 0.96 for other in balls):
                gloss = float(random.choice([0.15, 0.7, 1.0]))
                stripes = int(random.choice([0, 0, 9, 14]))
                balls.append(Ball(x, y, radius, colours[len(balls) % len(colours)], gloss, stripes))
                break
    return balls


def clay_scene(brief: Brief) -> Pixels:
    """Hills, a sun, clouds and trees, kneaded."""
    random, width, height = brief.random("clay"), brief.width, brief.height
    palette = brief.palette(CLAY)
    dents = fractal(brief.random("dents"), width // 2, height // 2, cells=16, octaves=4, gain=0.75)
    touch = np.clip((dents - np.roll(dents, (2, 2), (0, 1))) * 1.5, -0.5, 0.5)
    surface = doubled(touch)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    table = ramp([palette.zenith, palette.sky, palette.horizon])
    sky = table[np.clip((down / 0.7 + surface * 0.16) * 255, 0, 255).astype(np.uint8)]
    pixels = to_bytes(sky)
    short = min(width, height)
    sun = Ball(width * float(random.uniform(0.2, 0.8)), height * 0.24, short * 0.11, palette.sun, 0.12)
    _knead(pixels, sun, palette)
    for _ in range(3):
        x, y = width * float(random.uniform(0.08, 0.92)), height * float(random.uniform(0.12, 0.4))
        for offset, size in ((-0.075, 0.036), (0.075, 0.038), (-0.03, 0.055), (0.035, 0.048), (0.0, 0.042)):
            lump = Ball(x + offset * short, y + (0.055 - size) * short, size * short, palette.cloud_light, 0.05)
            _knead(pixels, lump, palette)
    canvas = pack_pixels(pixels)
    greens = [turn(palette.near, float(random.uniform(-60, 60)), float(random.uniform(1.0, 1.4))) for _ in range(2)]
    bodies = [palette.far, mix(palette.far, greens[0], 0.5), greens[0], greens[1]]
    for layer, body in enumerate(bodies):
        line = ridge_line(
            random, width, top=(0.62 + 0.13 * layer) * height, rise=0.2 * height, cells=1.6, sharp=0.0, octaves=2
        )
        _slab(canvas, line, body, surface, height)
    pixels = unpack(canvas).copy()
    for _ in range(9):
        foot = height * float(random.uniform(0.72, 0.97))
        size = short * 0.05 * (foot / height) * float(random.uniform(0.8, 1.3))
        x = width * float(random.uniform(0.04, 0.96))
        trunk = (
            slice(int(foot - size * 1.4), int(foot)),
            slice(max(0, int(x - size * 0.16)), max(0, int(x + size * 0.16))),
        )
        pixels[trunk] = to_bytes(rgb("7a4f35"))
        for lift, share in ((1.7, 1.0), (2.6, 0.78), (3.3, 0.5)):
            crown = turn(greens[1], float(random.uniform(-25, 25)), 1.2)
            _knead(pixels, Ball(x, foot - size * lift, size * share, mix(crown, rgb("ffffff"), 0.12), 0.08), palette)
    return pixels


def _slab(canvas: Packed, line: Field, body: Rgb, surface: Field, height: int) -> None:
    """A rolled-out sheet with a rounded upper edge."""
    cast_shadow(canvas, line, height // 26, 0.34)
    light, shade = mix(body, rgb("ffffff"), 0.42), mix(body, rgb("402030"), 0.28)
    table = ramp([mix(body, light, 0.4), light, body, mix(body, shade, 0.4), shade], at=[0, 0.06, 0.17, 0.65, 1])
    paint_ridge(canvas, Ridge(line, table, height * 0.42, relief=0.16), surface)


def _knead(pixels: Pixels, ball: Ball, palette: Palette) -> None:
    paint_ball(pixels, ball, mix(palette.horizon, palette.far, 0.3))

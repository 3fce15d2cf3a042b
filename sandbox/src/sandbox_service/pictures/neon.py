"""A city at night, in magenta and cyan."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Packed, Rgb, mix, pack, ramp, rgb, to_bytes, turn
from sandbox_service.pictures.noise import Random, fractal
from sandbox_service.pictures.terrain import pack_pixels, reflect, skyline, unpack


def neon_city(brief: Brief) -> Image.Image:
    """A striped sun behind towers with lit windows and signs, mirrored in a wet street."""
    random, width, height = brief.random("neon"), brief.width, brief.height
    hue = float(random.choice([0, 0, 25, -35, 70, 150]))
    magenta, cyan, night = turn(rgb("ff2a9d"), hue), turn(rgb("1de9ff"), hue), turn(rgb("0b0524"), hue)
    level = int(height * float(random.uniform(0.64, 0.72)))
    pixels = _sky(brief, random, level, (magenta, cyan, night))
    canvas = pack_pixels(pixels)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for layer in range(3):
        share = layer / 2
        body = mix(mix(night, magenta, 0.3 * (1 - share)), rgb("02010a"), 0.35 + 0.4 * share)
        roofs = skyline(random, width, ground=float(level), tall=height * (0.42 - 0.05 * layer))
        _towers(random, canvas, roofs.astype(np.intp), level, body, (mix(cyan, rgb("fff2c0"), 0.6), magenta, cyan))
    for _ in range(14):
        _sign(random, draw, (width, level), [magenta, cyan, rgb("ffd23f"), rgb("8c52ff")])
    glowing = Image.fromarray(unpack(canvas))
    glowing = ImageChops.screen(glowing, image)
    small = image.resize((width // 8, height // 8), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(width / 220))
    bright = small.point([min(255, int(value * 2.2)) for value in range(256)] * 3)
    glowing = ImageChops.screen(glowing, bright.resize((width, height), Image.Resampling.BILINEAR))
    canvas = pack_pixels(np.asarray(glowing))
    reflect(random, canvas, level, mix(night, magenta, 0.12), 0.5, magenta)
    return Image.fromarray(unpack(canvas))


def _sky(brief: Brief, random: Random, level: int, colours: tuple[Rgb, Rgb, Rgb]) -> np.ndarray:
    magenta, _, night = colours
    width, height = brief.width, brief.height
    half = (width // 2, height // 2)
    smoke = fractal(random, *half, cells=3, octaves=5, stretch=1.8) - 0.5
    down = np.linspace(0, height / level, half[1], dtype=np.float32)[:, None]
    table = ramp(
        [night, mix(night, turn(magenta, -50), 0.4), mix(magenta, night, 0.25), mix(magenta, rgb("ffb86b"), 0.6)],
        at=[0, 0.4, 0.78, 1],
    )
    canvas = table[(np.clip(down**1.5 + 0.16 * smoke, 0, 1) * 255).astype(np.uint8)]
    x, y = float(random.uniform(0.35, 0.65)) * half[0], 0.55 * level / 2
    radius = min(half) * 0.27
    rows = np.arange(half[1], dtype=np.float32)[:, None]
    away = np.hypot(np.arange(half[0], dtype=np.float32)[None, :] - np.float32(x), rows - np.float32(y))
    place = np.clip((rows - (y - radius)) / (2 * radius), 0, 1)
    stripe = 18 * radius / 140
    cut = np.clip(((rows - y) % stripe) - stripe * np.clip(place * 1.3 - 0.5, 0.0, 0.75), 0, 1)
    disc = np.clip(radius - away + 0.5, 0, 1) * np.where(place > 0.42, cut, 1)
    sun = ramp([rgb("fff06b"), rgb("ff9a3c"), magenta])[(place * 255).astype(np.uint8)]
    glow = np.exp(-np.maximum(away - radius, 0) / (radius * 0.6)) * 0.5
    canvas = canvas + (1 - canvas) * glow[..., None] * magenta
    canvas = canvas + (sun - canvas) * disc[..., None]
    image = Image.fromarray(to_bytes(canvas)).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(image)


def _towers(
    random: Random, canvas: Packed, roofs: np.ndarray, level: int, body: Rgb, lights: tuple[Rgb, Rgb, Rgb]
) -> None:
    """Fill below the roofs and light some windows."""
    height, width = canvas.shape
    top = max(0, int(roofs.min()))
    rows = np.arange(top, level)[:, None]
    tower = rows >= roofs[None, :]
    wall, lamps = pack(body), pack(np.stack(lights))
    cell_x, cell_y = max(4, width // 128), max(6, height // 88)
    columns = np.arange(width)[None, :]
    chance = random.random((level // cell_y + 2, width // cell_x + 2))
    lit = chance[rows // cell_y, columns // cell_x]
    pane = (columns % cell_x >= cell_x // 3) & (rows % cell_y >= cell_y // 2) & (rows > roofs[None, :] + cell_y)
    part = canvas[top:level]
    np.copyto(part, wall, where=tower)
    for low, high, lamp in ((0.8, 0.93, lamps[0]), (0.93, 0.97, lamps[1]), (0.97, 1.0, lamps[2])):
        np.copyto(part, lamp, where=tower & pane & (lit >= low) & (lit < high))


def _sign(random: Random, draw: ImageDraw.ImageDraw, size: tuple[int, int], colours: list[Rgb]) -> None:
    """An upright sign with strokes that might be letters."""
    width, level = size
    colour = tuple(to_bytes(colours[int(random.integers(len(colours)))]).tolist())
    wide = max(6, int(width * float(random.uniform(0.012, 0.026))))
    high = int(wide * float(random.uniform(3, 6)))
    x, y = int(random.uniform(0.02, 0.95) * width), int(level * float(random.uniform(0.52, 0.86)))
    line = max(1, wide // 8)
    draw.rectangle((x, y, x + wide, y + high), outline=colour, width=line)
    for row in range(y + wide // 3, y + high - wide // 2, max(4, wide * 2 // 3)):
        for _ in range(3):
            ends = random.integers(0, max(2, wide // 2), 4)
            inset = wide // 4
            draw.line(
                (x + inset + int(ends[0]), row + int(ends[1]), x + inset + int(ends[2]), row + int(ends[3])),
                fill=colour,
                width=line,
            )

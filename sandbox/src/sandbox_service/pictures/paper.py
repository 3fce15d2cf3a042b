"""Folded paper: origami."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Packed, Pixels, mix, ramp, rgb, to_bytes
from sandbox_service.pictures.noise import Field, Random, doubled, fractal
from sandbox_service.pictures.palettes import PAPER, Palette
from sandbox_service.pictures.terrain import Ridge, pack_pixels, paint_ridge, unpack

_SHADOW = np.array([60, 36, 48], dtype=np.float32)


def cast_shadow(canvas: Packed, line: Field, rows: int, strength: float) -> None:
    """Darken what lies just above (behind) a crest, softly."""
    height, width = canvas.shape
    columns = np.arange(width)
    base = np.floor(line).astype(np.intp)
    for up in range(1, rows):
        fade = strength * (1 - up / rows) ** 2
        row = base - up
        seen = (row >= 0) & (row < height)
        row, column = row[seen], columns[seen]
        levels = canvas[row, column].view(np.uint8).reshape(-1, 4)
        levels[:, :3] = levels[:, :3] * (1 - fade) + _SHADOW * fade
        canvas[row, column] = levels.view(np.uint32).reshape(-1)


def origami_scene(brief: Brief) -> Pixels:
    """Mountains of folded sheets, a paper sun, cranes."""
    random, width, height = brief.random("origami"), brief.width, brief.height
    palette = brief.palette(PAPER)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    fibre = fractal(brief.random("fibre"), width // 2, height // 2, cells=60, octaves=3, gain=0.7) - 0.5
    fibre = doubled(fibre)
    table = ramp([palette.zenith, palette.sky, palette.horizon])
    pixels = to_bytes(table[np.clip((down / 0.75 + fibre * 0.14) * 255, 0, 255).astype(np.uint8)])
    image = Image.fromarray(pixels)
    _sun(random, image, palette)
    canvas = pack_pixels(np.asarray(image))
    layers = int(random.integers(5, 7))
    surface = np.zeros((height, width), dtype=np.float32)
    fibre *= np.float32(0.12)
    for layer in range(layers):
        near = layer / (layers - 1)
        line, tone = _folds(random, width, height, near)
        body = mix(palette.far, palette.near, near)
        table = ramp([mix(body, rgb("ffffff"), 0.3), body, mix(body, rgb("301828"), 0.25)])
        cast_shadow(canvas, line, height // 28, 0.4)
        lean = float(random.uniform(-0.35, 0.35))
        top = max(0, int(line.min()))
        shift = ((np.arange(top, height) - height / 2) * lean).astype(np.int32)[:, None]
        # Half a width of border on either side, so that leaning folds find something beyond the edges.
        facets = np.pad(tone, height, mode="edge")
        np.take(facets, np.arange(width, dtype=np.int32)[None, :] + shift + height, out=surface[top:], mode="clip")
        surface[top:] += fibre[top:]
        paint_ridge(canvas, Ridge(line, table, height * 1.4, relief=1.0), surface)
    image = Image.fromarray(unpack(canvas))
    for _ in range(int(random.integers(2, 5))):
        _crane(random, image, palette)
    return np.asarray(image)


def _folds(random: Random, width: int, height: int, near: float) -> tuple[Field, NDArray[np.float32]]:
    """A crest of straight lines, and how bright each facet under it is."""
    count = int(random.integers(5, 9)) + int(3 * near)
    knots = np.sort(random.random(count * 2 + 1)) * 1.2 - 0.1
    knots[0], knots[-1] = -0.1, 1.1
    top, rise = (0.55 + 0.4 * near) * height, (0.34 - 0.14 * near) * height
    heights = np.where(np.arange(len(knots)) % 2 == 1, top - rise * random.uniform(0.45, 1.0, len(knots)), top)
    columns = np.linspace(0, 1, width)
    line = np.interp(columns, knots, heights).astype(np.float32)
    facet = np.clip(np.searchsorted(knots, columns) - 1, 0, len(knots) - 1)
    tones = np.where(np.arange(len(knots)) % 2 == 0, 0.06, 0.62) + random.uniform(-0.08, 0.12, len(knots))
    return line, tones[facet].astype(np.float32)


def _sun(random: Random, image: Image.Image, palette: Palette) -> None:
    """A disc folded like a fan, with its shadow."""
    width, height = image.size
    radius = min(width, height) * float(random.uniform(0.13, 0.18))
    x, y = width * float(random.uniform(0.25, 0.75)), height * float(random.uniform(0.22, 0.36))
    scale = 2
    side = int(radius * 2) + 8
    disc = Image.new("RGBA", (side * scale, side * scale))
    draw = ImageDraw.Draw(disc)
    middle = side * scale / 2
    reach = radius * scale
    box = (middle - reach, middle - reach, middle + reach, middle + reach)
    for fold in range(24):
        share = 0.0 if fold % 2 else 0.22
        colour = to_bytes(mix(palette.sun, rgb("ffffff"), share))
        draw.pieslice(box, fold * 15, fold * 15 + 15, fill=(*colour.tolist(), 255))
    disc = disc.resize((side, side), Image.Resampling.BOX)
    corner = (int(x - side / 2), int(y - side / 2))
    shadow = disc.getchannel("A").filter(ImageFilter.GaussianBlur(7)).point([level // 3 for level in range(256)])
    image.paste((90, 50, 50), (corner[0] + 8, corner[1] + 12), shadow)
    image.paste(disc, corner, disc)


def _crane(random: Random, image: Image.Image, palette: Palette) -> None:
    """A folded bird: two wings, body, neck and tail, each facet in its own light."""
    scale = 2
    size = min(image.size) * float(random.uniform(0.07, 0.15))
    side = int(size * 2.2)
    bird = Image.new("RGBA", (side * scale, side * scale))
    draw = ImageDraw.Draw(bird)
    paper = mix(rgb("fffaf2"), palette.sun, float(random.choice([0.0, 0.35, 0.7])))
    mirrored = bool(random.random() < 0.5)
    facets = (
        (((0.5, 0.5), (0.3, 0.06), (0.42, 0.52)), 0.0),
        (((0.5, 0.5), (0.3, 0.06), (0.56, 0.44)), 0.14),
        (((0.5, 0.5), (0.78, 0.1), (0.42, 0.5)), 0.3),
        (((0.4, 0.5), (0.64, 0.47), (0.52, 0.66)), 0.2),
        (((0.4, 0.5), (0.52, 0.66), (0.12, 0.4)), 0.08),
        (((0.6, 0.48), (0.55, 0.6), (0.92, 0.3)), 0.12),
        (((0.92, 0.3), (0.88, 0.33), (0.99, 0.37)), 0.35),
    )
    for points, shade in facets:
        colour = to_bytes(mix(paper, rgb("6a4858"), shade)).tolist()
        spots = [((1 - px if mirrored else px) * side * scale, py * side * scale) for px, py in points]
        draw.polygon(spots, fill=(*colour, 255))
    bird = bird.resize((side, side), Image.Resampling.BOX)
    x = int(random.uniform(0.02, 0.95) * (image.width - side))
    y = int(random.uniform(0.02, 0.42) * image.height)
    shadow = bird.getchannel("A").filter(ImageFilter.GaussianBlur(6)).point([level // 4 for level in range(256)])
    image.paste((80, 45, 50), (x + 6, y + 14), shadow)
    image.paste(bird, (x, y), bird)

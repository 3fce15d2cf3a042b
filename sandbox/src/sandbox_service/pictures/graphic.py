"""Drawn rather than painted: lines, tiles, triangles, pixels."""

import numpy as np
from PIL import Image, ImageDraw

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Pixels, mix, ramp, rgb, to_bytes, turn
from sandbox_service.pictures.noise import Field, crest, smoothstep


def line_art(brief: Brief) -> Pixels:
    """Ink on paper: a range of hills in parallel lines, each hiding what is behind it, under a ruled sun."""
    random, width, height = brief.random("lines"), brief.width, brief.height
    columns = np.arange(width)
    paper = mix(rgb("faf6ec"), brief.palette().horizon, 0.12)
    ink = mix(rgb("14161c"), brief.palette().zenith, 0.3)
    cover = np.zeros((height, width), dtype=np.float32)
    lines = 46
    bulge = np.exp(-(((columns / width - float(random.uniform(0.35, 0.65))) / 0.24) ** 2))
    ceiling = np.full(width, float(height))
    slow = [crest(random, width, cells=float(cells), octaves=5, gain=0.5, sharp=0.8) for cells in (2, 3, 2.4)]
    for number in range(lines):  # From near to far: a line shows only above all nearer ones.
        far = number / (lines - 1)
        mixed = slow[0] * np.cos(far * 1.6) ** 2 + slow[1] * np.sin(far * 1.6) ** 2
        shape = mixed * 0.78 + 0.22 * crest(random, width, cells=11, octaves=4, gain=0.62)
        rise = height * (0.05 + 0.46 * bulge * np.sin(np.pi * min(1.0, 0.12 + far * 0.9)) ** 1.5)
        line = height * (0.97 - 0.5 * far**0.92) - rise * shape
        _stroke(cover, np.minimum(line, ceiling + 3), line < ceiling, 1.7 - 0.75 * far)
        ceiling = np.minimum(ceiling, line)
    _ruled_sun(brief, cover, ceiling)
    table = ramp([paper, ink])
    return to_bytes(table[(np.clip(cover, 0, 1) * 255).astype(np.uint8)])


def _stroke(cover: Field, line: Field, seen: np.ndarray, thick: float) -> None:
    """A line of ``thick`` pixels, smoothed across its slope."""
    height, width = cover.shape
    columns = np.arange(width)
    steep = np.sqrt(1 + np.gradient(line) ** 2)
    base = np.floor(line).astype(np.intp)
    for offset in range(-7, 8):
        row = base + offset
        depth = np.clip(thick / 2 + 0.5 - np.abs(row - line) / steep, 0, 1)
        chosen = seen & (row >= 0) & (row < height) & (depth > 0)
        spots = (row[chosen], columns[chosen])
        cover[spots] = np.maximum(cover[spots], depth[chosen])


def _ruled_sun(brief: Brief, cover: Field, ceiling: Field) -> None:
    random = brief.random("ruled sun")
    height, width = cover.shape
    radius = min(width, height) * float(random.uniform(0.11, 0.16))
    x, y = width * float(random.uniform(0.25, 0.75)), height * float(random.uniform(0.17, 0.24))
    rows = np.arange(height, dtype=np.float32)[:, None]
    distance = np.hypot(np.arange(width, dtype=np.float32)[None, :] - x, rows - y)
    ring = np.clip(1.4 - np.abs(distance - radius), 0, 1)
    gap = 5 + 9 * np.clip((rows - (y - radius)) / (2 * radius), 0, 1)
    ruled = (np.abs((rows - y) % gap - gap / 2) < 0.8) * np.clip(radius - distance, 0, 1)
    above = rows < ceiling[None, :] - 1
    np.maximum(cover, np.maximum(ring, ruled * 0.85) * above, out=cover)


def tile_texture(brief: Brief) -> Pixels:
    """Glazed tiles with a mirrored ornament; the picture's left meets its right, its top its bottom."""
    random, width, height = brief.random("tiles"), brief.width, brief.height
    side = 256 if width % 256 == 0 and height % 256 == 0 else 128 if width % 128 == 0 and height % 128 == 0 else 64
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    x, y = np.abs(axis)[None, :], np.abs(axis)[:, None]
    x, y = np.maximum(x, y), np.minimum(x, y)  # Eight mirrors.
    from_middle, from_corner = np.hypot(x, y), np.hypot(1 - x, 1 - y)
    pattern = np.zeros((side, side), dtype=np.float32)
    for _ in range(4):
        petals, frequency = float(random.integers(2, 7)), float(random.uniform(2.5, 6.5))
        centre = from_middle if random.random() < 0.6 else from_corner
        angle = np.arctan2(y, x + 1e-6)
        pattern += np.sin(centre * frequency * np.pi + 1.3 * np.cos(angle * petals * 2) + float(random.uniform(0, 6)))
    pattern = (pattern - pattern.min()) / (pattern.max() - pattern.min())
    palette = brief.palette()
    base = turn(mix(palette.sky, rgb("1f5fa8"), 0.4), float(random.choice([0, 0, 120, 180, -60])), 1.3)
    glaze = [rgb("f7f2e6"), mix(base, rgb("f7f2e6"), 0.55), base, mix(base, rgb("0a1430"), 0.55),
             mix(turn(base, 160, 1.3), rgb("f2b13c"), 0.5)]  # fmt: skip
    picture = np.broadcast_to(glaze[0], (side, side, 3)).astype(np.float32)
    soft = 5.0 / side
    for level, colour in zip((0.3, 0.44, 0.6, 0.8), (glaze[1], glaze[2], glaze[3], glaze[4]), strict=True):
        cover = smoothstep(level - soft, level + soft, pattern)[..., None]
        picture = picture + (colour - picture) * cover
    relief = np.clip((pattern - np.roll(pattern, (1, 1), (0, 1))) * 1.1, -0.08, 0.08)[..., None]
    border = np.minimum(1 - np.abs(axis)[None, :], 1 - np.abs(axis)[:, None])
    bevel = 0.16 * (smoothstep(0.06, 0.02, border))[..., None] * np.sign(-axis[None, :] - axis[:, None])[..., None]
    picture = np.clip(picture + relief + bevel, 0, 1)
    grout = smoothstep(0.012, 0.024, border)[..., None]
    picture = rgb("d8d0c2") * (1 - grout) + picture * grout
    tiled = np.tile(to_bytes(picture), (height // side, width // side, 1)).copy()
    for row in range(height // side):  # No two tiles come out of the kiln alike.
        for column in range(width // side):
            light = float(random.uniform(0.9, 1.0))
            part = tiled[row * side : (row + 1) * side, column * side : (column + 1) * side]
            part[...] = part * light
    return tiled


def low_poly(brief: Brief, painting: Pixels) -> Pixels:
    """``painting`` (small) in triangles, each of one colour."""
    random, width, height = brief.random("triangles"), brief.width, brief.height
    cells_x = 34 if width >= height else max(16, 34 * width // height)
    cells_y = max(12, round(cells_x * height / width))
    x = np.linspace(-0.02, 1.02, cells_x + 1)[None, :] + random.uniform(-0.4, 0.4, (cells_y + 1, cells_x + 1)) / cells_x
    y = np.linspace(-0.02, 1.02, cells_y + 1)[:, None] + random.uniform(-0.4, 0.4, (cells_y + 1, cells_x + 1)) / cells_y
    corners = np.stack([x, y], axis=-1)
    a, b, c, d = corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]
    falling = random.random(a.shape[:2])[..., None, None] < 0.5
    one = np.where(falling, np.stack([a, b, d], axis=2), np.stack([a, b, c], axis=2)).reshape(-1, 3, 2)
    two = np.where(falling, np.stack([a, c, d], axis=2), np.stack([b, c, d], axis=2)).reshape(-1, 3, 2)
    triangles = np.concatenate([one, two])
    small_height, small_width = painting.shape[:2]
    # A triangle takes the mean of its middle and of points towards its corners.
    middle = triangles.mean(axis=1, keepdims=True)
    spots = np.concatenate([middle, middle + (triangles - middle) * 0.3], axis=1)
    rows = np.clip(spots[..., 1] * small_height, 0, small_height - 1).astype(np.intp)
    columns = np.clip(spots[..., 0] * small_width, 0, small_width - 1).astype(np.intp)
    colours = painting[rows, columns].mean(axis=1)
    shade = random.normal(1.0, 0.05, (len(triangles), 1))
    levels = np.clip(colours * shade, 0, 255).astype(np.uint8)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    scaled = triangles * np.array([width, height])
    for points, colour in zip(scaled.reshape(-1, 6).tolist(), levels.tolist(), strict=True):
        draw.polygon(points, fill=tuple(colour))
    return np.asarray(image)


def pixel_art(painting: Pixels, scale: int) -> Image.Image:
    """``painting`` (small) in few colours with an ordered dither, every pixel a square."""
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=np.float32) / 16 - 0.5
    height, width = painting.shape[:2]
    dither = np.tile(bayer, (height // 4 + 1, width // 4 + 1))[:height, :width, None] * 22
    rough = np.clip(painting + dither, 0, 255).astype(np.uint8)
    palette = Image.fromarray(painting).quantize(28, Image.Quantize.MEDIANCUT)
    few = Image.fromarray(rough).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
    return few.resize((width * scale, height * scale), Image.Resampling.NEAREST)

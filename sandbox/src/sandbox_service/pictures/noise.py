"""Random fields and lines that look like nature: clouds, cloth, crests."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Random = np.random.Generator


def random_of(*parts: object) -> Random:
    """A generator that always tells the same story for the same parts."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def resize(field: Field, width: int, height: int) -> Field:
    image = Image.fromarray(field).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def fractal(
    random: Random, width: int, height: int, *, cells: float, octaves: int, gain: float = 0.5, stretch: float = 1.0
) -> Field:
    """Fractal noise, mostly within 0…1.

    Args:
        random: Where the chance comes from.
        width: Columns.
        height: Rows.
        cells: Features of the coarsest octave across the width.
        octaves: How often finer detail of twice the frequency is added.
        gain: Strength of an octave beside the one before.
        stretch: More than 1 makes features long and flat.
    """
    columns = max(2, round(cells))
    rows = max(2, round(cells * stretch * height / width))
    field = random.random((rows, columns), dtype=np.float32)
    strength = 1.0
    for _ in range(octaves - 1):
        columns, rows, strength = min(columns * 2, width), min(rows * 2, height), strength * gain
        field = resize(field, columns, rows)
        field = field + strength * (random.random((rows, columns), dtype=np.float32) - np.float32(0.5))
    field = (field - field.mean()) / (4.2 * field.std() + 1e-6) + 0.5
    return resize(field.astype(np.float32), width, height)


def warp(field: Field, across: Field, down: Field, strength: float, *, smooth: bool = False) -> Field:
    """``field`` looked at through moving glass: each point is read elsewhere, ``strength`` of the width away at most.

    ``smooth`` reads between the points, for what is lit afterwards and would show grain.
    """
    height, width = field.shape
    reach = strength * width
    columns = np.arange(width, dtype=np.float32)[None, :] + (across - 0.5) * reach
    rows = np.arange(height, dtype=np.float32)[:, None] + (down - 0.5) * reach
    # Mirrored at the borders: a wrap would show as a seam.
    flat = field.reshape(-1)
    column, row = _mirror(columns, width), _mirror(rows, height) * width
    if not smooth:
        return np.asarray(flat[row + column], dtype=np.float32)
    next_column, next_row = _mirror(columns + 1, width), _mirror(rows + 1, height) * width
    right, below = columns - np.floor(columns), rows - np.floor(rows)
    upper = flat[row + column] * (1 - right) + flat[row + next_column] * right
    lower = flat[next_row + column] * (1 - right) + flat[next_row + next_column] * right
    return np.asarray(upper * (1 - below) + lower * below, dtype=np.float32)


def _mirror(position: Field, size: int) -> NDArray[np.int32]:
    index = np.floor(position).astype(np.int32) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def crest(random: Random, width: int, *, cells: float, octaves: int, gain: float = 0.5, sharp: float = 0.0) -> Field:
    """A line of heights about 0…1; ``sharp`` towards 1 turns hills into peaks."""
    across = np.linspace(0.0, 1.0, width, dtype=np.float32)
    line = np.zeros(width, dtype=np.float32)
    strength, total = 1.0, 0.0
    for octave in range(octaves):
        count = max(3, round(cells * 2**octave) + 1)
        points = random.random(count + 3).astype(np.float32)
        smooth = _catmull(points, across * count)
        peaked = 1.0 - np.abs(2.0 * smooth - 1.0)
        line += strength * (smooth * (1.0 - sharp) + peaked * sharp)
        total += strength
        strength *= gain
    return (line / total).astype(np.float32)


def _catmull(points: Field, position: Field) -> Field:
    """A smooth curve through evenly spaced points (Catmull-Rom)."""
    index = np.minimum(position.astype(np.int32), len(points) - 4)
    t = position - index
    p0, p1, p2, p3 = (points[index + offset] for offset in range(4))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve, dtype=np.float32)


def smoothstep(low: float, high: float, field: Field) -> Field:
    t = np.clip((field - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def doubled(field: Field) -> Field:
    """Twice as wide and high, each point a square."""
    return np.asarray(np.repeat(np.repeat(field, 2, 0), 2, 1), dtype=np.float32)

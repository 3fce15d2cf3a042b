"""What is done to a finished painting: lenses, film, print."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from sandbox_service.pictures.noise import Random, smoothstep

Picture = Image.Image


def vignette(picture: Picture, strength: float) -> Picture:
    """Darken the corners by ``strength``."""
    width, height = picture.size
    x = np.linspace(-1, 1, width // 8, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height // 8, dtype=np.float32)[:, None]
    light = 1 - strength * smoothstep(0.5, 2.1, x * x + y * y)
    mask = Image.fromarray((light * 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(picture, Image.merge("RGB", (mask, mask, mask)))


def curve(picture: Picture, points: list[tuple[int, int]], tint: tuple[float, float, float] = (1, 1, 1)) -> Picture:
    """A tone curve through ``points`` (from, to; 0…255), each channel then scaled by ``tint``."""
    xs, ys = zip(*points, strict=True)
    tones = np.interp(np.arange(256), xs, ys)
    table = np.concatenate([np.clip(tones * share, 0, 255) for share in tint])
    return picture.point([int(level) for level in table])


def saturate(picture: Picture, amount: float) -> Picture:
    return ImageEnhance.Color(picture).enhance(amount)


def bloom(picture: Picture, strength: float, threshold: int = 150) -> Picture:
    """Bright places shine over their borders."""
    return ImageChops.screen(
        picture, _glow(picture, strength, threshold).resize(picture.size, Image.Resampling.BILINEAR)
    )


def _glow(picture: Picture, strength: float, threshold: int) -> Picture:
    """The light of what is brighter than ``threshold``, an eighth of the size."""
    small = picture.resize((picture.width // 8, picture.height // 8), Image.Resampling.BOX)
    bright = small.point([max(0, level - threshold) * 255 // (255 - threshold) for level in range(256)] * 3)
    glow = bright.filter(ImageFilter.GaussianBlur(small.width / 28))
    return glow.point([int(level * strength) for level in range(256)] * 3)


def streak(picture: Picture, strength: float) -> Picture:
    """The horizontal flare of an anamorphic lens."""
    small = picture.resize((picture.width // 8, picture.height // 8), Image.Resampling.BOX)
    bright = small.point([max(0, level - 215) * 255 // 40 for level in range(256)] * 3)
    wide = bright.resize((max(2, small.width // 40), small.height), Image.Resampling.BOX)
    blue = wide.point([int(level * share * strength) for share in (0.5, 0.75, 1.0) for level in range(256)])
    return ImageChops.screen(picture, blue.resize(picture.size, Image.Resampling.BICUBIC))


def letterbox(picture: Picture, share: float) -> Picture:
    bar = round(picture.height * share)
    picture.paste((6, 6, 8), (0, 0, picture.width, bar))
    picture.paste((6, 6, 8), (0, picture.height - bar, picture.width, picture.height))
    return picture


def grain(random: Random, picture: Picture, strength: int) -> Picture:
    """Film grain: few levels and two pixels wide, so that PNG can still pack it."""
    side = 192
    levels = (random.integers(-1, 2, (side, side)) * strength + 128).astype(np.uint8)
    size = (picture.height // 2 // side + 1, picture.width // 2 // side + 1)
    tiled = Image.fromarray(np.tile(levels, size)).resize(
        (side * 2 * size[1], side * 2 * size[0]), Image.Resampling.NEAREST
    )
    noise = tiled.crop((0, 0, *picture.size))
    return ImageChops.add(picture, Image.merge("RGB", (noise, noise, noise)), 1, -128)


def light_leak(random: Random, picture: Picture) -> Picture:
    """Orange light that found its way into the camera."""
    width, height = 64, 64
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    side = x if random.random() < 0.5 else 1 - x
    light = np.exp(-side * 5.5) * (0.45 + 0.55 * np.sin(y * float(random.uniform(2, 5)) + float(random.uniform(0, 6))))
    leak = np.clip(light, 0, 1)[..., None] * np.array([255, 105, 40], dtype=np.float32) * 0.8
    image = Image.fromarray(leak.astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return ImageChops.screen(picture, image)


def print_border(picture: Picture, colour: tuple[int, int, int], share: float) -> Picture:
    """A frame of unprinted paper."""
    edge = max(3, round(min(picture.size) * share))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=colour, width=edge)
    return picture


def halftone(picture: Picture, cell: int, strength: float) -> Picture:
    """Dots of a printing screen at 45°, the larger the darker the place."""
    width, height = picture.size
    axis = np.arange(2 * cell, dtype=np.float32)
    wave = np.cos((axis[None, :] + axis[:, None]) * np.pi / cell) + np.cos(
        (axis[None, :] - axis[:, None]) * np.pi / cell
    )
    screen = ((wave + 2) / 4 * 205 + 15).astype(np.uint8)
    tiled = np.tile(screen, (height // (2 * cell) + 1, width // (2 * cell) + 1))[:height, :width]
    tones = np.asarray(picture.convert("L"))
    # Not black or white but a slope two dots' grey levels wide: the dots get smooth borders.
    dots = np.clip((tiled.astype(np.int16) - tones) * 5, 0, 255).astype(np.uint8)
    shade = picture.point([int(level * (1 - strength)) for level in range(256)] * 3)
    return Image.composite(shade, picture, Image.fromarray(dots))


def ink(picture: Picture, sensitivity: int) -> Picture:
    """Outlines where the colour jumps, drawn at half the size and enlarged, so that they are smooth."""
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
    tones = np.asarray(half, dtype=np.int16)
    jump = np.zeros(tones.shape[:2], dtype=np.int16)
    jump[1:] = np.abs(tones[1:] - tones[:-1]).sum(axis=2)
    jump[:, 1:] = np.maximum(jump[:, 1:], np.abs(tones[:, 1:] - tones[:, :-1]).sum(axis=2))
    line = jump > sensitivity
    thick = line.copy()
    thick[:-1] |= line[1:]
    thick[:, :-1] |= line[:, 1:]
    mask = Image.fromarray(np.where(thick, np.uint8(235), np.uint8(0))).resize(picture.size, Image.Resampling.BICUBIC)
    picture.paste((22, 14, 34), (0, 0), mask)
    return picture


def shine(
    random: Random, picture: Picture, *, strength: float, threshold: int, motes: int, colour: tuple[int, int, int]
) -> Picture:
    """Bloom, and motes of light, some near and soft, some far and small."""
    half = (picture.width // 2, picture.height // 2)
    layer = Image.new("L", half)
    draw = ImageDraw.Draw(layer)
    for _ in range(motes):
        x, y = float(random.random()) * half[0], float(random.random()) ** 0.7 * half[1]
        radius = min(half) * float(random.uniform(0.0012, 0.006))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(random.integers(60, 235)))
    soft = layer.resize((half[0] // 4, half[1] // 4), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(3))
    soft = soft.point([min(255, level * 3) for level in range(256)]).resize(half, Image.Resampling.BILINEAR)
    light = ImageChops.add(layer.filter(ImageFilter.GaussianBlur(0.8)), soft)
    tinted = Image.merge("RGB", [light.point([level * part // 255 for level in range(256)]) for part in colour])
    glow = _glow(picture, strength, threshold).resize(half, Image.Resampling.BILINEAR)
    light = ImageChops.screen(tinted, glow)
    return ImageChops.screen(picture, light.resize(picture.size, Image.Resampling.BILINEAR))


def blurred(picture: Picture) -> Picture:
    """What the content filter leaves of a picture."""
    tiny = picture.resize((max(4, picture.width // 64), max(4, picture.height // 64)), Image.Resampling.BOX)
    return tiny.filter(ImageFilter.GaussianBlur(1.5)).resize(picture.size, Image.Resampling.BICUBIC)

"""What the mesh adds to the engine's own time, how many pictures it carries, and how much memory that takes."""

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import httpx
import load
from mesh import SANDBOX, Mesh
from PIL import Image

GENERATE = "/api/image/generate"
ENGINE = "/v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image"
SIDE = 1024
ALWAYS = 1_000_000
MEMORY_GOAL_MEGABYTES = 300


async def generations(mesh: Mesh, tokens: Sequence[str], seconds: float) -> None:
    """Show what one picture takes beside its drawing, how many one process carries, and eight large orders at once."""
    print(f"\nOne picture {SIDE}x{SIDE}: the sandbox alone, and through the gateway")
    for delay, connections, length in ((0, 1, seconds), (5, 1, 3 * 5.0)):
        prompt = "a lighthouse at dusk" + (f" [sandbox:slow-{delay * 1000}]" if delay else "")
        alone = await load.run(
            mesh.url(SANDBOX), _engine(mesh, prompt), connections=connections, seconds=length, warm_up=int(not delay)
        )
        print(f"  {delay} s delay, {connections} at once  sandbox        {alone}")
        for response_format in ("url", "base64"):
            request_of = _orders(mesh, tokens, prompt=prompt, seed=7, responseFormat=response_format)
            through = await load.run(
                mesh.url(), request_of, connections=connections, seconds=length, warm_up=int(not delay)
            )
            print(
                f"  {delay} s delay, {connections} at once  mesh {response_format:6}    {through}   "
                f"added p50 {through.p50 - alone.p50:.0f} ms"
            )
    await _at_once(mesh, tokens, seconds)
    await _large(mesh, tokens)


async def _at_once(mesh: Mesh, tokens: Sequence[str], seconds: float) -> None:
    """Have the engine answer without drawing, so that what is measured is the image service."""
    print("\nOne image process, the engine answering at once with one and the same picture")
    await _answer_with(mesh, _noise())
    for response_format in ("url", "base64"):
        for connections in (1, 4, 16):
            request_of = _orders(mesh, tokens, prompt="a lighthouse", responseFormat=response_format)
            figures = await load.run(mesh.url(), request_of, connections=connections, seconds=seconds, warm_up=1)
            print(f"  {connections:2} connections  {response_format:6}  {figures}")
    await _control(mesh, "reset", {})


async def _large(mesh: Mesh, tokens: Sequence[str]) -> None:
    print(f"\nEight users at once, each 4 pictures {SIDE}x{SIDE} as base64; resident memory at most, MB")
    names = ("image", "gateway")
    before = mesh.resident_megabytes()
    mesh.forget_peaks(names)
    request_of = _orders(mesh, tokens, prompt="a lighthouse at dusk", samples=4, responseFormat="base64")
    figures = await load.run(mesh.url(), request_of, connections=8, seconds=0.1, warm_up=1)
    print(f"  {figures}")
    for name in names:
        peak = mesh.peak_megabytes(name)
        goal = "below" if peak < MEMORY_GOAL_MEGABYTES else "NOT BELOW"
        print(f"  {name:8} {peak:4.0f} (before {before[name]:.0f})  {goal} {MEMORY_GOAL_MEGABYTES}")


def _orders(mesh: Mesh, tokens: Sequence[str], **settings: Any) -> load.RequestOf:
    """Each connection is one user's phone."""
    body = json.dumps({"width": SIDE, "height": SIDE, **settings}).encode()
    requests = [
        load.request(mesh.url(), "POST", GENERATE, headers={"Authorization": f"Bearer {token}"}, body=body)
        for token in tokens
    ]
    return lambda connection, _: requests[connection]


def _engine(mesh: Mesh, prompt: str) -> load.RequestOf:
    body = {"text_prompts": [{"text": prompt, "weight": 1.0}], "width": SIDE, "height": SIDE, "samples": 1, "seed": 7}
    headers = {"Authorization": "Bearer sk-bench-0000000000000000", "Accept": "application/json"}
    request = load.request(mesh.url(SANDBOX), "POST", ENGINE, headers=headers, body=json.dumps(body).encode())
    return lambda *_: request


def _noise() -> bytes:
    """A picture of the usual size that the sandbox need not draw, 0.8 MB."""
    png = io.BytesIO()
    tile = Image.effect_noise((SIDE // 2, SIDE), 60).convert("RGB")
    picture = Image.new("RGB", (SIDE, SIDE))
    picture.paste(tile, (0, 0))
    picture.paste(tile, (SIDE // 2, 0))
    picture.save(png, "PNG", compress_level=1)
    return png.getvalue()


async def _answer_with(mesh: Mesh, png: bytes) -> None:
    artifact = {"base64": base64.b64encode(png).decode(), "seed": 1, "finishReason": "SUCCESS"}
    fault = {"vendor": "stability", "operation": "text_to_image", "times": ALWAYS, "body": {"artifacts": [artifact]}}
    await _control(mesh, "faults", fault)


async def _control(mesh: Mesh, path: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        (await client.post(f"{mesh.url(SANDBOX)}/_sandbox/{path}", json=body)).raise_for_status()

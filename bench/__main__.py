"""Measure the mesh on this machine: ``make bench``.

Figures are of this machine on this day; the ratios between lines of one run are what can be compared.
"""

import argparse
import asyncio
from collections.abc import Sequence

import load
from generations import generations
from histories import histories
from ledger import ledger
from mesh import COIN, Mesh, running_mesh


async def gateway(mesh: Mesh, tokens: Sequence[str], seconds: float) -> None:
    """Show what the gateway adds to a balance asked of the coin service."""
    print("\nGET /api/coin/balance, directly and through the gateway")

    def balance(base_url: str) -> load.RequestOf:
        requests = [
            load.request(base_url, "GET", "/api/coin/balance", headers={"Authorization": f"Bearer {token}"})
            for token in tokens
        ]
        return lambda connection, number: requests[(connection * 7 + number) % len(requests)]

    for connections in (1, 8, 32):
        direct = await load.run(mesh.url(COIN), balance(mesh.url(COIN)), connections=connections, seconds=seconds)
        through = await load.run(mesh.url(), balance(mesh.url()), connections=connections, seconds=seconds)
        print(f"  {connections:2} connections  coin     {direct}")
        print(f"  {connections:2} connections  gateway  {through}   added p50 {through.p50 - direct.p50:.2f} ms")
    root = load.request(mesh.url(), "GET", "/api/coin/balance")
    refused = await load.run(mesh.url(), lambda *_: root, connections=8, seconds=seconds)
    print(f"   8 connections  refused at the gateway (no token) {refused.per_second:.0f} /s, p50 {refused.p50:.2f} ms")


def memory(mesh: Mesh) -> None:
    """Show what the processes hold after all that."""
    figures = mesh.resident_megabytes()
    print("\nResident memory, MB")
    for name, megabytes in figures.items():
        print(f"  {name:13} {megabytes:6.0f}")
    print(f"  {'together':13} {sum(figures.values()):6.0f}")


async def main() -> None:
    """Run the parts asked for."""
    parts = {"gateway": gateway, "ledger": ledger, "generations": generations, "histories": histories}
    parser = argparse.ArgumentParser(prog="python bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="which parts; all without any")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    arguments = parser.parse_args()
    # Everybody can spend as much as the load asks for.
    async with running_mesh(SIGNUP_BONUS_COINS="1000000") as mesh:
        tokens = await mesh.register_many(66)
        for name in arguments.parts or parts:
            await parts[name](mesh, tokens, arguments.seconds)
        memory(mesh)


if __name__ == "__main__":
    asyncio.run(main())

"""Whether all that people were told is true, and everything adds up."""

import asyncio
import base64
import hashlib
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx
from pymongo import AsyncMongoClient

from chaos.fleet import Fleet
from chaos.people import COINS, Order, Person
from chaos.tally import Tally
from chaos.weather import Weather
from journey.answers import Json, data, page
from journey.pictures import HISTORY, PRICE, opened
from local_mesh.inside import find_environment

ENGINE_CALLS = 3
HEAL_SECONDS = 60.0


@dataclass
class Court:
    """Hears everybody and looks everywhere; what is wrong goes to the tally."""

    fleet: Fleet
    tally: Tally
    weather: Weather

    async def heal(self) -> None:
        """Wait until every generation has ended and no coin is held."""
        began = time.monotonic()
        async with AsyncMongoClient[Json](self.fleet.mongo_uri) as client:
            generations = client["pixelmint_image"]["generations"]
            while await generations.count_documents({"open": True}):
                if time.monotonic() > began + HEAL_SECONDS:
                    async for left in generations.find({"open": True}):
                        self.tally.violated(
                            f"generation {left['_id']} of user {left['user_id']} is still {left['state']}"
                        )
                    return
                await asyncio.sleep(0.1)
        self.tally.counts["seconds to heal"] = round(time.monotonic() - began)

    async def judge(self, people: list[Person]) -> None:
        """Check everything."""
        for person in people:
            await self._check_person(person)
        await self._check_engine(people)
        await self._check_audit()
        await self._check_files(people)
        logs = [self.fleet.folders.log(name).read_text(errors="replace") for name in ("image", "image-2")]
        self.tally.counts["generations taken over"] = sum(log.count('"generation taken over"') for log in logs)

    async def _check_person(self, person: Person) -> None:
        user = person.phone.account.id

        def expect(is_so: bool, what: str) -> None:
            if not is_so:
                self.tally.violated(f"user {user}: {what}")

        balance, held = await person.phone.wallet()
        lines = await person.phone.transactions()
        expect(held == 0, f"{held} coins are still held")
        expect(sum(line["amount"] for line in lines) == balance, "the statement does not add up to the balance")
        listed = await self._history(person)
        by_id = {image["id"]: image for image in listed}
        expect(len(by_id) == len(listed), "a picture is listed twice")
        charges = Counter({line["reference"]: -line["amount"] for line in lines if line["type"] == "generate"})
        references = [line["reference"] for line in lines if line["type"] == "generate"]
        expect(len(references) == len(set(references)), "a generation was charged twice")

        told_generations: dict[str, Json] = {}
        for order in person.orders:
            self._check_order(person, order, by_id, expect_told=told_generations)
        for generation, told in told_generations.items():
            expect(
                charges[generation] == told["coins"],
                f"{generation}: charged {charges[generation]}, told {told['coins']}",
            )
        known = {image["id"] for told in told_generations.values() for image in told["images"]}
        untold: Counter[str] = Counter()
        for image in listed:
            if image["id"] not in known:
                read = data(await person.phone.get(f"/api/image/{image['id']}"))["image"]
                untold[read["generationId"]] += read["coinsUsed"]
        for generation in charges.keys() - told_generations.keys():
            expect(
                charges[generation] == untold[generation],
                f"{generation}: charged, with pictures of {untold[generation]}",
            )
        for generation in untold.keys() - charges.keys() - told_generations.keys():
            expect(untold[generation] == 0, f"{generation}: pictures that cost coins were not charged")
        if not person.is_subscribed:
            expect(all(image["coinsUsed"] == PRICE for image in listed), "a picture was given away")
        self.tally.counts["pictures charged or covered"] += len(listed)
        self.tally.counts["generations charged"] += len(charges)
        for image in listed:
            await self._check_picture(person, image)
        for deleted in person.surely_deleted & by_id.keys():
            expect(False, f"picture {deleted} was deleted and is there")

        reasons = Counter(line["reason"] for line in lines if line["type"] == "deduct")
        bought = Counter(line["transactionId"].partition("_")[2] for line in lines if line["type"] == "buy")
        expect(reasons.keys() <= person.deducted.keys(), "a deduct that was refused came about")
        expect(all(reasons[reason] for reason, sure in person.deducted.items() if sure), "a deduct is missing")
        expect(not reasons or max(reasons.values()) == 1, "a deduct came about twice")
        names = {payment.partition("_")[2]: sure for payment, sure in person.bought.items()}
        expect(all(bought[name] for name, sure in names.items() if sure), "a purchase is missing")
        expect(not bought or max(bought.values()) == 1, "a purchase was credited twice")
        expect(bought.keys() <= names.keys(), "a purchase nobody made was credited")
        expect(
            all(line["amount"] == COINS for line in lines if line["type"] == "buy"), "a purchase brought other coins"
        )

    def _check_order(
        self, person: Person, order: Order, listed: dict[str, Json], *, expect_told: dict[str, Json]
    ) -> None:
        def wrong(what: str) -> None:
            self.tally.violated(f"user {person.phone.account.id}, order {order.mark}: {what}")

        prompted = [image for image in listed.values() if order.mark in image["prompt"]]
        if order.told:
            if any(told != order.told[0] for told in order.told):
                wrong(f"unequal answers to one key: {order.told}")
            told = order.told[0]
            expect_told[told["generation"]] = told
            for image in told["images"]:
                if image["id"] not in listed and image["id"] not in person.deleted:
                    wrong(f"picture {image['id']} was delivered and is not in the history")
            if {image["id"] for image in prompted} - {image["id"] for image in told["images"]}:
                wrong("there are more pictures than were told of")
        elif order.refusals and not order.unknown and prompted:
            wrong(f"{len(prompted)} pictures, although it was refused: {order.refusals}")

    async def _history(self, person: Person) -> list[Json]:
        images: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            part, pagination = page(await person.phone.get(HISTORY, limit=100, **cursor), "images")
            images += part
            if not pagination["hasNext"]:
                if pagination["total"] != len(images):
                    self.tally.violated(
                        f"user {person.phone.account.id}: total {pagination['total']} of {len(images)} pictures"
                    )
                return images
            cursor = {"cursor": pagination["nextCursor"]}

    async def _check_picture(self, person: Person, image: Json) -> None:
        user = person.phone.account.id
        answer = await person.phone.get(image["imageUrl"])
        if answer.status_code != httpx.codes.OK:
            self.tally.violated(f"user {user}: picture {image['id']} cannot be opened: {answer.status_code}")
            return
        try:
            opened(answer.content)
        except Exception as error:  # whatever the decoder says: it is no picture
            self.tally.violated(f"user {user}: picture {image['id']} is none: {error!r}")
            return
        as_told = {key: sha for order in person.orders for key, sha in order.pictures.items()}.get(image["id"])
        url = "data:image/png;base64," + base64.b64encode(answer.content).decode()
        if as_told and as_told != hashlib.sha256(url.encode()).hexdigest():
            self.tally.violated(f"user {user}: picture {image['id']} is another one than was delivered")
        if image["thumbnailUrl"]:
            thumbnail = await person.phone.get(image["thumbnailUrl"])
            if thumbnail.status_code != httpx.codes.OK:
                self.tally.violated(f"user {user}: the thumbnail of {image['id']} cannot be opened")

    async def _check_engine(self, people: list[Person]) -> None:
        """Nobody's order was bought more often than the limit says; one that failed may have been ordered anew."""
        calls = self.weather.engine_calls
        async with AsyncMongoClient[Json](self.fleet.mongo_uri) as client:
            generations = client["pixelmint_image"]["generations"]
            for person in people:
                for order in person.orders:
                    times = await generations.count_documents({"user_id": person.phone.account.id, "key": order.key})
                    if calls[order.mark] > ENGINE_CALLS * times:
                        self.tally.violated(
                            f"user {person.phone.account.id}, order {order.mark}: "
                            f"{calls[order.mark]} calls of the engine for {times} generations"
                        )
            states = await (
                await generations.aggregate([{"$group": {"_id": "$state", "times": {"$sum": 1}}}])
            ).to_list()
        self.tally.counts["engine calls"] = calls.total()
        for state in states:
            self.tally.counts[f"generations {state['_id']}"] = state["times"]

    async def _check_audit(self) -> None:
        root = self.fleet.folders.root
        environment = find_environment(root, "coin", port_base=None)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coin_service.commands", "audit"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        if process.returncode != 0:
            self.tally.violated(f"the audit: {printed.decode()[-2000:]}")

    async def _check_files(self, people: list[Person]) -> None:
        """Count files that belong to no picture: the storage's sweeper removes them once they are old enough."""
        named = set()
        for person in people:
            for image in await self._history(person):
                named |= {image[key].rpartition("/")[2] for key in ("imageUrl", "thumbnailUrl") if image[key]}
        files = await asyncio.to_thread(os.listdir, Path(self.fleet.folders.uploads))
        self.tally.counts["files of nobody left to the sweeper"] = len(set(files) - named)
        if missing := named - set(files):
            self.tally.violated(f"files are missing: {sorted(missing)}")

"""What becomes of messages: a part of them is cut, slowed, delivered late, or loses its answer."""

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.tally import Tally
from links.messages import Cut, Fault, Late, Message, Slow

SLOW_SECONDS = (0.05, 1.5)
LATE_SECONDS = (0.3, 4.0)
_MARK = re.compile(rb"fox ([0-9a-f]{32})")
_ID = re.compile(r"(?<=/)[0-9a-f]{24}")
MORTAL = ("image", "coin")
_AT_WORK = ("generations", "images: insert", "albums", "quotas", "entries", "payments", "POST ")
"""What messages are called that belong to somebody's order; the others are of work in the background."""

_UNHARMED = ("/health", "/ready")


def _named(message: Message) -> str:
    return _ID.sub("…", message.name)


@dataclass
class Weather:
    """Rolls the dice for every message of every link.

    Attributes:
        http_rate: How many of the messages between processes are harmed.
        mongo_rate: How many of the writes.
        rates: Of single links, by name, instead.
        death_rate: At how many messages of image and coin their sender dies, before or after they were carried out.
        kill: Kills a process, by its name.
        engine_calls: How often the engine was asked for each order, by its mark.
    """

    dice: random.Random
    tally: Tally
    kill: Callable[[str], None]
    http_rate: float = 0.0
    mongo_rate: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    death_rate: float = 0.0
    engine_calls: Counter[str] = field(default_factory=Counter)

    def clear_up(self) -> None:
        """Harm nothing from now on."""
        self.http_rate = self.mongo_rate = self.death_rate = 0.0
        self.rates = {}

    async def on_request(self, message: Message) -> Fault | None:
        if message.link in ("image>sandbox", "image-2>sandbox") and (mark := _MARK.search(message.content)):
            self.engine_calls[mark[1].decode()] += 1
        if self._dies(message):
            return Cut()
        if not self._strikes(message):
            return None
        fault: Fault = self.dice.choice(
            (Cut(), Slow(self.dice.uniform(*SLOW_SECONDS)), Late(self.dice.uniform(*LATE_SECONDS)))
        )
        self.tally.count(f"message {type(fault).__name__.lower()}: {self._edge(message)}")
        return fault

    async def on_answer(self, message: Message) -> Cut | Slow | None:
        if self._dies(message):
            return Cut()
        if not self._strikes(message):
            return None
        fault: Cut | Slow = Cut() if self.dice.random() < 0.8 else Slow(self.dice.uniform(*SLOW_SECONDS))
        self.tally.count(f"answer {'lost' if isinstance(fault, Cut) else 'slow'}: {self._edge(message)}")
        return fault

    def _strikes(self, message: Message) -> bool:
        if message.name.endswith(_UNHARMED):
            return False
        usual = self.mongo_rate if message.link.endswith(">mongod") else self.http_rate
        # Half of it on the way there, half on the way back.
        return self.dice.random() < self.rates.get(message.link.replace("-2>", ">"), usual) / 2

    def _dies(self, message: Message) -> bool:
        sender = message.link.partition(">")[0]
        is_at_work = sender.startswith(MORTAL) and message.name.startswith(_AT_WORK)
        if not is_at_work or self.dice.random() > self.death_rate / 2:
            return False
        self.tally.count(f"died at a message: {sender}>{message.link.partition('>')[2]} {_named(message)}")
        self.kill(sender)
        return True

    @staticmethod
    def _edge(message: Message) -> str:
        return "image>coin" if message.link in ("image>coin", "image-2>coin") else f"*>{message.link.partition('>')[2]}"

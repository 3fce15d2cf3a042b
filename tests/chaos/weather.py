"""What becomes of messages: a part of them is cut, slowed, delivered late, or loses its answer."""

import random
import re
from collections import Counter
from dataclasses import dataclass, field

from chaos.tally import Tally
from links.messages import Cut, Fault, Late, Message, Slow

SLOW_SECONDS = (0.05, 1.5)
LATE_SECONDS = (0.3, 4.0)
_MARK = re.compile(rb"fox ([0-9a-f]{32})")
_UNHARMED = ("/health", "/ready")


@dataclass
class Weather:
    """Rolls the dice for every message of every link.

    Attributes:
        http_rate: How many of the messages between processes are harmed.
        mongo_rate: How many of the writes.
        rates: Of single links, by name, instead.
        engine_calls: How often the engine was asked for each order, by its mark.
    """

    dice: random.Random
    tally: Tally
    http_rate: float = 0.0
    mongo_rate: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    engine_calls: Counter[str] = field(default_factory=Counter)

    def clear_up(self) -> None:
        """Harm nothing from now on."""
        self.http_rate = self.mongo_rate = 0.0
        self.rates = {}

    async def on_request(self, message: Message) -> Fault | None:
        if message.link == "image>sandbox" and (mark := _MARK.search(message.content)):
            self.engine_calls[mark[1].decode()] += 1
        if not self._strikes(message):
            return None
        fault: Fault = self.dice.choice(
            (Cut(), Slow(self.dice.uniform(*SLOW_SECONDS)), Late(self.dice.uniform(*LATE_SECONDS)))
        )
        self.tally.count(f"message {type(fault).__name__.lower()}: {self._edge(message)}")
        return fault

    async def on_answer(self, message: Message) -> Cut | Slow | None:
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
        return self.dice.random() < self.rates.get(message.link, usual) / 2

    @staticmethod
    def _edge(message: Message) -> str:
        return message.link if message.link == "image>coin" else f"*>{message.link.partition('>')[2]}"

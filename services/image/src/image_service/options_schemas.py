"""Public wire shapes of what can be ordered, and of what an order would cost."""

from pydantic import Field

from common.schemas import ReadModel
from image_service.orders import StylePreset
from image_service.providers.capabilities import Capabilities, Range
from image_service.quotes import Quote
from image_service.schemas import CfgScale, GenerateRequest


class SizeRead(ReadModel):
    """A size that can be ordered, in pixels, and its proportion."""

    width: int
    height: int
    aspect_ratio: str


class IntegerRangeRead(ReadModel):
    """What a whole number may be; a text's range counts its characters."""

    min: int
    max: int

    @classmethod
    def of(cls, allowed: Range | None) -> "IntegerRangeRead | None":
        return None if allowed is None else cls(min=int(allowed.least), max=int(allowed.most))


class NumberRangeRead(ReadModel):
    """What a number may be."""

    min: CfgScale
    max: CfgScale

    @classmethod
    def of(cls, allowed: Range | None) -> "NumberRangeRead | None":
        return None if allowed is None else cls(min=allowed.least, max=allowed.most)


class RangesRead(ReadModel):
    """By field of an order; null where the engine has no such field, or draws nothing but the sizes listed."""

    prompt: IntegerRangeRead
    negative_prompt: IntegerRangeRead
    width: IntegerRangeRead | None
    height: IntegerRangeRead | None
    samples: IntegerRangeRead
    steps: IntegerRangeRead | None
    cfg_scale: NumberRangeRead | None
    seed: IntegerRangeRead

    @classmethod
    def of(cls, engine: Capabilities) -> "RangesRead":
        sides = IntegerRangeRead.of(engine.sides)
        return cls(
            prompt=IntegerRangeRead(min=1, max=engine.prompt_characters),
            negative_prompt=IntegerRangeRead(min=0, max=engine.prompt_characters),
            width=sides,
            height=sides,
            samples=IntegerRangeRead(min=1, max=engine.samples),
            steps=IntegerRangeRead.of(engine.steps),
            cfg_scale=NumberRangeRead.of(engine.cfg_scale),
            seed=IntegerRangeRead(min=0, max=engine.max_seed),
        )


class DefaultsRead(ReadModel):
    """What an order has that does not say; null where the engine has no such field."""

    width: int
    height: int
    samples: int
    steps: int | None
    cfg_scale: CfgScale | None
    style_preset: StylePreset | None
    negative_prompt: str | None
    seed: int | None
    response_format: str

    @classmethod
    def of(cls, engine: Capabilities) -> "DefaultsRead":
        order = GenerateRequest(prompt="-").model_dump()
        order["steps"] = None if engine.steps is None else int(engine.steps.default)
        order["cfg_scale"] = None if engine.cfg_scale is None else engine.cfg_scale.default
        return cls.model_validate(order)


class PricesRead(ReadModel):
    """What pictures cost."""

    coins_per_image: int
    subscription_daily_images: int = Field(description="Pictures a day (UTC) that a subscription covers")


class OptionsRead(ReadModel):
    """What can be ordered from the configured engine."""

    engine: str
    style_presets: list[StylePreset]
    sizes: list[SizeRead] = Field(description="Each can be ordered; of some engines also others, within `ranges`")
    aspect_ratios: list[str]
    ranges: RangesRead
    defaults: DefaultsRead
    prices: PricesRead

    @classmethod
    def of(cls, engine: Capabilities, *, coins_per_image: int, daily_images: int) -> "OptionsRead":
        sizes = [
            SizeRead(width=width, height=height, aspect_ratio=engine.aspect_ratio(width, height))
            for width, height in engine.offered_sizes
        ]
        return cls(
            engine=engine.engine,
            style_presets=list(engine.styles),
            sizes=sizes,
            aspect_ratios=[size.aspect_ratio for size in sizes],
            ranges=RangesRead.of(engine),
            defaults=DefaultsRead.of(engine),
            prices=PricesRead(coins_per_image=coins_per_image, subscription_daily_images=daily_images),
        )


class QuoteRead(ReadModel):
    """What an order would cost now."""

    coins: int = Field(description="0 if a subscription covers it")
    covered_by_subscription: bool
    balance: int
    affordable: bool

    @classmethod
    def of(cls, quote: Quote) -> "QuoteRead":
        return cls.model_validate(quote, from_attributes=True)

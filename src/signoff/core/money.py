"""Money and usage. Amounts are integers of a small unit: floats would not add up to the invoice."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from signoff.core.values import value

_MICROS = Decimal(1_000_000)


@value
class Cost:
    """An amount of US dollars in millionths, as vendors' prices need (one token may cost 0.15 millionths)."""

    micro_usd: int = 0

    @staticmethod
    def from_usd(amount: Decimal | str | int) -> Cost:
        """The cost of an amount in dollars, rounded half up to a millionth. Floats are refused by type."""
        return Cost(int((Decimal(amount) * _MICROS).to_integral_value(ROUND_HALF_UP)))

    @property
    def usd(self) -> Decimal:
        """The amount in dollars."""
        return Decimal(self.micro_usd) / _MICROS

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.micro_usd + other.micro_usd)

    def __lt__(self, other: Cost) -> bool:
        return self.micro_usd < other.micro_usd

    def __le__(self, other: Cost) -> bool:
        return self.micro_usd <= other.micro_usd

    def __gt__(self, other: Cost) -> bool:
        return self.micro_usd > other.micro_usd

    def __ge__(self, other: Cost) -> bool:
        return self.micro_usd >= other.micro_usd

    def __str__(self) -> str:
        return f"{self.usd:.6f} USD"


@value
class Usage:
    """What calls to models used; adds up over calls, steps and runs."""

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Cost = Cost()

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.model_calls + other.model_calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )

    def as_dict(self) -> dict[str, Any]:
        """The usage for JSON."""
        return {
            "model_calls": self.model_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_micro_usd": self.cost.micro_usd,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Usage:
        """The usage that `as_dict` wrote."""
        return Usage(data["model_calls"], data["input_tokens"], data["output_tokens"], Cost(data["cost_micro_usd"]))


NO_USAGE = Usage()

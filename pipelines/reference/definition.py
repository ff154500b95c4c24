"""What a pipeline is: feeds, windows, rules, and conditions in which NULL is no data."""

from dataclasses import dataclass, field

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass
class Event:
    """What one device says at one time; readings are mantissas by quantity."""

    sensor: str
    at: int
    readings: dict
    tags: dict = field(default_factory=dict)
    counter: int | None = None
    rejected: int = 0


class Refused(Exception):
    """The message is not taken in."""


class Ignored(Exception):
    """The message is of a kind that carries no measurement."""


@dataclass
class Feed:
    """One feed. `decode(captures, payload, topic)` gives an event or raises one of the above."""

    name: str
    topic: str
    decode: object
    expected_interval: int | None = None
    identity: str = "time"
    out_of_orderness: int = 30 * SECOND
    max_skew: int = 300 * SECOND
    idle_after: int = 60 * SECOND


@dataclass
class Window:
    """One window; fields are (function, quantity) by name, the quantity None for events."""

    name: str
    size: int
    fields: dict
    by: tuple = ("sensor",)
    slide: int | None = None
    capture_min: float = 0.0


@dataclass
class Rule:
    """One rule; `when` and `clear` take a row and say True, False or None (no data)."""

    name: str
    on: str
    when: object
    clear: object = None
    hold: int = 0
    keep: int = 0
    stale_after: int = HOUR


@dataclass
class Pipeline:
    """One pipeline; `decimals` are those of its quantities."""

    feeds: list
    windows: list
    rules: list
    decimals: dict
    exclude: object = None
    allowed_lateness: int = 2 * HOUR
    close_after: int | None = None
    amend_every: int = 10 * SECOND
    open_max: int = 7 * DAY

    def __post_init__(self):
        if self.close_after is None:
            self.close_after = max(feed.out_of_orderness for feed in self.feeds) + 5 * SECOND


def above(value, limit):
    """value > limit"""
    return None if value is None else value > limit


def below(value, limit):
    """value < limit"""
    return None if value is None else value < limit


def equal(value, other):
    """value = other"""
    return None if value is None else value == other


def either(one, other):
    """one OR other"""
    if one or other:
        return True
    return None if one is None or other is None else False


def negated(condition):
    """NOT condition"""
    return None if condition is None else not condition


def quotient(over, under):
    """over / under; division by zero is no data."""
    return None if over is None or not under else over / under

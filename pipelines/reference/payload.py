"""Payloads: exact times and exact numbers."""

import json
import math
import re
from datetime import datetime, timezone
from decimal import ROUND_HALF_EVEN, Decimal

from .definition import DAY, SECOND, Refused

# A clock that was never set says 1970.
CLOCK_SET_SINCE = 365 * DAY

RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$")


def instant(text):
    """RFC 3339 to nanoseconds since 1970."""
    found = RFC3339.match(text) if isinstance(text, str) else None
    if not found:
        raise Refused("no RFC 3339 time")
    whole, fraction, offset = found.groups()
    seconds = int(datetime.fromisoformat(whole + ("+00:00" if offset == "Z" else offset)).timestamp())
    at = seconds * SECOND + int((fraction or "0").ljust(9, "0"))
    if at < CLOCK_SET_SINCE:
        raise Refused("a clock that was never set")
    return at


def written(at):
    """Nanoseconds since 1970 as RFC 3339 in UTC, with as many decimals as needed."""
    text = datetime.fromtimestamp(at // SECOND, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{at % SECOND:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def document(payload):
    """A JSON payload with exact numbers."""

    def no_constant(name):
        raise ValueError(name)

    try:
        return json.loads(payload, parse_float=Decimal, parse_int=Decimal, parse_constant=no_constant)
    except ValueError as error:
        raise Refused(f"no JSON: {error}") from None


PLAIN = re.compile(r"[+-]?\d+(\.\d*)?$")


def readings(values, decimals, limits=None):
    """Integers at the quantities' decimals, half to even, and how many values were refused.

    A value that is missing is no reading and no fault; a text that spells a number is that number.
    `limits` are (lowest, highest) by quantity.
    """
    found, rejected = {}, 0
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, str) and PLAIN.match(value.strip()):
            value = Decimal(value.strip())
        low, high = (limits or {}).get(name, (-math.inf, math.inf))
        if not isinstance(value, Decimal) or not low <= value <= high:
            rejected += 1
            continue
        scaled = value.scaleb(decimals[name])
        found[name] = int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    if not found:
        raise Refused("no reading")
    return found, rejected


def best_gateway(gateways):
    """rssi and snr of the gateway that heard best."""
    heard = [(one["rssi"], one["snr"]) for one in gateways]
    return dict(zip(("rssi", "snr"), max(heard))) if heard else {}

"""What `parking` publishes for `../readings.ndjson`: `python3 compute.py`."""

import sys
from decimal import Decimal
from math import inf
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import (  # noqa: E402
    MINUTE, SECOND, Event, Feed, Pipeline, Refused, Rule, Window,
    above, below, document, main, quotient, readings,
)

DECIMALS = {"free": 0, "capacity": 0, "lat": 6, "lon": 6}
LIMITS = {"free": (Decimal(0), inf), "capacity": (Decimal(0), inf)}
# Nanoseconds since 1970 in 64 bits end in the year 2262.
LATEST = (1 << 63) - 1
# Smaller times are relative to the arrival (RFC 8428, 4.5.3).
RELATIVE_BELOW_S = 1 << 28


def pack(captures, payload, topic):
    """A SenML pack of one device and one time: `[{"bn": .., "bt": .., "n": "free", "v": 12}, ..]`."""
    values, base = {}, Decimal(0)
    for record in document(payload):
        base = record.get("bt", base)
        values[record["n"]] = record.get("v")
    if base < RELATIVE_BELOW_S:
        raise NotImplementedError("relative times; no sample holds such")
    at = int(base * SECOND)
    if at > LATEST:
        raise Refused("seconds, not milliseconds")
    found, rejected = readings(values, DECIMALS, LIMITS)
    return Event(captures["sensor"], at, found, {"zone": captures["zone"]}, rejected=rejected)


def free_share(row):
    return quotient(row["free_mean"], row["capacity_last"])


FREE = ("mean", "free")
PIPELINE = Pipeline(
    decimals=DECIMALS,
    feeds=[Feed("parking", "ciudad/{zone}/parqueo/{sensor}", pack, expected_interval=30 * SECOND)],
    windows=[
        Window(
            "occupancy_15m",
            15 * MINUTE,
            {"free_mean": FREE, "free_min": ("min", "free"), "capacity_last": ("last", "capacity")},
            capture_min=0.5,
        ),
        Window(
            "parking_zone_15m",
            15 * MINUTE,
            {"free_mean": FREE, "capacity_mean": ("mean", "capacity")},
            by=("zone",),
        ),
    ],
    rules=[
        Rule(
            "car-park-full",
            "occupancy_15m",
            lambda row: below(free_share(row), 0.05),
            lambda row: above(free_share(row), 0.1),
            hold=15 * MINUTE,
        )
    ],
)

if __name__ == "__main__":
    main(PIPELINE, __file__)

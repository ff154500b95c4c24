"""What `river-level` publishes for `../readings.ndjson`: `python3 compute.py`."""

import sys
from decimal import Decimal
from math import inf
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import (  # noqa: E402
    HOUR, MINUTE, SECOND, Event, Feed, Pipeline, Rule, Window,
    above, below, best_gateway, document, instant, main, negated, readings,
)

DECIMALS = {"level_cm": 1, "rain_mm": 1, "battery_v": 2, "lat": 6, "lon": 6, "rssi": 6, "snr": 6}
LIMITS = {"level_cm": (-inf, Decimal(2000)), "rain_mm": (Decimal(0), inf)}


def uplink(captures, payload, topic):
    """An uplink of The Things Stack v3; its time is when the network server had it."""
    message = document(payload)["uplink_message"]
    measured, place = message["decoded_payload"], message["locations"]["user"]
    values = {name: measured.get(name) for name in ("level_cm", "rain_mm", "battery_v")}
    values |= {"lat": place["latitude"], "lon": place["longitude"]} | best_gateway(message["rx_metadata"])
    found, rejected = readings(values, DECIMALS, LIMITS)
    at, counter = instant(message["received_at"]), int(message["f_cnt"])
    return Event(captures["sensor"], at, found, counter=counter, rejected=rejected)


def at_least(quantity, limit):
    return lambda row: negated(below(row[quantity], limit))


def under(quantity, limit):
    return lambda row: below(row[quantity], limit)


LEVEL = "level_cm"
PIPELINE = Pipeline(
    decimals=DECIMALS,
    feeds=[Feed("river", "v3/+/devices/{sensor}/up", uplink, expected_interval=60 * SECOND)],
    windows=[
        Window(
            "level_10m",
            10 * MINUTE,
            {"level_mean": ("mean", LEVEL), "level_max": ("max", LEVEL), "level_last": ("last", LEVEL)},
        ),
        Window("rain_1h", HOUR, {"rain_sum": ("sum", "rain_mm")}, slide=10 * MINUTE),
    ],
    rules=[
        Rule("river-orange", "readings", at_least(LEVEL, 250), under(LEVEL, 240)),
        Rule("river-red", "readings", at_least(LEVEL, 320), under(LEVEL, 300)),
        Rule("rain-heavy", "rain_1h", lambda row: above(row["rain_sum"], 20), under("rain_sum", 10)),
        Rule("battery-low", "readings", under("battery_v", 3.4), at_least("battery_v", 3.45), hold=30 * MINUTE),
    ],
)

if __name__ == "__main__":
    main(PIPELINE, __file__)

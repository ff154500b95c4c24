"""What `air-quality` publishes for `../readings.ndjson`: `python3 compute.py`."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import (  # noqa: E402
    HOUR, MINUTE, SECOND, Event, Feed, Ignored, Pipeline, Rule, Window,
    above, below, best_gateway, document, either, equal, instant, main, readings,
)

DECIMALS = {"pm25": 2, "pm10": 2, "temperature": 1, "humidity": 1, "lat": 6, "lon": 6, "rssi": 6, "snr": 6}
FIELDS = {"pm25": "pm25", "pm10": "pm10", "temperature": "temp", "humidity": "hum", "lat": "lat", "lon": "lon"}


def station(captures, payload, topic):
    """Plain JSON: `{"t": "...", "pm25": 23.4, ...}`."""
    told = document(payload)
    found, rejected = readings({name: told.get(key) for name, key in FIELDS.items()}, DECIMALS)
    tags = {"zone": captures["zone"]}
    return Event(captures["sensor"], instant(told["t"]), found, tags, rejected=rejected)


def lora(captures, payload, topic):
    """A ChirpStack v4 event; only uplinks are measurements."""
    if not topic.endswith("/event/up"):
        raise Ignored
    told = document(payload)
    device, measured = told["deviceInfo"], told["object"]
    values = {name: measured.get(key) for name, key in FIELDS.items()} | best_gateway(told["rxInfo"])
    found, rejected = readings(values, DECIMALS)
    tags = {"zone": device["tags"]["zone"]}
    return Event(device["devEui"], instant(told["time"]), found, tags, int(told["fCnt"]), rejected)


MEAN, MAX = ("mean", "pm25"), ("max", "pm25")
PIPELINE = Pipeline(
    decimals=DECIMALS,
    exclude=lambda row: either(equal(row["pm25"], -9999), equal(row["pm10"], -9999)),
    feeds=[
        Feed("air", "ciudad/{zone}/aire/{sensor}", station, expected_interval=10 * SECOND),
        Feed("air-lora", "application/+/device/+/event/#", lora, expected_interval=60 * SECOND),
    ],
    windows=[
        Window("pm25_10m", 10 * MINUTE, {"pm25_mean": MEAN, "pm25_max": MAX}),
        Window(
            "pm25_1h",
            HOUR,
            {"pm25_mean": MEAN, "pm25_max": MAX, "pm25_p95": ("p95", "pm25"), "pm25_count": ("count", "pm25")},
            capture_min=0.75,
        ),
        Window("pm25_24h", 24 * HOUR, {"pm25_mean": MEAN}, slide=HOUR, capture_min=0.75),
        Window("pm25_zone_1h", HOUR, {"pm25_mean": MEAN, "pm25_max": MAX}, by=("zone",), slide=10 * MINUTE),
    ],
    rules=[
        Rule("pm25-24h-over-limit", "pm25_24h", lambda row: above(row["pm25_mean"], 37)),
        Rule("pm25-24h-red", "pm25_24h", lambda row: above(row["pm25_mean"], 55)),
        Rule(
            "pm25-1h-high",
            "pm25_1h",
            lambda row: above(row["pm25_mean"], 55),
            lambda row: below(row["pm25_mean"], 50),
        ),
        Rule(
            "pm25-10m-severe",
            "pm25_10m",
            lambda row: above(row["pm25_mean"], 75),
            lambda row: below(row["pm25_mean"], 60),
            hold=20 * MINUTE,
        ),
        Rule(
            "pm25-zone-high",
            "pm25_zone_1h",
            lambda row: above(row["pm25_mean"], 55),
            lambda row: below(row["pm25_mean"], 50),
        ),
        Rule("implausible-reading", "readings", lambda row: above(row["pm25"], 500)),
    ],
)

if __name__ == "__main__":
    main(PIPELINE, __file__)

"""What `service-requests` publishes for `../readings.ndjson`: `python3 compute.py`."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import (  # noqa: E402
    HOUR, MINUTE, Event, Feed, Pipeline, Rule, Window,
    below, document, instant, main, negated, readings,
)

DECIMALS = {"priority": 0}


def request(captures, payload, topic):
    """One request: `{"channel": "app", "number": 123456, "t": "...", "type": "ruido", "priority": 3}`."""
    told = document(payload)
    found, rejected = readings({"priority": told.get("priority")}, DECIMALS)
    tags = {"zone": captures["zone"], "type": told["type"]}
    return Event(told["channel"], instant(told["t"]), found, tags, int(told["number"]), rejected)


PIPELINE = Pipeline(
    decimals=DECIMALS,
    feeds=[Feed("requests", "ciudad/{zone}/solicitudes", request, identity="sequence")],
    windows=[
        Window(
            "requests_1h",
            HOUR,
            {"requests": ("count", None), "priority_max": ("max", "priority")},
            by=("zone", "type"),
            slide=10 * MINUTE,
        )
    ],
    rules=[
        Rule(
            "outage-suspected",
            "requests_1h",
            lambda row: negated(below(row["requests"], 6)),
            keep=20 * MINUTE,
        )
    ],
)

if __name__ == "__main__":
    main(PIPELINE, __file__)

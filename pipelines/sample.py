"""Cuts the four `readings.ndjson` out of 15 hours of the simulated city, from the repository's root:

    cargo run --release -p sereno-simulators -- city --seed 1 --from 2026-03-02T04:50:00-05:00 \\
        --hours 15 --stdout | python3 pipelines/sample.py

The city has faults, repeats and silent gateways of its own. Where a pipeline's devices have none,
some are added here, so that each file holds late readings, repeats and a wrong clock. Standard
library only.
"""

import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

DAY = "2026-03-02T"
HERE = Path(__file__).resolve().parent


def at(time):
    """Arrival time of a time of the day, UTC."""
    return datetime.fromisoformat(f"{DAY}{time}+00:00")


def when(line):
    return datetime.fromisoformat(line["at"].replace("Z", "+00:00"))


def moved(line, to):
    return line | {"at": to.strftime("%Y-%m-%dT%H:%M:%S.") + f"{to.microsecond // 1000:03d}Z"}


def again(line, seconds, change=lambda payload: payload):
    """The same message once more, some seconds later."""
    return moved(line, when(line) + timedelta(seconds=seconds)) | {"payload": change(line["payload"])}


def between(line, start, end):
    return at(start) <= when(line) < at(end)


def first(lines, part, start):
    """Index of the first line from a time on whose topic or payload holds some text."""
    return next(i for i, line in enumerate(lines) if when(line) >= at(start) and part in line["topic"] + line["payload"])


def edited(lines, part, start, pattern, text):
    """Edits one message."""
    index = first(lines, part, start)
    payload, count = re.subn(pattern, text, lines[index]["payload"], count=1)
    assert count == 1, (part, pattern)
    lines[index] = lines[index] | {"payload": payload}


def held(lines, part, start, end, until):
    """Messages of a span arrive together, in order, when a link is back."""
    number = 0
    for index, line in enumerate(lines):
        if part in line["topic"] + line["payload"] and between(line, start, end):
            lines[index] = moved(line, at(until) + timedelta(milliseconds=40 * number))
            number += 1
    assert number, part


def repeated(lines, every, seconds):
    """Every so many messages arrive twice, as with QoS 1 after a lost acknowledgement."""
    lines.extend(again(line, seconds) for line in lines[every - 1 :: every])


def air(lines):
    stations = ("aire-00014", "aire-00026", "aire-00029", "aire-00047", "aire-00051", "70b3d5e75e004a12")
    lines = [
        line
        for line in lines
        if between(line, "09:58:00", "12:12:00")
        and (line["topic"].startswith("application/") or "/aire/" in line["topic"])
        and (any(name in line["topic"] for name in stations) or ("aire-00007" in line["topic"] and when(line) >= at("11:40:00")))
    ]
    # A sensor that shows nonsense once, one that changes its word, one uplink delivered twice.
    edited(lines, "aire-00029", "10:20:00", r'"pm25":[0-9.]+', '"pm25":985.0')
    correction = lambda payload: re.sub(r'"pm25":[0-9.]+', '"pm25":12.3', payload)  # noqa: E731
    lines.append(again(lines[first(lines, "aire-00047", "10:25:00")], 2, correction))
    lines.append(again(lines[first(lines, "event/up", "10:30:00")], 3))
    return lines


def river(lines):
    gauges = ("rio-04", "rio-05", "rio-06", "rio-10", "rio-12")
    topics = {f"v3/rios@valdelomar/devices/{gauge}/up" for gauge in gauges}
    lines = [line for line in lines if line["topic"] in topics and between(line, "12:35:00", "15:05:00")]
    # A text and a full scale where a number is due; a server's clock two hours ahead; one uplink
    # twenty minutes late; a gauge behind a link that is down for 25 minutes; redeliveries.
    edited(lines, "rio-10", "12:50:00", r'"battery_v":[0-9.]+', '"battery_v":"No Sensor"')
    edited(lines, "rio-06", "12:55:00", r'"level_cm":[0-9.]+', '"level_cm":6553.5')
    ahead = first(lines, "rio-10", "13:30:00")
    lines[ahead] = lines[ahead] | {"payload": lines[ahead]["payload"].replace("T13:3", "T15:3")}
    late = first(lines, "rio-06", "12:46:00")
    lines[late] = moved(lines[late], at("13:06:30"))
    held(lines, "rio-05", "13:20:00", "13:45:00", "13:47:10")
    repeated(lines, 40, 2)
    return lines


def parking(lines):
    parks = ("004", "014", "024", "005", "015", "025", "007")
    names = {f"parqueo-{park}" for park in parks}
    lines = [line for line in lines if line["topic"].split("/")[-1] in names and between(line, "18:10:00", "21:05:00")]
    # A clock that is a day ahead for ten minutes, and one that counts milliseconds.
    for index, line in enumerate(lines):
        if "parqueo-024" in line["topic"] and between(line, "19:05:00", "19:15:00"):
            tomorrow = lambda found: f'"bt":{int(found[1]) + 86_400}'  # noqa: E731
            lines[index] = line | {"payload": re.sub(r'"bt":(\d+)', tomorrow, line["payload"])}
    edited(lines, "parqueo-007", "19:20:00", r'"bt":(\d+)', r'"bt":\g<1>000')
    return lines


def requests(lines):
    lines = [line for line in lines if line["topic"].endswith("/solicitudes") and between(line, "12:30:00", "18:30:00")]
    # The counters' slips are typed in at 14:45, one call three hours late; a number is used twice;
    # a clock is a day ahead, a message cut off; redeliveries.
    held(lines, '"presencial"', "13:30:00", "14:40:00", "14:45:10")
    late = first(lines, '"telefono"', "13:00:00")
    lines[late] = moved(lines[late], at("16:20:05"))
    reused = lambda payload: re.sub(r'"priority":\d', '"priority":9', payload)  # noqa: E731
    lines.append(again(lines[first(lines, '"web"', "15:10:00")], 30, reused))
    edited(lines, '"app"', "16:00:00", r'"t":"2026-03-02', '"t":"2026-03-03')
    edited(lines, '"app"', "16:05:00", r',"priority".*', "")
    repeated(lines, 25, 4)
    return lines


def main():
    prefixes = ("ciudad/", "application/", "v3/")
    day = [json.loads(line) for line in sys.stdin]
    day = [line for line in day if line["topic"].startswith(prefixes) and "payload" in line]
    recipes = {"air-quality": air, "river-level": river, "parking": parking, "service-requests": requests}
    for name, recipe in recipes.items():
        lines = sorted(recipe(day), key=when)
        with open(HERE / name / "readings.ndjson", "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        print(f"{name}: {len(lines)} messages", file=sys.stderr)


if __name__ == "__main__":
    main()

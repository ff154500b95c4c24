"""From `readings.ndjson` to the expected files."""

import csv
import json
import math
import sys
from pathlib import Path

from .payload import written
from .run import Run


def main(pipeline, program):
    """Replays `readings.ndjson` of the folder above the program and writes the expected files."""
    expected = Path(program).resolve().parent
    run = Run(pipeline)
    with open(expected.parent / "readings.ndjson", encoding="utf-8") as lines:
        for line in lines:
            run.message(json.loads(line))
    write(run, expected)


def write(run, folder):
    """Writes windows, alerts and accounts into a folder."""
    for window in run.windows:
        fields = sorted(window.plan.fields)
        rows = [
            (start, start + window.plan.size, *name, count, *(shown(values[field]) for field in fields))
            for name, key in window.keys.items()
            for start, (count, values) in key.published.items()
        ]
        rows.sort()
        header = ["time", "end", *window.plan.by, "count", *fields]
        table(folder / f"{window.plan.name}.csv", header, [(written(r[0]), written(r[1]), *r[2:]) for r in rows])
        waiting = sum(len(key.dirty) for key in window.keys.values())
        if waiting:
            sys.exit(f"{window.plan.name}: {waiting} amendments wait for a tick that never comes; end the file later")
    alerts = [
        (rule, key, written(began), written(raised), written(resolved) if resolved is not None else "")
        for rule, key, began, raised, resolved in run.alerts()
    ]
    table(folder / "alerts.csv", ["rule", "key", "began_at", "raised_at", "resolved_at"], alerts)
    accounts = {
        one.feed.name: {"messages": one.messages, "events": one.events, "readings": one.readings}
        for one in run.feeds
    }
    (folder / "accounts.json").write_text(json.dumps(accounts, indent=2) + "\n", encoding="utf-8")
    counts = {"excluded": run.excluded, "too_late": sum(window.too_late for window in run.windows)}
    (folder / "counts.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def shown(value):
    """A float as the shortest text that reads back as the same; nothing for no data."""
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() and math.fabs(value) < 1e15 else repr(value)


def table(path, header, rows):
    """Writes one CSV file."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)

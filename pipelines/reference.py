"""Windows, watermarks, alerts and accounts, written a second time.

The programs `*/expected/compute.py` say what their pipeline is and leave the rest to this file. It
follows the written semantics and nothing else: no code is shared with Sereno, no `pipeline.toml`
is read, and it does the plain thing everywhere. A window keeps all of its samples and is computed
from them each time; numbers are integers and fractions; one loop walks through messages and
seconds. Standard library only.

What it does not know, because no shipped pipeline uses it: changes while running, calendar
windows, feeds without times of their own, `first`, `stddev`.
"""

import csv
import json
import math
import re
import sys
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = -(1 << 62)

# Bogota is five hours behind UTC since 1993: its midnight is 05:00 UTC.
BOGOTA = -5 * HOUR
# A feed that is not connected for this long holds nothing back.
GONE_AFTER = 60 * SECOND
# A clock that was never set says 1970.
CLOCK_SET_SINCE = 365 * DAY


# --- what a pipeline is ------------------------------------------------------------------------


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


# --- conditions: NULL is no data ---------------------------------------------------------------


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


# --- texts and numbers -------------------------------------------------------------------------

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


# --- aggregates --------------------------------------------------------------------------------


@dataclass
class Sample:
    """One event in a window."""

    event: Event
    sequence: int


def aggregate(function, quantity, samples, decimals):
    """The value of one field, rounded to a float once, at the end; None is no data."""
    if quantity is None:
        return len(samples)
    carrying = [sample for sample in samples if quantity in sample.event.readings]
    values = [sample.event.readings[quantity] for sample in carrying]
    if function == "count":
        return len(values)
    if not values:
        return None
    scale = 10 ** decimals[quantity]
    match function:
        case "sum":
            return float(Fraction(sum(values), scale))
        case "mean":
            return float(Fraction(sum(values), len(values) * scale))
        case "min":
            return float(Fraction(min(values), scale))
        case "max":
            return float(Fraction(max(values), scale))
        case "p95":
            # The value of rank floor(0.95 (n - 1)).
            return float(Fraction(sorted(values)[95 * (len(values) - 1) // 100], scale))
        case "last":
            order = lambda s: (s.event.at, s.event.sensor, s.event.counter or 0, s.sequence)  # noqa: E731
            return float(Fraction(max(carrying, key=order).event.readings[quantity], scale))
    raise NotImplementedError(function)


# --- alerts ------------------------------------------------------------------------------------


def episodes(verdicts, rule, stale_after, clock):
    """Episodes (began, raised, resolved or None) of verdicts {time: (met, cleared)}."""
    done, state, since, raised, ended, last = [], "inactive", None, None, None, None

    def pass_to(to):
        nonlocal state, raised
        if state == "pending":
            # A verdict stands until just before it is stale.
            if since + rule.hold < last + stale_after and since + rule.hold <= to:
                state, raised = "firing", since + rule.hold
            elif last + stale_after < to:
                state = "inactive"
        elif state == "firing" and ended is not None and ended + rule.keep <= to:
            done.append((since, raised, ended + rule.keep))
            state = "inactive"

    for at in sorted(verdicts):
        met, cleared = verdicts[at]
        pass_to(at)
        last = at
        if state == "firing":
            if cleared:
                ended = at if ended is None else ended
            elif cleared is False:
                ended = None
        elif met:
            if state == "inactive":
                state, since, ended = "pending", at, None
            if since + rule.hold <= at:
                state, raised = "firing", since + rule.hold
        else:
            state = "inactive"
        if state == "firing":
            pass_to(at)
    pass_to(clock)
    if state == "firing":
        done.append((since, raised, None))
    return done


# --- the run -----------------------------------------------------------------------------------


class FeedRun:
    """A feed's topic, identities, clock and accounts."""

    def __init__(self, feed):
        self.feed = feed
        levels = [re.escape(level) for level in feed.topic.split("/")]
        levels = [re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", level) for level in levels]
        levels = ["[^/]+" if level == r"\+" else ".*" if level in ("#", r"\#") else level for level in levels]
        self.topic = re.compile("/".join(levels) + "$")
        self.known = {}
        self.latest = self.watermark = NEVER
        self.connected = self.observed = False
        self.quiet = self.unseen = 0
        self.messages = dict.fromkeys(
            ("received", "decoded", "partly_decoded", "quarantined", "repeated", "ignored", "refused"), 0
        )
        self.events = dict.fromkeys(("found", "stored", "duplicate", "conflicting", "quarantined", "refused"), 0)
        self.readings = {"stored": 0}

    def tick(self):
        self.observed = self.connected
        if self.observed:
            self.quiet += SECOND
        else:
            self.unseen += SECOND

    def gone(self):
        return not self.observed and self.unseen >= GONE_AFTER

    def idle(self):
        return self.gone() or self.quiet >= self.feed.idle_after

    def receive(self, captures, payload, topic, arrived_at):
        """The event that a message becomes, or None."""
        self.connected = True
        self.messages["received"] += 1
        try:
            event = self.feed.decode(captures, payload, topic)
        except Refused:
            self.messages["quarantined"] += 1
            return None
        except Ignored:
            self.messages["ignored"] += 1
            return None
        self.messages["partly_decoded" if event.rejected else "decoded"] += 1
        self.events["found"] += 1
        fate = "quarantined" if event.at > arrived_at + self.feed.max_skew else self.identify(event)
        self.events[fate] += 1
        if fate != "stored":
            return None
        self.readings["stored"] += len(event.readings)
        self.quiet = self.unseen = 0
        self.latest = max(self.latest, min(event.at, arrived_at))
        step = self.latest - self.feed.out_of_orderness
        self.watermark = max(self.watermark, step - step % SECOND)
        return event

    def identify(self, event):
        """What an event is: stored, duplicate or conflicting; known readings are taken out of it."""
        moment = event.counter if self.feed.identity == "sequence" else (event.at, event.counter)
        held = self.known.setdefault((event.sensor, moment), {})
        again = {name: value for name, value in event.readings.items() if name in held}
        if any(held[name] != value for name, value in again.items()):
            return "conflicting"
        if len(again) == len(event.readings):
            return "duplicate"
        held.update(event.readings)
        event.readings = {name: value for name, value in event.readings.items() if name not in again}
        return "stored"


class Key:
    """The windows of one key of one plan."""

    def __init__(self, feed):
        self.interval = feed.expected_interval
        self.watermark = NEVER  # own, or the zone's
        self.closed_to = NEVER
        self.sealed_to = NEVER
        self.open = []  # starts, sorted
        self.samples = {}  # by start
        self.dirty = set()
        self.amended_at = NEVER
        self.published = {}  # start: (count, values)
        self.verdicts = defaultdict(dict)  # rule: {end: (met, cleared)}


class WindowRun:
    """One window plan over all its keys."""

    def __init__(self, plan, pipeline):
        self.plan, self.pipeline = plan, pipeline
        self.slide = plan.slide or plan.size
        self.offset = BOGOTA if DAY % plan.size == 0 else 0
        self.rules = [rule for rule in pipeline.rules if rule.on == plan.name]
        self.by_sensor = "sensor" in plan.by
        self.keys = {}
        self.zone_watermark = NEVER
        self.too_late = 0

    def starts(self, at):
        """Starts of the windows that hold an instant."""
        pane = at - (at + self.offset) % self.slide
        return range(pane - self.plan.size + self.slide, pane + 1, self.slide)

    def event(self, sample, feed, watermark, excluded):
        event = sample.event
        name = tuple(event.sensor if by == "sensor" else event.tags.get(by, "") for by in self.plan.by)
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(feed)
            if not self.by_sensor:
                self.advance(name, key, self.zone_watermark)
        quantities = {quantity for _, quantity in self.plan.fields.values() if quantity}
        if not excluded and (not quantities or quantities & event.readings.keys()):
            self.add(name, key, sample)
        if self.by_sensor and watermark > key.watermark:
            self.advance(name, key, watermark)

    def add(self, name, key, sample):
        starts = [start for start in self.starts(sample.event.at) if start + self.plan.size > key.sealed_to]
        self.too_late += not starts
        for start in starts:
            if start not in key.samples:
                key.samples[start] = []
                if start + self.plan.size > key.closed_to:
                    insort(key.open, start)
            key.samples[start].append(sample)
            if start + self.plan.size <= key.closed_to:
                key.dirty.add(start)

    def advance(self, name, key, watermark):
        """The key's watermark has come to here."""
        key.watermark = max(key.watermark, watermark)
        self.close(name, key, watermark)
        self.seal(name, key, watermark - self.pipeline.allowed_lateness)

    def close(self, name, key, to):
        key.closed_to = max(key.closed_to, to)
        while key.open and key.open[0] + self.plan.size <= to:
            self.publish(name, key, key.open.pop(0))

    def seal(self, name, key, to):
        if to > key.sealed_to:
            key.sealed_to = to
            for start in sorted(start for start in key.dirty if start + self.plan.size <= to):
                self.publish(name, key, start)

    def zone_step(self, watermark):
        if not self.by_sensor and watermark > self.zone_watermark:
            self.zone_watermark = watermark
            for name, key in self.keys.items():
                self.advance(name, key, watermark)

    def tick(self, tick, drained):
        for name, key in self.keys.items():
            if drained:
                self.close(name, key, tick - self.pipeline.close_after)
            self.seal(name, key, tick - self.pipeline.open_max)
            if key.dirty and key.amended_at + self.pipeline.amend_every <= tick:
                key.amended_at = tick
                for start in sorted(key.dirty):
                    self.publish(name, key, start)

    def publish(self, name, key, start):
        key.dirty.discard(start)
        samples, plan = key.samples[start], self.plan
        values = {
            field: aggregate(function, quantity, samples, self.pipeline.decimals)
            for field, (function, quantity) in sorted(plan.fields.items())
        }
        key.published[start] = (len(samples), values)
        expected = plan.size / key.interval if self.by_sensor and key.interval else None
        capture = len(samples) / expected if expected else None
        row = values | {"count": len(samples), "capture": capture} | dict(zip(plan.by, name))
        for rule in self.rules:
            enough = capture is None or capture >= plan.capture_min
            verdict = judge(rule, row) if enough else (None, None)
            key.verdicts[rule.name][start + plan.size] = verdict

    def alerts(self):
        for name, key in self.keys.items():
            for rule in self.rules:
                for episode in episodes(key.verdicts[rule.name], rule, self.slide, key.closed_to):
                    yield (rule.name, "/".join(name), *episode)


class ReadingsRun:
    """Rules on readings: each event of a sensor is judged at its own time."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.rules = [rule for rule in pipeline.rules if rule.on == "readings"]
        self.clocks = {}
        self.verdicts = defaultdict(dict)

    def event(self, event, row, watermark):
        clock = self.clocks.get(event.sensor, NEVER)
        for rule in self.rules:
            verdict = judge(rule, row) if row else (None, None)
            speaks = verdict != (None, None)
            if speaks and event.at >= clock - self.pipeline.allowed_lateness:
                self.verdicts[rule.name, event.sensor][event.at] = verdict
        self.clocks[event.sensor] = max(clock, watermark)

    def alerts(self, tick):
        for rule in self.rules:
            for sensor, clock in self.clocks.items():
                clock = max(clock, tick - self.pipeline.close_after)
                verdicts = self.verdicts[rule.name, sensor]
                for episode in episodes(verdicts, rule, rule.stale_after, clock):
                    yield (rule.name, sensor, *episode)


def judge(rule, row):
    """What a rule says of a row: (met, cleared)."""
    met = rule.when(row)
    return met, rule.clear(row) if rule.clear else negated(met)


class Run:
    """A replay from the first line to the last whole second of the last arrival."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.feeds = [FeedRun(feed) for feed in pipeline.feeds]
        self.windows = [WindowRun(plan, pipeline) for plan in pipeline.windows]
        self.readings = ReadingsRun(pipeline)
        self.ticked = None
        self.sequence = 0
        self.excluded = 0

    def pass_to(self, at):
        """Ticks each whole second up to an arrival."""
        last = at - at % SECOND
        first = last if self.ticked is None else self.ticked + SECOND
        for tick in range(first, last + 1, SECOND):
            self.ticked = tick
            for run in self.feeds:
                run.tick()
            self.zone_step()
            drained = all(run.observed or run.gone() for run in self.feeds)
            for window in self.windows:
                window.tick(tick, drained)

    def zone_step(self):
        busy = [run.watermark for run in self.feeds if not run.idle()]
        idle_after = max(run.feed.idle_after for run in self.feeds)
        watermark = min(busy) if busy else self.ticked - idle_after
        for window in self.windows:
            window.zone_step(watermark)

    def message(self, line):
        arrived_at = instant(line["at"])
        self.pass_to(arrived_at)
        for run in self.feeds:
            found = run.topic.match(line["topic"])
            if found:
                event = run.receive(found.groupdict(), line["payload"], line["topic"], arrived_at)
                if event:
                    self.event(event, run, arrived_at)

    def event(self, event, run, arrived_at):
        self.sequence += 1
        watermark = min(event.at, arrived_at) - run.feed.out_of_orderness
        decimals = self.pipeline.decimals
        row = {name: None for name in decimals} | {
            name: float(Fraction(value, 10 ** decimals[name])) for name, value in event.readings.items()
        }
        excluded = bool(self.pipeline.exclude and self.pipeline.exclude(row))
        self.excluded += excluded
        for window in self.windows:
            window.event(Sample(event, self.sequence), run.feed, watermark, excluded)
        self.readings.event(event, None if excluded else row, watermark)
        self.zone_step()

    def alerts(self):
        found = [alert for window in self.windows for alert in window.alerts()]
        found += self.readings.alerts(self.ticked)
        return sorted(found, key=lambda alert: (alert[3], alert[0], alert[1]))


# --- files -------------------------------------------------------------------------------------


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

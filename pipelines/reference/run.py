"""The run: one loop through messages and seconds."""

import re
from bisect import insort
from collections import defaultdict
from fractions import Fraction

from .definition import DAY, HOUR, SECOND, Ignored, Refused, negated
from .payload import instant
from .verdict import Sample, aggregate, episodes

NEVER = -(1 << 62)
# Bogota is five hours behind UTC since 1993: its midnight is 05:00 UTC.
BOGOTA = -5 * HOUR
# A feed that is not connected for this long holds nothing back.
GONE_AFTER = 60 * SECOND


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

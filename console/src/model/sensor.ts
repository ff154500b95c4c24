// A sensor with its last reading of each quantity, and how live readings change it.

import { list, number, record, text, texts, time, type Wire } from "./wire";

/** The last known value of one quantity. */
export interface Reading {
  readonly quantity: string;
  readonly unit: string;
  readonly value: number;
  readonly eventAtMs: number;
}

/** Where something stands, degrees WGS 84. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** One sensor as the console knows it. Never changed in place. */
export interface Sensor {
  readonly name: string;
  readonly feed: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly place: Place | null;
  readonly lastEventAtMs: number | null;
  readonly lastArrivedAtMs: number | null;
  /** By quantity name. */
  readonly readings: ReadonlyMap<string, Reading>;
}

/** Readings of one sensor at one time, from the live stream. */
export interface LiveReadings {
  readonly sensor: string;
  readonly feed: string;
  readonly place: Place | null;
  readonly eventAtMs: number;
  readonly readings: readonly Reading[];
}

/** A sensor is out of date when nothing arrived from it for this long. */
export const STALE_AFTER_MS = 15 * 60_000;

/** A device clock is taken for a replay, not for a delay, from this difference on. */
const REPLAY_FROM_MS = 2 * 60_000;

/** Reads one sensor; null if it has no name. */
export function readSensor(wire: unknown): Sensor | null {
  const from = record(wire);
  const name = text(from["name"]);
  if (name === "") return null;
  const lastEventAtMs = time(from["last_event_at"]);
  const readings = new Map<string, Reading>();
  for (const reading of readReadings(from["readings"], lastEventAtMs)) readings.set(reading.quantity, reading);
  return {
    name,
    feed: text(from["feed"]),
    tags: texts(from["tags"]),
    place: readPlace(from),
    lastEventAtMs,
    lastArrivedAtMs: time(from["last_arrived_at"]),
    readings,
  };
}

/** Reads the data of one live `reading` event; null if it names no sensor or no time. */
export function readLiveReadings(wire: unknown): LiveReadings | null {
  const from = record(wire);
  const sensor = text(from["sensor"]);
  const eventAtMs = time(from["event_at"]);
  if (sensor === "" || eventAtMs === null) return null;
  return {
    sensor,
    feed: text(from["feed"]),
    place: readPlace(from),
    eventAtMs,
    readings: readReadings(from["readings"], eventAtMs),
  };
}

/** The sensor after `live` arrived at `arrivedAtMs`; an older reading never replaces a newer one. */
export function withLive(sensor: Sensor, live: LiveReadings, arrivedAtMs: number): Sensor {
  const readings = new Map(sensor.readings);
  for (const reading of live.readings) {
    const known = readings.get(reading.quantity);
    if (known === undefined || known.eventAtMs <= reading.eventAtMs) readings.set(reading.quantity, reading);
  }
  return {
    ...sensor,
    place: live.place ?? sensor.place,
    lastEventAtMs: Math.max(sensor.lastEventAtMs ?? live.eventAtMs, live.eventAtMs),
    lastArrivedAtMs: arrivedAtMs,
    readings,
  };
}

/** A sensor first heard of through the live stream: its tags come with the next full list. */
export function sensorFromLive(live: LiveReadings, arrivedAtMs: number): Sensor {
  const unknown: Sensor = {
    name: live.sensor,
    feed: live.feed,
    tags: {},
    place: live.place,
    lastEventAtMs: null,
    lastArrivedAtMs: null,
    readings: new Map(),
  };
  return withLive(unknown, live, arrivedAtMs);
}

/** Tells whether nothing arrived from the sensor for `STALE_AFTER_MS`. */
export function isStale(sensor: Sensor, nowMs: number): boolean {
  return sensor.lastArrivedAtMs === null || nowMs - sensor.lastArrivedAtMs > STALE_AFTER_MS;
}

/**
 * How far the sensors' event time runs from arrival time, ms: the median over the sensors, 0 if under two minutes.
 * Not zero when the service is fed a recorded or simulated day; one bad device clock does not move it.
 */
export function eventClockOffsetMs(sensors: Iterable<Sensor>): number {
  const offsets: number[] = [];
  for (const sensor of sensors) {
    if (sensor.lastEventAtMs !== null && sensor.lastArrivedAtMs !== null) {
      offsets.push(sensor.lastEventAtMs - sensor.lastArrivedAtMs);
    }
  }
  offsets.sort((a, b) => a - b);
  const median = offsets[Math.floor(offsets.length / 2)] ?? 0;
  return Math.abs(median) < REPLAY_FROM_MS ? 0 : median;
}

function readPlace(from: Wire): Place | null {
  const latitude = number(from["latitude"]);
  const longitude = number(from["longitude"]);
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

function readReadings(wire: unknown, otherwiseAtMs: number | null): Reading[] {
  const readings: Reading[] = [];
  for (const item of list(wire)) {
    const from = record(item);
    const quantity = text(from["quantity"]);
    const value = number(from["value"]);
    const eventAtMs = time(from["event_at"]) ?? otherwiseAtMs;
    if (quantity === "" || value === null || eventAtMs === null) continue;
    readings.push({ quantity, unit: text(from["unit"]), value, eventAtMs });
  }
  return readings;
}

// A sensor as the map draws it. Both maps, MapLibre and the plain one, draw the same dots.

import type { Severity } from "./alert";
import { bandIndex, bandOf, type IcaCategory, type Scale } from "./scale";
import { isStale, type Sensor } from "./sensor";

/** One circle on the map. */
export interface Dot {
  readonly name: string;
  readonly longitude: number;
  readonly latitude: number;
  /** Null where there is no recent value: drawn hollow. */
  readonly colour: string | null;
  /** Pixels at the usual zoom. Grows with the band of a norm, so that colour does not speak alone. */
  readonly radius: number;
  readonly ring: Severity | null;
  readonly value: number | null;
  readonly unit: string;
  readonly category: IcaCategory | null;
  readonly stale: boolean;
}

const RADIUS = 6;
const RADIUS_PER_BAND = 1.1;

/** The dots of one quantity: sensors that measure it, and those with an alert whatever they measure. */
export function dotsOf(
  sensors: Iterable<Sensor>,
  quantity: string | null,
  scale: Scale,
  alerting: ReadonlyMap<string, Severity>,
  nowMs: number,
): Dot[] {
  const dots: Dot[] = [];
  for (const sensor of sensors) {
    const reading = quantity === null ? undefined : sensor.readings.get(quantity);
    const ring = alerting.get(sensor.name) ?? null;
    if (sensor.place === null || (reading === undefined && ring === null)) continue;
    const stale = isStale(sensor, nowMs);
    const band = reading === undefined || stale ? undefined : bandOf(scale, reading.value);
    const grows = band !== undefined && scale.kind === "ica" && reading !== undefined;
    dots.push({
      name: sensor.name,
      longitude: sensor.place.longitude,
      latitude: sensor.place.latitude,
      colour: band?.colour ?? null,
      radius: RADIUS + (grows ? RADIUS_PER_BAND * bandIndex(scale, reading.value) : 0),
      ring,
      value: reading?.value ?? null,
      unit: reading?.unit ?? "",
      category: band?.category ?? null,
      stale,
    });
  }
  // What is alerting is drawn last, on top.
  return dots.sort((a, b) => Number(a.ring !== null) - Number(b.ring !== null) || a.name.localeCompare(b.name));
}

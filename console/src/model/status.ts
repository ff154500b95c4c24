// The service's account of itself, as the header shows it.

import { number, record, text, time } from "./wire";

/** What `GET /api/v1/status` and the live `status` event tell. */
export interface Status {
  readonly version: string;
  readonly ready: boolean;
  readonly nowMs: number | null;
  readonly eventsPerSecond: number | null;
  readonly sensors: number | null;
  readonly alertsFiring: number | null;
  /** IANA name of the city's time zone. */
  readonly zone: string;
}

/** Reads one status object. */
export function readStatus(wire: unknown): Status {
  const from = record(wire);
  return {
    version: text(from["version"]),
    ready: from["ready"] === true,
    nowMs: time(from["now"]),
    eventsPerSecond: number(from["events_per_second"]),
    sensors: number(from["sensors"]),
    alertsFiring: number(from["alerts_firing"]),
    zone: text(from["zone"], "America/Bogota"),
  };
}

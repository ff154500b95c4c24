// The history of one sensor and quantity: fetched for the chosen period, then grown by live readings.
// Asks again by itself after a failure, and each minute for windows that closed meanwhile.

import { get } from "../api/client";
import { forget, insert, readAggregates, readReadings, type Series } from "../model/history";
import type { LiveReadings } from "../model/sensor";
import { fieldFor, isTumbling, keyFor, type WindowPlan } from "../model/window";
import type { Sensor } from "../model/sensor";

/** Which history is wanted. */
export interface Wanted {
  readonly sensor: Sensor;
  readonly quantity: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly window: WindowPlan | null;
}

/** How the history is: nothing wanted, on its way, here, or not to be had. */
export type HistoryState = "idle" | "loading" | "ready" | "failed";

const READINGS_MAX = 20_000;
const AGGREGATES_MAX = 5_000;
const AGAIN_AFTER_MS = 8_000;

/** The two series of the chart. They change in place; `version` tells when. */
export class History {
  state = $state<HistoryState>("idle");
  version = $state(0);
  truncated = $state(false);
  readings: Series = { times: [], values: [] };
  aggregate: Series | null = null;

  #abort: AbortController | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #sensor = "";
  #quantity = "";

  /** Fetches what is wanted; an earlier request that has not come back is dropped. */
  async load(wanted: Wanted): Promise<void> {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    const same = wanted.sensor.name === this.#sensor && wanted.quantity === this.#quantity;
    [this.#sensor, this.#quantity] = [wanted.sensor.name, wanted.quantity];
    // A new period of the same series keeps the old picture until the new one is here.
    if (!same || this.state !== "ready") this.state = "loading";
    try {
      const [readings, aggregate] = await Promise.all([
        this.#readings(wanted, abort.signal),
        aggregateOf(wanted, abort.signal),
      ]);
      this.readings = readings.series;
      this.truncated = readings.truncated;
      this.aggregate = aggregate;
      this.state = "ready";
      this.version += 1;
    } catch {
      if (abort.signal.aborted) return;
      this.state = "failed";
      this.#retry = setTimeout(() => void this.load(wanted), AGAIN_AFTER_MS);
    }
  }

  /** Fetches the aggregate anew; a failure leaves the known one. */
  async refreshAggregate(wanted: Wanted): Promise<void> {
    if (this.state !== "ready" || this.#abort === null) return;
    const { signal } = this.#abort;
    try {
      const aggregate = await aggregateOf(wanted, signal);
      if (signal.aborted) return;
      this.aggregate = aggregate;
      this.version += 1;
    } catch {
      // The next minute asks again.
    }
  }

  /** Appends a live reading if it belongs to the series shown. */
  grow(live: LiveReadings, fromMs: number): void {
    if (this.state !== "ready" || live.sensor !== this.#sensor) return;
    const own = live.readings.find((reading) => reading.quantity === this.#quantity);
    if (own === undefined) return;
    insert(this.readings, own.eventAtMs, own.value);
    forget(this.readings, fromMs);
    this.version += 1;
  }

  /** Drops what is under way. */
  stop(): void {
    this.#abort?.abort();
    clearTimeout(this.#retry);
  }

  async #readings(wanted: Wanted, signal: AbortSignal) {
    const { sensor, quantity, fromMs, toMs } = wanted;
    const query = { sensor: sensor.name, quantity, ...period(fromMs, toMs), limit: READINGS_MAX };
    return readReadings(await get("readings", query, signal));
  }
}

async function aggregateOf(wanted: Wanted, signal: AbortSignal): Promise<Series | null> {
  const { window, sensor, quantity, fromMs, toMs } = wanted;
  const key = window === null ? null : keyFor(window, sensor);
  const field = window === null ? null : fieldFor(window, quantity);
  if (window === null || key === null || field === null) return null;
  const query = { pipeline: window.pipeline, window: window.name, ...key, ...period(fromMs, toMs), limit: AGGREGATES_MAX };
  const { series } = readAggregates(await get("aggregates", query, signal), field, isTumbling(window) ? "time" : "end");
  return series.times.length === 0 ? null : series;
}

function period(fromMs: number, toMs: number): { from: string; to: string } {
  return { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
}

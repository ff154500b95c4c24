// What the chart draws: times and values of one series, kept in time order while live readings join.

import { list, number, record, time } from "./wire";

/** One series, oldest first. Times in seconds since 1970 UTC, as uPlot wants them. */
export interface Series {
  readonly times: number[];
  readonly values: (number | null)[];
}

/** A series with a word on whether the service left rows out. */
export interface History {
  readonly series: Series;
  readonly truncated: boolean;
}

/** The lowest, highest and last value of a series. */
export interface Summary {
  readonly lowest: number;
  readonly highest: number;
  readonly last: number;
  readonly lastAtMs: number;
}

/** Silence longer than this many usual intervals is drawn as a gap, not as a line. */
const GAP_INTERVALS = 6;

/** Reads `GET /api/v1/readings`. */
export function readReadings(wire: unknown): History {
  const from = record(wire);
  const series: Series = { times: [], values: [] };
  for (const item of list(from["rows"])) {
    const row = record(item);
    const at = time(row["time"]);
    const value = number(row["value"]);
    if (at !== null && value !== null) insert(series, at, value);
  }
  return { series, truncated: from["truncated"] === true };
}

/** Reads `GET /api/v1/aggregates` for one field. Each value stands at its window's start, or at its end. */
export function readAggregates(wire: unknown, field: string, at: "time" | "end"): History {
  const from = record(wire);
  const series: Series = { times: [], values: [] };
  let lastEnd: number | null = null;
  for (const item of list(from["rows"])) {
    const row = record(item);
    const start = time(row[at]);
    const value = number(record(row["fields"])[field]);
    if (start === null) continue;
    insert(series, start, value);
    lastEnd = time(row["end"]) ?? lastEnd;
  }
  const lastValue = series.values.at(-1);
  // A step must also show how long the last window lasts.
  if (at === "time" && lastEnd !== null && lastValue !== undefined) insert(series, lastEnd, lastValue);
  return { series, truncated: from["truncated"] === true };
}

/** Puts a value at its time; a second value of the same time replaces the first. */
export function insert(series: Series, atMs: number, value: number | null): void {
  const at = atMs / 1000;
  let index = series.times.length;
  while (index > 0 && (series.times[index - 1] ?? 0) > at) index -= 1;
  const replaces = index > 0 && series.times[index - 1] === at;
  if (replaces) series.values[index - 1] = value;
  else {
    series.times.splice(index, 0, at);
    series.values.splice(index, 0, value);
  }
}

/** Drops what is older than `fromMs`. */
export function forget(series: Series, fromMs: number): void {
  const first = series.times.findIndex((at) => at >= fromMs / 1000);
  const old = first === -1 ? series.times.length : first;
  series.times.splice(0, old);
  series.values.splice(0, old);
}

/** The series with a null where it was silent for much longer than usual. */
export function withGaps(series: Series): Series {
  const steps = series.times.slice(1).map((at, index) => at - (series.times[index] ?? at));
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
  const drawn: Series = { times: [], values: [] };
  series.times.forEach((at, index) => {
    const silence = at - (series.times[index - 1] ?? at);
    if (usual > 0 && silence > usual * GAP_INTERVALS) {
      drawn.times.push(at - silence / 2);
      drawn.values.push(null);
    }
    drawn.times.push(at);
    drawn.values.push(series.values[index] ?? null);
  });
  return drawn;
}

/** Lowest, highest and last value; null for an empty series. */
export function summary(series: Series): Summary | null {
  let found: Summary | null = null;
  series.values.forEach((value, index) => {
    const at = series.times[index];
    if (value === null || at === undefined) return;
    found = {
      lowest: Math.min(value, found?.lowest ?? value),
      highest: Math.max(value, found?.highest ?? value),
      last: value,
      lastAtMs: at * 1000,
    };
  });
  return found;
}

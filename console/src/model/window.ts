// The windows of the pipelines, and which of them tells about one sensor and quantity.

import { list, record, text, texts } from "./wire";
import type { Sensor } from "./sensor";
import type { Translated } from "../i18n/language.svelte";

/** A window of a pipeline: what it gathers, by which key, how often. */
export interface WindowPlan {
  readonly pipeline: string;
  readonly name: string;
  readonly feeds: readonly string[];
  readonly by: readonly string[];
  /** Durations as configured: "1h", "30m". */
  readonly size: string;
  readonly slide: string;
  readonly fields: readonly string[];
  readonly rules: readonly Rule[];
}

/** A rule of the same pipeline. */
export interface Rule {
  readonly name: string;
  readonly severity: string;
  readonly when: string;
  readonly title: Translated;
}

/** A line to draw across the chart. */
export interface Threshold {
  readonly value: number;
  readonly rule: Rule;
}

/** A statistic of a window field, by its last word: `pm25_mean` is a mean. */
export type Statistic =
  | "mean" | "max" | "min" | "sum" | "count" | "median" | "stddev" | "rate" | "last" | "first" | "other";

const STATISTICS: readonly Statistic[] = [
  "mean", "max", "min", "sum", "count", "median", "stddev", "rate", "last", "first",
];
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNIT_SUFFIX = /_(cm|mm|m|db|dba|v|c|pct|count)$/;

/** Reads the windows of every pipeline of `GET /api/v1/pipelines`. */
export function readWindows(wire: unknown): WindowPlan[] {
  return list(record(wire)["pipelines"]).flatMap((item) => {
    const pipeline = record(item);
    const rules = list(pipeline["rules"]).map(readRule);
    return list(pipeline["windows"]).map((window) => readWindow(record(window), text(pipeline["name"]), pipeline, rules));
  });
}

/** The windows that aggregate `quantity` for this sensor: those of the sensor itself first, then those of its zone. */
export function windowsFor(windows: readonly WindowPlan[], sensor: Sensor, quantity: string): WindowPlan[] {
  const fits = windows.filter(
    (window) =>
      (window.feeds.length === 0 || window.feeds.includes(sensor.feed)) &&
      fieldFor(window, quantity) !== null &&
      keyFor(window, sensor) !== null,
  );
  const distance = (window: WindowPlan): number => (window.by.includes("sensor") ? 0 : 1);
  return fits.sort((a, b) => distance(a) - distance(b) || (durationMs(a.size) ?? 0) - (durationMs(b.size) ?? 0));
}

/** The field of the window that holds `quantity`; null if none does. */
export function fieldFor(window: WindowPlan, quantity: string): string | null {
  const stem = quantity.replace(UNIT_SUFFIX, "");
  const named = (field: string): boolean =>
    field === quantity || field.startsWith(`${quantity}_`) || field.startsWith(`${stem}_`);
  return window.fields.find((field) => named(field) && statisticOf(field) === "mean") ?? window.fields.find(named) ?? null;
}

/** The request members that pick this sensor's windows; null if its tags do not tell. */
export function keyFor(window: WindowPlan, sensor: Sensor): Record<string, string> | null {
  const query: Record<string, string> = {};
  for (const part of window.by) {
    const value = part === "sensor" ? sensor.name : sensor.tags[part];
    if (value === undefined) return null;
    query[part === "sensor" ? "sensor" : `key.${part}`] = value;
  }
  return Object.keys(query).length === 0 ? null : query;
}

/** The statistic a field holds. */
export function statisticOf(field: string): Statistic {
  return STATISTICS.find((statistic) => field.endsWith(`_${statistic}`)) ?? "other";
}

/** Limits of the form `field > 37` among the rules about `field` or `quantity`. */
export function thresholdsOf(window: WindowPlan, quantity: string): Threshold[] {
  const names = [fieldFor(window, quantity), quantity];
  return window.rules.flatMap((rule) =>
    [...rule.when.matchAll(/([a-z_][a-z0-9_.]*)\s*(?:>=?|<=?)\s*(-?\d+(?:\.\d+)?)/gi)]
      .filter((match) => names.includes(match[1]?.split(".").at(-1) ?? null))
      .map((match) => ({ value: Number(match[2]), rule })),
  );
}

/** A duration such as "1h" or "90s" in ms; null if it is not one. */
export function durationMs(duration: string): number | null {
  const match = /^(\d+)\s*(ms|s|m|h|d)$/.exec(duration.trim());
  const unit = UNIT_MS[match?.[2] ?? ""];
  return match?.[1] === undefined || unit === undefined ? null : Number(match[1]) * unit;
}

/** Tells whether each event falls in one window only, so that windows draw as steps side by side. */
export function isTumbling(window: WindowPlan): boolean {
  return window.slide === "" || window.slide === window.size;
}

function readWindow(
  from: Readonly<Record<string, unknown>>,
  pipeline: string,
  parent: Readonly<Record<string, unknown>>,
  rules: readonly Rule[],
): WindowPlan {
  const words = (value: unknown): string[] => list(value).map((word) => text(word)).filter((word) => word !== "");
  return {
    pipeline,
    name: text(from["name"]),
    feeds: words(parent["feeds"]),
    by: words(from["by"]),
    size: text(from["size"]),
    slide: text(from["slide"]),
    fields: words(from["fields"]),
    rules,
  };
}

function readRule(wire: unknown): Rule {
  const from = record(wire);
  return {
    name: text(from["name"]),
    severity: text(from["severity"], "warning"),
    when: text(from["when"]),
    title: texts(from["title"]),
  };
}

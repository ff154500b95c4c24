// Numbers, times and units as people in Colombia write them (es-CO), or in English.
// Times are always shown in the city's zone, never in that of the computer.

import type { LanguageCode } from "../i18n/language.svelte";

const LOCALES: Readonly<Record<LanguageCode, string>> = { es: "es-CO", en: "en-GB" };
const UNITS: Readonly<Record<string, string>> = {
  "ug/m3": "µg/m³", ugm3: "µg/m³", "mg/m3": "mg/m³", cel: "°C", Cel: "°C", C: "°C", degC: "°C",
  pct: "%", "%RH": "%", percent: "%", dB: "dB", dBA: "dB(A)", "dB(A)": "dB(A)", db_a: "dB(A)",
  count: "", "1": "", m3: "m³", "m3/s": "m³/s", "m/s2": "m/s²",
};
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const numberFormats = new Map<string, Intl.NumberFormat>();
const timeFormats = new Map<string, Intl.DateTimeFormat>();

/** A number with as many decimals as its size deserves: 23,4 but 0,07 and 1.013. */
export function formatNumber(value: number, language: LanguageCode): string {
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 1 || size === 0 ? 1 : 2;
  return numberFormat(language, digits).format(value);
}

/** A whole number with thousands marked: 1.234. */
export function formatCount(value: number, language: LanguageCode): string {
  return numberFormat(language, 0).format(value);
}

/** A unit as it is written on paper; "" for pure counts. */
export function formatUnit(unit: string): string {
  return UNITS[unit] ?? unit;
}

/** A value with its unit: `23,4 µg/m³`. */
export function formatValue(value: number, unit: string, language: LanguageCode): string {
  const written = formatUnit(unit);
  return written === "" ? formatNumber(value, language) : `${formatNumber(value, language)}\u00a0${written}`;
}

/** Date and time to the minute: `21/11/26, 11:05 p. m.` */
export function formatDateTime(atMs: number, language: LanguageCode, zone: string): string {
  const style: Intl.DateTimeFormatOptions =
    language === "es"
      ? { dateStyle: "short", timeStyle: "short" }
      : { day: "numeric", month: "short", year: "numeric", hour: "numeric", minute: "2-digit", hour12: true };
  return timeFormat(language, zone, style).format(atMs);
}

/** Time of day to the second, for the clock: `11:05:09 p. m.` */
export function formatClock(atMs: number, language: LanguageCode, zone: string): string {
  return timeFormat(language, zone, { hour: "numeric", minute: "2-digit", second: "2-digit", hour12: true }).format(atMs);
}

/** The day in words, for the clock: `sábado, 21 de noviembre`. */
export function formatDay(atMs: number, language: LanguageCode, zone: string): string {
  return timeFormat(language, zone, { weekday: "long", day: "numeric", month: "long" }).format(atMs);
}

/** A mark on the chart's time axis: `23:05`, or the day where the axis counts days or a day begins. */
export function formatTick(atMs: number, language: LanguageCode, zone: string, stepMs: number): string {
  const clock = timeFormat(language, zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(atMs);
  const day = timeFormat(language, zone, { day: "numeric", month: "short" }).format(atMs);
  return stepMs >= DAY_MS || clock === "00:00" ? day : clock;
}

/** How long ago, in the largest whole unit: `hace 5 min`; null from two days on, where a date says more. */
export function formatAgo(atMs: number, nowMs: number, language: LanguageCode): string | null {
  const passed = Math.max(0, nowMs - atMs);
  if (passed >= 2 * DAY_MS) return null;
  const relative = new Intl.RelativeTimeFormat(LOCALES[language], { numeric: "auto", style: "short" });
  if (passed < MINUTE_MS) return relative.format(0, "second");
  if (passed < HOUR_MS) return relative.format(-Math.floor(passed / MINUTE_MS), "minute");
  if (passed < DAY_MS) return relative.format(-Math.floor(passed / HOUR_MS), "hour");
  return relative.format(-1, "day");
}

/** A configured duration as it is written on paper: `30m` becomes `30 min`. */
export function formatDuration(duration: string): string {
  const match = /^(\d+)\s*(ms|s|m|h|d)$/.exec(duration.trim());
  if (match === null) return duration;
  return `${match[1]}\u00a0${match[2] === "m" ? "min" : match[2]}`;
}

/** A name from the service made readable: `comuna-07` becomes `Comuna 07`. */
export function formatZone(tag: string): string {
  const spaced = tag.replaceAll(/[-_]+/g, " ").trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function numberFormat(language: LanguageCode, digits: number): Intl.NumberFormat {
  const key = `${language} ${digits}`;
  const known = numberFormats.get(key);
  if (known !== undefined) return known;
  const made = new Intl.NumberFormat(LOCALES[language], { maximumFractionDigits: digits, useGrouping: "always" });
  numberFormats.set(key, made);
  return made;
}

function timeFormat(language: LanguageCode, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${zone} ${JSON.stringify(options)}`;
  const known = timeFormats.get(key);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat(LOCALES[language], { ...options, timeZone: zone });
  timeFormats.set(key, made);
  return made;
}

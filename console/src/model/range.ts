// The periods a person can look at.

/** A period that ends now. */
export type Range = "1h" | "6h" | "24h" | "7d";

/** All periods, shortest first. */
export const RANGES: readonly Range[] = ["1h", "6h", "24h", "7d"];

const HOUR_MS = 3_600_000;
const SPANS_MS: Readonly<Record<Range, number>> = {
  "1h": HOUR_MS,
  "6h": 6 * HOUR_MS,
  "24h": 24 * HOUR_MS,
  "7d": 168 * HOUR_MS,
};

/** The length of a period, ms. */
export function spanMs(range: Range): number {
  return SPANS_MS[range];
}

/** Tells whether `value` names a period. */
export function isRange(value: string | null): value is Range {
  return RANGES.some((range) => range === value);
}

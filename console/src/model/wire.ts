// Reading of what the service sends: unknown JSON in, checked values out, with a default where a member is missing.
// One bad member never blanks the page; it shows as "no data".

/** A JSON object whose members are not yet known. */
export type Wire = Readonly<Record<string, unknown>>;

/** `value` as an object; an empty one if it is anything else. */
export function record(value: unknown): Wire {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Wire) : {};
}

/** `value` as a list; an empty one if it is anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `value` as text, or `otherwise`. */
export function text(value: unknown, otherwise = ""): string {
  return typeof value === "string" ? value : otherwise;
}

/** `value` as a finite number, or null. */
export function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** An RFC 3339 time as milliseconds since 1970 UTC, or null. */
export function time(value: unknown): number | null {
  if (typeof value !== "string") return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}

/** The members of an object whose values are texts (tags, labels, languages). */
export function texts(value: unknown): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const [key, member] of Object.entries(record(value))) {
    if (typeof member === "string") kept[key] = member;
    else if (typeof member === "number" || typeof member === "boolean") kept[key] = String(member);
  }
  return kept;
}

/** The members of an object whose values are numbers (fields, values). */
export function numbers(value: unknown): Readonly<Record<string, number>> {
  const kept: Record<string, number> = {};
  for (const [key, member] of Object.entries(record(value))) {
    const read = number(member);
    if (read !== null) kept[key] = read;
  }
  return kept;
}

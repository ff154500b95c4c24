// The quantities the feeds measure, one entry a name however many feeds measure it.

import { list, record, text, texts } from "./wire";
import type { Translated } from "../i18n/language.svelte";

/** Something that is measured, with its unit. */
export interface Quantity {
  readonly name: string;
  readonly unit: string;
  readonly label: Translated;
}

/** What a city looks at first, best first. */
const FIRST_CHOICE: readonly string[] = ["pm25", "pm10", "level_cm", "level"];

/** Reads the quantities of `GET /api/v1/feeds`, in the order of the feeds. */
export function readQuantities(wire: unknown): Quantity[] {
  const found = new Map<string, Quantity>();
  for (const feed of list(record(wire)["feeds"])) {
    for (const item of list(record(feed)["quantities"])) {
      const from = record(item);
      const name = text(from["name"]);
      if (name === "" || found.has(name)) continue;
      found.set(name, { name, unit: text(from["unit"]), label: texts(from["label"]) });
    }
  }
  return [...found.values()];
}

/** The quantity to show before anyone has chosen; null if there is none. */
export function firstChoice(quantities: readonly Quantity[]): string | null {
  const named = FIRST_CHOICE.find((name) => quantities.some((quantity) => quantity.name === name));
  return named ?? quantities[0]?.name ?? null;
}

// How a place is called on the page: the name of its comuna where the basemap has one.

import type { Catalogue } from "../i18n/es";
import type { Alert } from "../model/alert";
import { formatZone } from "../model/format";
import type { Feature } from "../model/geography";

/** The name of a zone tag: `Comuna 07` or the name the basemap gives. */
export function zoneName(tag: string, geography: readonly Feature[]): string {
  const named = geography.find((feature) => feature.kind === "zone" && feature.zone === tag);
  return named === undefined || named.name === "" ? formatZone(tag) : named.name;
}

/** What an alert is about: its sensor, its zone, whatever its key names, or the whole city. */
export function placeOf(alert: Alert, geography: readonly Feature[], texts: Catalogue): string {
  const { sensor, zone, ...others } = alert.key;
  const parts = [
    sensor === undefined ? "" : sensor,
    zone === undefined ? "" : zoneName(zone, geography),
    ...Object.values(others),
  ].filter((part) => part !== "");
  return parts.length === 0 ? texts.words.city : parts.join(" · ");
}

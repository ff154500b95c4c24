// An alert, its history, and the order in which people must see alerts.

import { list, numbers, record, text, texts, time } from "./wire";
import type { Translated } from "../i18n/language.svelte";

/** How grave an alert is. */
export type Severity = "info" | "warning" | "critical";

/** Where an alert stands in its life. */
export type AlertState = "inactive" | "pending" | "firing" | "resolved";

/** One change of state. */
export interface Transition {
  readonly from: AlertState;
  readonly to: AlertState;
  readonly atMs: number | null;
  readonly decidedAtMs: number | null;
  readonly cause: string;
}

/** One alert as the console knows it. */
export interface Alert {
  readonly id: string;
  readonly pipeline: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly state: AlertState;
  readonly key: Readonly<Record<string, string>>;
  readonly title: Translated;
  readonly message: Translated;
  readonly startedAtMs: number | null;
  readonly raisedAtMs: number | null;
  readonly resolvedAtMs: number | null;
  readonly decidedAtMs: number | null;
  readonly value: Readonly<Record<string, number>>;
  readonly transitions: readonly Transition[];
}

const GRAVITY: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, info: 2 };

/** Reads one alert; null if it has no id. An unknown severity counts as a warning: never hide what is not understood. */
export function readAlert(wire: unknown): Alert | null {
  const from = record(wire);
  const id = text(from["id"]);
  if (id === "") return null;
  return {
    id,
    pipeline: text(from["pipeline"]),
    rule: text(from["rule"]),
    severity: readSeverity(from["severity"]),
    state: readState(from["state"]),
    key: texts(from["key"]),
    title: texts(from["title"]),
    message: texts(from["message"]),
    startedAtMs: time(from["started_at"]),
    raisedAtMs: time(from["raised_at"]),
    resolvedAtMs: time(from["resolved_at"]),
    decidedAtMs: time(from["decided_at"]),
    value: numbers(from["value"]),
    transitions: list(from["transitions"]).map(readTransition),
  };
}

/** The firing ones: gravest first, then newest first. */
export function firing(alerts: Iterable<Alert>): Alert[] {
  return [...alerts]
    .filter((alert) => alert.state === "firing")
    .sort((a, b) => GRAVITY[a.severity] - GRAVITY[b.severity] || since(b) - since(a) || a.id.localeCompare(b.id));
}

/** The resolved ones: last resolved first. */
export function resolved(alerts: Iterable<Alert>): Alert[] {
  return [...alerts]
    .filter((alert) => alert.state === "resolved")
    .sort((a, b) => (b.resolvedAtMs ?? 0) - (a.resolvedAtMs ?? 0) || a.id.localeCompare(b.id));
}

/** When the alert became active (or its condition began), ms; 0 if unknown. */
export function since(alert: Alert): number {
  return alert.raisedAtMs ?? alert.startedAtMs ?? 0;
}

/** The gravest firing alert of each sensor or zone, by the value of `member` in the alert's key. */
export function gravestBy(alerts: Iterable<Alert>, member: "sensor" | "zone"): Map<string, Severity> {
  const gravest = new Map<string, Severity>();
  for (const alert of firing(alerts)) {
    const name = alert.key[member];
    if (name !== undefined && !gravest.has(name)) gravest.set(name, alert.severity);
  }
  return gravest;
}

/** Tells whether `next` is news over `known`: an older decision never replaces a newer one. */
export function isNewer(next: Alert, known: Alert | undefined): boolean {
  return known === undefined || (next.decidedAtMs ?? 0) >= (known.decidedAtMs ?? 0);
}

function readSeverity(wire: unknown): Severity {
  return wire === "info" || wire === "critical" ? wire : "warning";
}

function readState(wire: unknown): AlertState {
  return wire === "pending" || wire === "firing" || wire === "resolved" ? wire : "inactive";
}

function readTransition(wire: unknown): Transition {
  const from = record(wire);
  return {
    from: readState(from["from"]),
    to: readState(from["to"]),
    atMs: time(from["at"]),
    decidedAtMs: time(from["decided_at"]),
    cause: text(from["cause"]),
  };
}

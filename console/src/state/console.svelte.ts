// What the page knows and what the person looks at. Loads once, then follows the live stream;
// what was missed while the stream was cut is asked for again.

import { tick } from "svelte";
import { address, ApiFailure, get, getAll, retryAfterMs } from "../api/client";
import { Live, type Link, type LiveEvent } from "../api/live";
import { firing, gravestBy, isNewer, readAlert, resolved, type Alert } from "../model/alert";
import { readGeography, type Feature } from "../model/geography";
import { firstChoice, readQuantities, type Quantity } from "../model/quantity";
import { isRange, type Range } from "../model/range";
import {
  eventClockOffsetMs, readLiveReadings, readSensor, sensorFromLive, withLive, type LiveReadings, type Sensor,
} from "../model/sensor";
import { readStatus, type Status } from "../model/status";
import { list, record } from "../model/wire";
import { readWindows, type WindowPlan } from "../model/window";

/** Live readings reach the page in bundles, so that a busy city does not redraw it hundreds of times a second. */
const BUNDLE_EVERY_MS = 1_000;
const CLOCK_TOLERANCE_MS = 500;
const ALERTS_MAX = 500;
const RESOLVED_SHOWN_MAX = 50;
/** The alerts are asked for again this often, so that nothing a cut stream swallowed stays unseen. */
const ALERTS_EVERY_MS = 60_000;

/** Why the service could not be reached and when the next try is. */
export interface Fault {
  readonly failure: ApiFailure;
  /** By this computer's clock, ms; null while trying. */
  readonly retryAtMs: number | null;
}

/** The state of the page. One instance, made by `App.svelte`. */
export class Console {
  status = $state.raw<Status | null>(null);
  quantities = $state.raw<readonly Quantity[]>([]);
  sensors = $state.raw<ReadonlyMap<string, Sensor>>(new Map());
  alerts = $state.raw<ReadonlyMap<string, Alert>>(new Map());
  geography = $state.raw<readonly Feature[]>([]);
  windows = $state.raw<readonly WindowPlan[]>([]);
  /** True from the first complete answer on. */
  loaded = $state(false);
  /** How many times everything was loaded; after a cut, what hangs on it is asked for again. */
  loads = $state(0);
  fault = $state.raw<Fault | null>(null);
  link = $state<Link>("connecting");
  /** This computer's clock, ms, once a second. */
  tickMs = $state(Date.now());
  /** How far the service's clock is ahead of this computer's, ms. */
  serviceAheadMs = $state(0);
  /** Alerts that changed state in front of the person, newest last; for announcing, never cleared. */
  news = $state.raw<readonly Alert[]>([]);

  quantity = $state<string | null>(null);
  sensor = $state<string | null>(null);
  range = $state<Range>("6h");

  readonly firing = $derived(firing(this.alerts.values()));
  readonly resolved = $derived(resolved(this.alerts.values()).slice(0, RESOLVED_SHOWN_MAX));
  readonly alertingSensors = $derived(gravestBy(this.alerts.values(), "sensor"));
  readonly alertingZones = $derived(gravestBy(this.alerts.values(), "zone"));
  /** The service's clock, ms. */
  readonly nowMs = $derived(this.tickMs + this.serviceAheadMs);
  /** Now in the sensors' own time: another day when the service is fed a recorded one. */
  readonly eventNowMs = $derived(this.nowMs + eventClockOffsetMs(this.sensors.values()));
  readonly zone = $derived(this.status?.zone ?? "America/Bogota");
  readonly chosenSensor = $derived(this.sensor === null ? null : (this.sensors.get(this.sensor) ?? null));
  readonly chosenQuantity = $derived(this.quantities.find((quantity) => quantity.name === this.quantity) ?? null);

  #live: Live | null = null;
  #waiting = new Map<string, LiveReadings>();
  #followers = new Set<(live: LiveReadings) => void>();
  #timers: ReturnType<typeof setInterval>[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #loading = false;
  #strangers = false;

  /** Starts loading and following. `search` is the query of the page's address. */
  start(search: string): void {
    const asked = new URLSearchParams(search);
    this.sensor = asked.get("sensor");
    this.quantity = asked.get("quantity");
    const range = asked.get("range");
    if (isRange(range)) this.range = range;
    this.#live = new Live(address("live"), {
      onLink: (link) => this.#takeLink(link),
      onReopened: () => void this.load(),
      onEvent: (name, data) => this.#take(name, data),
    });
    if (asked.get("live") === "off") this.link = "off";
    else this.#live.open();
    this.#timers = [
      setInterval(() => this.#bundle(), BUNDLE_EVERY_MS),
      setInterval(() => void this.#refreshAlerts(), ALERTS_EVERY_MS),
    ];
    void this.load();
  }

  /** Stops everything `start` started. */
  stop(): void {
    this.#live?.close();
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#retry);
  }

  /** Loads everything; on failure tells why and tries again by itself. */
  async load(): Promise<void> {
    clearTimeout(this.#retry);
    if (this.#loading) return;
    this.#loading = true;
    if (this.fault !== null) this.fault = { ...this.fault, retryAtMs: null };
    try {
      const [status, feeds, sensors] = await Promise.all([get("status"), get("feeds"), getAll("sensors", "sensors")]);
      this.#takeStatus(status);
      this.quantities = readQuantities(feeds);
      this.#takeSensors(sensors);
      await this.#loadAlerts();
      // The map draws without a basemap and the chart without windows: neither holds up the page.
      await Promise.all([this.#loadGeography(), this.#loadWindows()]);
      this.#settle();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#loading = false;
    }
  }

  /** Calls `follower` with every live reading, until the returned function is called. */
  follow(follower: (live: LiveReadings) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Chooses a sensor; if it does not measure the chosen quantity, also a quantity it measures. */
  chooseSensor(name: string): void {
    this.sensor = name;
    const sensor = this.sensors.get(name);
    if (sensor === undefined || (this.quantity !== null && sensor.readings.has(this.quantity))) return;
    const measured = this.quantities.filter((quantity) => sensor.readings.has(quantity.name));
    this.quantity = firstChoice(measured) ?? this.quantity;
  }

  /** Chooses a quantity; a sensor that does not measure it gives way to one that does. */
  chooseQuantity(name: string): void {
    this.quantity = name;
    if (this.chosenSensor?.readings.has(name) !== true) this.sensor = this.#mostTelling(name);
  }

  /** The address of the page as the person sees it now, to share or keep. */
  get search(): string {
    const members = new URLSearchParams(location.search);
    members.set("range", this.range);
    if (this.sensor !== null) members.set("sensor", this.sensor);
    if (this.quantity !== null) members.set("quantity", this.quantity);
    return `?${members.toString()}`;
  }

  #settle(): void {
    this.#failures = 0;
    this.fault = null;
    if (this.quantity === null || this.chosenQuantity === null) this.quantity = firstChoice(this.quantities);
    if (this.sensor !== null && this.quantity !== null) this.chooseSensor(this.sensor);
    if (this.sensor === null && this.quantity !== null) this.sensor = this.#mostTelling(this.quantity);
    this.loaded = true;
    this.loads += 1;
    void tick().then(() => (document.documentElement.dataset["ready"] = "true"));
  }

  #fail(error: unknown): void {
    const failure = error instanceof ApiFailure ? error : new ApiFailure("garbled", 0, String(error));
    this.#failures += 1;
    const waitMs = retryAfterMs(this.#failures);
    this.fault = { failure, retryAtMs: Date.now() + waitMs };
    this.#retry = setTimeout(() => void this.load(), waitMs);
  }

  /** The sensor to show for a quantity: one with an alert, else the one with the highest value. */
  #mostTelling(quantity: string): string | null {
    const measuring = [...this.sensors.values()].filter((sensor) => sensor.readings.has(quantity));
    const alerting = measuring.find((sensor) => this.alertingSensors.has(sensor.name));
    const value = (sensor: Sensor): number => sensor.readings.get(quantity)?.value ?? -Infinity;
    const highest = measuring.reduce<Sensor | null>((best, next) => (best && value(best) >= value(next) ? best : next), null);
    return (alerting ?? highest)?.name ?? null;
  }

  #takeLink(link: Link): void {
    const cut = link === "lost" && this.link !== "lost";
    this.link = link;
    // Whether only the stream was cut or the service is gone, a request tells.
    if (cut) void this.load();
  }

  #take(name: LiveEvent, data: unknown): void {
    if (name === "status") this.#takeStatus(data);
    else if (name === "alert") this.#takeAlert(readAlert(data));
    else {
      const live = readLiveReadings(data);
      if (live === null) return;
      this.#followers.forEach((follower) => follower(live));
      const earlier = this.#waiting.get(live.sensor);
      const readings = earlier === undefined ? live.readings : [...earlier.readings, ...live.readings];
      this.#waiting.set(live.sensor, { ...live, readings });
    }
  }

  #takeStatus(wire: unknown): void {
    this.status = readStatus(wire);
    if (this.status.nowMs === null) return;
    const aheadMs = this.status.nowMs - Date.now();
    // The way through the network varies by milliseconds: not worth a new clock each second.
    if (Math.abs(aheadMs - this.serviceAheadMs) > CLOCK_TOLERANCE_MS) this.serviceAheadMs = aheadMs;
  }

  #takeSensors(wires: readonly unknown[]): void {
    const sensors = new Map<string, Sensor>();
    for (const wire of wires) {
      const sensor = readSensor(wire);
      if (sensor !== null) sensors.set(sensor.name, sensor);
    }
    this.sensors = sensors;
    this.#strangers = false;
  }

  #takeAlert(alert: Alert | null): void {
    if (alert === null) return;
    const known = this.alerts.get(alert.id);
    if (!isNewer(alert, known)) return;
    const alerts = new Map(this.alerts);
    alerts.set(alert.id, alert);
    this.alerts = alerts;
    const changed = known?.state !== alert.state && (alert.state === "firing" || known?.state === "firing");
    if (changed) this.news = [...this.news.slice(-20), alert];
  }

  /** Applies the readings that arrived since the last bundle, and lets the clock tick. */
  #bundle(): void {
    this.tickMs = Date.now();
    if (this.#waiting.size === 0 || !this.loaded) return;
    const sensors = new Map(this.sensors);
    for (const live of this.#waiting.values()) {
      const known = sensors.get(live.sensor);
      sensors.set(
        live.sensor,
        known === undefined ? sensorFromLive(live, this.nowMs) : withLive(known, live, this.nowMs),
      );
      if (known === undefined) this.#strangers = true;
    }
    this.#waiting.clear();
    this.sensors = sensors;
  }

  async #loadAlerts(): Promise<void> {
    const [active, past] = await Promise.all([
      get("alerts", { state: "firing", limit: ALERTS_MAX }),
      get("alerts", { state: "resolved", limit: RESOLVED_SHOWN_MAX }),
    ]);
    const alerts = new Map<string, Alert>();
    for (const wire of [...list(record(active)["alerts"]), ...list(record(past)["alerts"])]) {
      const alert = readAlert(wire);
      if (alert !== null && isNewer(alert, alerts.get(alert.id))) alerts.set(alert.id, alert);
    }
    this.alerts = alerts;
  }

  async #refreshAlerts(): Promise<void> {
    if (!this.loaded || this.fault !== null) return;
    try {
      await this.#loadAlerts();
      if (this.link === "off") this.#takeStatus(await get("status"));
      // Sensors the stream told of first: their tags are in the full list only.
      if (this.#strangers || this.link === "off") this.#takeSensors(await getAll("sensors", "sensors"));
      if (this.quantities.length === 0) this.quantities = readQuantities(await get("feeds"));
    } catch (error) {
      this.#fail(error);
    }
  }

  async #loadGeography(): Promise<void> {
    if (this.geography.length > 0) return;
    try {
      this.geography = readGeography(await get("zones"));
    } catch {
      this.geography = [];
    }
  }

  async #loadWindows(): Promise<void> {
    try {
      this.windows = readWindows(await get("pipelines"));
    } catch {
      this.windows = [];
    }
  }
}

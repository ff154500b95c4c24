// A stand-in for the service while the console is being made: the HTTP API with an invented city, and the built page.
//
//   node mock/server.mjs [--port 8090] [--mode normal|empty|slow|down] [--dist dist]
//
// `empty` has no data at all, `slow` answers after three seconds, `down` answers 503 to every request but the page.
// `kill -USR1` switches between normal and down, to watch the console reconnect.

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { alertsAt, endedAlert, PIPELINES, suddenAlert } from "./alerts.mjs";
import { FEEDS, quantitiesOf, SENSORS, value, zones } from "./city.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8090" },
    mode: { type: "string", default: "normal" },
    dist: { type: "string", default: fileURLToPath(new URL("../dist", import.meta.url)) },
  },
});
let mode = options.mode;
process.on("SIGUSR1", () => (mode = mode === "down" ? "normal" : "down"));

const started = Date.now();
const alerts = new Map(alertsAt(started).map((alert) => [alert.id, alert]));
const iso = (ms) => new Date(ms).toISOString();
const sensors = () => (mode === "empty" ? [] : SENSORS);
const known = () => (mode === "empty" ? [] : [...alerts.values()]);
const lastTime = (sensor, now) => now - ((now + sensor.id * 137) % sensor.every);
// One station stopped an hour ago, so that "no recent data" can be seen.
const silent = (sensor) => sensor.name === "aire-00020";

function status(now) {
  return {
    version: "0.1.0", ready: true, started_at: iso(started), now: iso(now),
    events_per_second: mode === "empty" ? 0 : 6.9 + Math.sin(now / 7000), events: Math.floor((now - started) / 100),
    sensors: sensors().length, alerts_firing: known().filter((alert) => alert.state === "firing").length,
    quarantined: 3, journal_bytes: 123_456_789, zone: "America/Bogota", languages: ["es", "en"],
  };
}

function readingsOf(sensor, time) {
  return quantitiesOf(sensor).map(({ name, unit }) => ({ quantity: name, unit, value: value(sensor, name, time), event_at: iso(time) }));
}

function sensorOf(sensor, now) {
  const time = silent(sensor) ? now - 3_600_000 : lastTime(sensor, now);
  const { id, name, feed, zone, latitude, longitude } = sensor;
  return {
    id, name, feed, tags: { zone }, latitude, longitude,
    last_event_at: iso(time), last_arrived_at: iso(time + 400), readings: readingsOf(sensor, time),
  };
}

function readings(query, now) {
  const sensor = sensors().find(({ name }) => name === query.get("sensor"));
  if (sensor === undefined) return { rows: [], truncated: false };
  const limit = Number(query.get("limit") ?? 1000);
  const quantity = query.get("quantity");
  const to = Math.min(now, Date.parse(query.get("to") ?? iso(now)));
  const from = Date.parse(query.get("from") ?? iso(to - 3_600_000));
  const rows = [];
  for (let time = lastTime(sensor, to); time >= from && rows.length < limit; time -= sensor.every) {
    rows.push({ time: iso(time), sensor: sensor.name, feed: sensor.feed, quantity, value: value(sensor, quantity, time) });
  }
  return { rows: rows.reverse(), truncated: rows.length >= limit };
}

const MINUTES = { "1h": 60, "15m": 15, "10m": 10, "1m": 1 };

function aggregates(query, now) {
  const plan = PIPELINES.flatMap(({ windows }) => windows).find(({ name }) => name === query.get("window"));
  const sensor = sensors().find(({ name, zone }) => name === query.get("sensor") || zone === query.get("key.zone"));
  if (plan === undefined || sensor === undefined) return { rows: [], truncated: false };
  const [size, slide] = [MINUTES[plan.size] * 60_000, MINUTES[plan.slide] * 60_000];
  const quantity = plan.name.startsWith("pm25") ? "pm25" : "level_cm";
  const rows = [];
  const from = Date.parse(query.get("from"));
  for (let start = Math.ceil(from / slide) * slide; start + size <= now; start += slide) {
    const parts = Array.from({ length: 20 }, (_, part) => value(sensor, quantity, start + (part * size) / 20));
    const mean = parts.reduce((sum, part) => sum + part, 0) / parts.length;
    const all = { pm25_mean: mean, pm25_max: Math.max(...parts), level_mean: mean, level_max: Math.max(...parts) };
    const fields = Object.fromEntries(plan.fields.map((field) => [field, all[field]]));
    rows.push({ time: iso(start), end: iso(start + size), window: plan.name, key: { sensor: sensor.name }, revision: 1, count: 360, capture: 1, fields });
  }
  return { rows, truncated: false };
}

function alertList(query) {
  const state = query.get("state") ?? "all";
  return { alerts: known().filter((alert) => state === "all" || alert.state === state).reverse() };
}

/** The answer to a path, or undefined. */
function answer(path, query) {
  const now = Date.now();
  switch (path) {
    case "status": return status(now);
    case "sensors": return { sensors: sensors().map((sensor) => sensorOf(sensor, now)), next: null };
    case "readings": return readings(query, now);
    case "aggregates": return aggregates(query, now);
    case "alerts": return alertList(query);
    case "pipelines": return { pipelines: mode === "empty" ? [] : PIPELINES };
    case "feeds": return { feeds: mode === "empty" ? [] : FEEDS.map((feed) => ({ ...feed, source: "listener", connected: true, observed: true, last_arrived_at: iso(now) })) };
    case "zones": return mode === "empty" ? { type: "FeatureCollection", features: [] } : zones();
    default: return undefined;
  }
}

function live(request, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let sequence = 0;
  const send = (name, data) => response.write(`id: ${(sequence += 1)}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  const sent = new Map(sensors().map((sensor) => [sensor.name, lastTime(sensor, Date.now())]));
  const timer = setInterval(() => {
    if (mode === "down") return response.end();
    const now = Date.now();
    send("status", status(now));
    for (const sensor of sensors()) {
      const time = lastTime(sensor, now);
      if (silent(sensor) || sent.get(sensor.name) === time) continue;
      sent.set(sensor.name, time);
      const { name, feed, latitude, longitude } = sensor;
      send("reading", { sensor: name, feed, event_at: iso(time), latitude, longitude, readings: readingsOf(sensor, time) });
    }
    const change = suddenChange(now);
    if (change !== null) send("alert", change);
  }, 1000);
  request.on("close", () => clearInterval(timer));
}

/** Half a minute after the start an alert fires; a minute later it ends. */
function suddenChange(now) {
  if (mode === "empty") return null;
  const fired = alerts.get("9fff");
  if (fired === undefined && now - started > 30_000) alerts.set("9fff", suddenAlert(now));
  else if (fired?.state === "firing" && now - started > 90_000) alerts.set("9fff", endedAlert(fired, now));
  else return null;
  return alerts.get("9fff");
}

function json(response, code, body) {
  response.writeHead(code, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

function file(path, response) {
  const wanted = join(options.dist, normalize(path === "/" ? "/index.html" : path));
  if (!wanted.startsWith(options.dist) || !existsSync(wanted)) return json(response, 404, { error: { code: "not_found" } });
  response.writeHead(200, { "content-type": TYPES[extname(wanted)] ?? "application/octet-stream" });
  createReadStream(wanted).pipe(response);
}

createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  if (!url.pathname.startsWith("/api/v1/")) return file(url.pathname, response);
  if (mode === "down") {
    return json(response, 503, { error: { code: "not_ready", message: "the service is starting", remedy: "" } });
  }
  const path = url.pathname.slice("/api/v1/".length);
  if (path === "live") return live(request, response);
  const body = answer(path, url.searchParams);
  const reply = () => json(response, body === undefined ? 404 : 200, body ?? { error: { code: "not_found", message: path, remedy: "" } });
  return mode === "slow" ? setTimeout(reply, 3000) : reply();
}).listen(Number(options.port), "127.0.0.1", () => console.log(`mock service on http://127.0.0.1:${options.port}/ (${mode})`));

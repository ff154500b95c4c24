// An invented city for the mock server: ten comunas along a river, sensors, and values as a pure function of sensor and
// time, so that every page load sees the same day. Nothing here is a measurement.

const CENTRE = { longitude: -75.57, latitude: 6.25 };
const COLUMNS = 2;
const ROWS = 5;
const WIDE = 0.052;
const HIGH = 0.024;
const HOUR = 3_600_000;
const NAMES = [
  "El Mirador", "La Ladera", "San Telmo", "Los Guayacanes", "La Candelilla",
  "Puerto Sereno", "El Samán", "Las Brisas", "Villa Niebla", "La Quebrada",
];
const BARRIOS = ["Alto", "Bajo", "Central", "Nuevo"];

/** A number in [0, 1) out of a text, always the same one. */
export function chance(text) {
  let hash = 2166136261;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507);
  hash = Math.imul(hash ^ (hash >>> 13), 3266489909);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

const zoneTag = (index) => `comuna-${String(index + 1).padStart(2, "0")}`;

/** A point of the city: u from west (0) to east (2), v from north (0) to south (5), bent like a valley. */
function at(u, v) {
  const bend = 0.009 * Math.sin(v * 1.15 + 0.4) + 0.003 * Math.sin(v * 2.9);
  const ragged = u > 0.01 && u < 1.99 ? 0 : 0.005 * Math.sin(v * 5.3 + u * 7) + 0.003 * Math.sin(v * 11);
  const widens = 1 + 0.16 * Math.sin(v * 0.62);
  const longitude = CENTRE.longitude + (u - COLUMNS / 2) * WIDE * widens * 0.72 + bend + ragged;
  const latitude = CENTRE.latitude - (v - ROWS / 2) * HIGH + 0.0025 * Math.sin(u * 3.3 + v * 1.7);
  return [Number(longitude.toFixed(6)), Number(latitude.toFixed(6))];
}

function edge(from, to, steps = 14) {
  return Array.from({ length: steps }, (_, step) => {
    const part = step / steps;
    return at(from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part);
  });
}

function cell(u, v, wide, high) {
  const corners = [[u, v], [u + wide, v], [u + wide, v + high], [u, v + high]];
  const ring = corners.flatMap((corner, index) => edge(corner, corners[(index + 1) % 4]));
  return [[...ring, ring[0]]];
}

const feature = (type, coordinates, properties) => ({ type: "Feature", properties, geometry: { type, coordinates } });
const line = (points) => points.flatMap((point, index) => (index === 0 ? [] : edge(points[index - 1], point, 20)));

/** The basemap, as `GET /api/v1/zones` gives it. */
export function zones() {
  const features = [];
  for (let index = 0; index < COLUMNS * ROWS; index += 1) {
    const [u, v] = [index % COLUMNS, Math.floor(index / COLUMNS)];
    features.push(feature("Polygon", cell(u, v, 1, 1), { zone: zoneTag(index), name: NAMES[index], kind: "comuna" }));
    BARRIOS.forEach((name, part) => {
      const shape = cell(u + (part % 2) * 0.5, v + Math.floor(part / 2) * 0.5, 0.5, 0.5);
      features.push(feature("Polygon", shape, { zone: zoneTag(index), name: `${NAMES[index]} ${name}`, kind: "barrio" }));
    });
  }
  features.push(feature("LineString", line([[1.0, -0.25], [1.0, 1], [1.0, 2.2], [1.0, 3.6], [1.0, 5.25]]), { kind: "river", name: "Río Sereno" }));
  features.push(feature("LineString", line([[0.2, 0.2], [0.55, 2], [0.72, 3.4], [0.4, 4.9]]), { kind: "road", name: "Avenida del Occidente" }));
  features.push(feature("LineString", line([[1.75, 0.1], [1.4, 1.6], [1.3, 3], [1.62, 4.9]]), { kind: "road", name: "Avenida Oriental" }));
  features.push(feature("LineString", line([[0.02, 1.6], [0.6, 1.5], [1.4, 1.6], [1.97, 1.4]]), { kind: "road", name: "Calle 50" }));
  features.push(feature("LineString", line([[0.03, 3.6], [0.7, 3.4], [1.3, 3.1], [1.96, 3.3]]), { kind: "road", name: "Calle 10" }));
  return { type: "FeatureCollection", features };
}

const quantity = (name, unit, es, en) => ({ name, unit, label: { es, en } });

/** The feeds with what they measure. */
export const FEEDS = [
  { name: "air", topic: "ciudad/+/aire/+", decoder: "json", quantities: [
    quantity("pm25", "ug/m3", "Material particulado PM2,5", "Particulate matter PM2.5"),
    quantity("pm10", "ug/m3", "Material particulado PM10", "Particulate matter PM10"),
    quantity("temp", "Cel", "Temperatura", "Temperature"),
    quantity("hum", "%", "Humedad relativa", "Relative humidity"),
  ] },
  { name: "river", topic: "v3/+/devices/+/up", decoder: "ttn-v3", quantities: [
    quantity("level_cm", "cm", "Nivel del río", "River level"),
    quantity("rain_mm", "mm", "Lluvia", "Rain"),
  ] },
  { name: "parking", topic: "ciudad/+/parqueo/+", decoder: "senml", quantities: [
    quantity("free", "count", "Cupos libres de parqueo", "Free parking spaces"),
  ] },
  { name: "noise", topic: "ciudad/+/ruido/+", decoder: "scalar", quantities: [
    quantity("noise", "dB(A)", "Ruido", "Noise"),
  ] },
];

const KINDS = [
  { feed: "air", prefix: "aire-", digits: 5, count: 46, every: 10_000 },
  { feed: "river", prefix: "rio-", digits: 2, count: 6, every: 60_000 },
  { feed: "parking", prefix: "parqueo-", digits: 3, count: 14, every: 30_000 },
  { feed: "noise", prefix: "ruido-", digits: 3, count: 18, every: 10_000 },
];

/** Every sensor with its place. */
export const SENSORS = KINDS.flatMap(({ feed, prefix, digits, count, every }) =>
  Array.from({ length: count }, (_, index) => {
    const name = prefix + String(index + 1).padStart(digits, "0");
    const along = feed === "river";
    const u = along ? 1 + (chance(`${name}u`) - 0.5) * 0.05 : 0.08 + chance(`${name}u`) * 1.84;
    const v = along ? 0.25 + (index * 4.6) / count : 0.08 + chance(`${name}v`) * 4.84;
    const [longitude, latitude] = at(u, v);
    const zone = zoneTag(Math.floor(v) * COLUMNS + Math.floor(u));
    return { id: feed.length * 1000 + index, name, feed, every, zone, longitude, latitude };
  }),
);

const wave = (text, time, period, size) => size * Math.sin((2 * Math.PI * time) / period + chance(text) * 6.28);
const peak = (hour, middle, width) => Math.exp(-(((((hour - middle + 36) % 24) - 12) ** 2) / width));

/** The value of a quantity of a sensor at a time. */
export function value(sensor, name, time) {
  const hour = ((time - 5 * HOUR) / HOUR) % 24;
  const own = chance(sensor.name);
  const rush = peak(hour, 7.5, 5) + 0.8 * peak(hour, 18.5, 6);
  const drift = wave(`${sensor.name}a`, time, 2.3 * HOUR, 1) + wave(`${sensor.name}b`, time, 0.37 * HOUR, 0.6);
  const jitter = chance(`${sensor.name}${name}${Math.floor(time / 10_000)}`) - 0.5;
  const pm25 = Math.max(1, 7 + 26 * own ** 1.6 + rush * (8 + 18 * own) + 3 * drift + 4 * jitter);
  switch (name) {
    case "pm25": return round(pm25);
    case "pm10": return round(pm25 * 1.7 + 6 + 5 * jitter);
    case "temp": return round(17.5 + 6 * peak(hour, 14, 30) + 2 * own + 0.3 * drift + 0.2 * jitter);
    case "hum": return Math.round(84 - 24 * peak(hour, 14, 30) - 5 * own + 2 * jitter);
    case "level_cm": return round(140 + 90 * own + 70 * peak(hour, 16, 7) + 22 * drift + 2 * jitter);
    case "rain_mm": return round(Math.max(0, 2.2 * peak(hour, 15, 3) + 0.4 * jitter));
    case "free": return Math.max(0, Math.round(46 * (1 - 0.8 * rush) + 8 * drift + 6 * own));
    case "noise": return round(56 + 9 * own + 6 * rush + 1.2 * drift + 5 * jitter);
    default: return null;
  }
}

/** The quantities of a sensor. */
export function quantitiesOf(sensor) {
  return FEEDS.find((feed) => feed.name === sensor.feed).quantities;
}

const round = (number) => Number(number.toFixed(1));

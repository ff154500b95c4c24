// The alerts of the mock server: some that fire, some that ended, and one that comes and goes while the page is open.

const MINUTE = 60_000;
const iso = (ms) => (ms === null ? null : new Date(ms).toISOString());

const RULES = {
  "river-high": {
    pipeline: "river-watch", severity: "critical",
    title: { es: "Río por encima del nivel de desborde", en: "River above its overflow level" },
  },
  "air-high": {
    pipeline: "air-quality", severity: "warning",
    title: { es: "PM2,5 alto y sostenido", en: "PM2.5 high and sustained" },
  },
  "noise-night": {
    pipeline: "noise", severity: "info",
    title: { es: "Ruido por encima de lo habitual", en: "Noise above the usual" },
  },
  "requests-burst": {
    pipeline: "citizen-requests", severity: "warning",
    title: { es: "Muchas solicitudes de alumbrado en la zona", en: "Many street-light requests in the zone" },
  },
};

function alert(id, rule, key, message, value, startedAt, resolvedAt = null) {
  const raisedAt = startedAt + 2 * MINUTE;
  const steps = [
    { from: "inactive", to: "pending", at: startedAt, cause: "condition met" },
    { from: "pending", to: "firing", at: raisedAt, cause: "condition held" },
  ];
  if (resolvedAt !== null) steps.push({ from: "firing", to: "resolved", at: resolvedAt, cause: "condition cleared" });
  const { pipeline, severity, title } = RULES[rule];
  return {
    id, pipeline, rule, severity, key, labels: {}, title, message, value,
    state: resolvedAt === null ? "firing" : "resolved",
    started_at: iso(startedAt), raised_at: iso(raisedAt), resolved_at: iso(resolvedAt),
    decided_at: iso(resolvedAt ?? raisedAt),
    transitions: steps.map((step) => ({ ...step, at: iso(step.at), decided_at: iso(step.at + 900) })),
  };
}

const river = (level) => ({
  es: `El nivel llegó a ${level} cm y sigue subiendo. Umbral local: 280 cm.`,
  en: `The level reached ${level} cm and is still rising. Local threshold: 280 cm.`,
});
const air = (mean) => ({
  es: `El promedio de la última hora es ${String(mean).replace(".", ",")} µg/m³, por encima de 37 µg/m³.`,
  en: `The mean of the last hour is ${mean} µg/m³, above 37 µg/m³.`,
});

/** The alerts as of `start`. */
export function alertsAt(start) {
  const ago = (minutes) => start - minutes * MINUTE;
  return [
    alert("9f01", "river-high", { sensor: "rio-04" }, river(312), { level_cm: 312 }, ago(14)),
    alert("9f02", "air-high", { sensor: "aire-00042" }, air(46.2), { pm25_mean: 46.2 }, ago(52)),
    alert("9f03", "requests-burst", { zone: "comuna-06" }, {
      es: "23 solicitudes en 30 minutos; lo usual a esta hora son 4.",
      en: "23 requests in 30 minutes; 4 is usual at this hour.",
    }, { count: 23 }, ago(31)),
    alert("9f04", "noise-night", { sensor: "ruido-007" }, {
      es: "LAeq de 15 minutos: 68,4 dB(A). Resultado indicativo.",
      en: "15-minute LAeq: 68.4 dB(A). Indicative result.",
    }, { noise_laeq: 68.4 }, ago(8)),
    alert("9e01", "air-high", { sensor: "aire-00011" }, air(39.8), { pm25_mean: 39.8 }, ago(190), ago(122)),
    alert("9e02", "river-high", { sensor: "rio-02" }, river(284), { level_cm: 284 }, ago(420), ago(365)),
    alert("9e03", "noise-night", { sensor: "ruido-012" }, { es: "LAeq: 66,1 dB(A).", en: "LAeq: 66.1 dB(A)." }, { noise_laeq: 66.1 }, ago(700), ago(660)),
  ];
}

/** An alert that fires now. */
export function suddenAlert(now) {
  return alert("9fff", "air-high", { sensor: "aire-00005" }, air(41.3), { pm25_mean: 41.3 }, now - 2 * MINUTE);
}

/** The same alert, resolved. */
export function endedAlert(fired, now) {
  const step = { from: "firing", to: "resolved", at: iso(now), decided_at: iso(now), cause: "condition cleared" };
  return { ...fired, state: "resolved", resolved_at: iso(now), decided_at: iso(now), transitions: [...fired.transitions, step] };
}

/** The pipelines behind the alerts. */
export const PIPELINES = [
  {
    name: "air-quality", feeds: ["air"],
    title: { es: "Calidad del aire", en: "Air quality" }, description: { es: "", en: "" },
    windows: [
      { name: "pm25_1h", by: ["sensor"], size: "1h", slide: "1h", fields: ["pm25_mean", "pm25_max"], units: { pm25_mean: "ug/m3" } },
      { name: "pm25_zone_15m", by: ["zone"], size: "15m", slide: "15m", fields: ["pm25_mean"], units: { pm25_mean: "ug/m3" } },
    ],
    rules: [{ name: "air-high", severity: "warning", when: "pm25_mean > 37", clear: "pm25_mean < 33", for: "2m", title: RULES["air-high"].title }],
  },
  {
    name: "river-watch", feeds: ["river"],
    title: { es: "Vigilancia del río", en: "River watch" }, description: { es: "", en: "" },
    windows: [{ name: "level_10m", by: ["sensor"], size: "10m", slide: "1m", fields: ["level_max", "level_mean"], units: {} }],
    rules: [{ name: "river-high", severity: "critical", when: "level_cm > 280", clear: "level_cm < 265", for: "2m", title: RULES["river-high"].title }],
  },
];

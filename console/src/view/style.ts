// The MapLibre style: two GeoJSON sources, the city and the sensors, whose features carry their own colours.
// A change of theme, alert or reading is then new data, never a new style. No symbol layers: they need fonts from a server.

import type { Feature as GeoFeature, FeatureCollection } from "geojson";
import type { LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { Severity } from "../model/alert";
import type { Dot } from "../model/dot";
import type { Feature } from "../model/geography";
import { lineOf, type Palette } from "./theme.svelte";

/** The layer that answers to the pointer. */
export const SENSOR_LAYER = "sensor";

/** The whole style with its first data. */
export function styleOf(
  geography: readonly Feature[],
  alertingZones: ReadonlyMap<string, Severity>,
  palette: Palette,
  dots: readonly Dot[],
  chosen: string | null,
): StyleSpecification {
  return {
    version: 8,
    sources: {
      city: { type: "geojson", data: cityData(geography, alertingZones, palette) },
      sensors: { type: "geojson", data: sensorData(dots, chosen, palette) },
    },
    layers: [...cityLayers(palette), ...sensorLayers()],
  };
}

/** The city as GeoJSON with colours; a zone with an alert comes twice, the second time with `severity`. */
export function cityData(
  geography: readonly Feature[],
  alertingZones: ReadonlyMap<string, Severity>,
  palette: Palette,
): FeatureCollection {
  const order: readonly string[] = ["zone", "barrio", "road", "water", "other"];
  const features = geography.flatMap((feature) => {
    const line = lineOf(feature.kind, palette);
    const look: Record<string, unknown> = { line: line.colour, width: line.width, order: order.indexOf(feature.kind) };
    if (feature.closed && feature.kind === "zone") look["fill"] = palette.zone;
    if (feature.closed && feature.kind === "water") look["fill"] = palette.water;
    const severity = feature.kind === "zone" ? alertingZones.get(feature.zone) : undefined;
    const drawn = shaped(feature, look);
    return severity === undefined ? [drawn] : [drawn, shaped(feature, { severity: palette.severity[severity] })];
  });
  return { type: "FeatureCollection", features };
}

/** The dots as GeoJSON with colours and radii. */
export function sensorData(dots: readonly Dot[], chosen: string | null, palette: Palette): FeatureCollection {
  const features = dots.map((dot): GeoFeature => ({
    type: "Feature",
    geometry: { type: "Point", coordinates: [dot.longitude, dot.latitude] },
    properties: {
      name: dot.name,
      radius: dot.radius,
      colour: dot.colour ?? palette.hollow,
      line: dot.colour === null ? palette.axis : palette.dotLine,
      chosen: dot.name === chosen,
      chosenColour: palette.chosen,
      ...(dot.ring === null ? {} : { ring: palette.severity[dot.ring] }),
    },
  }));
  return { type: "FeatureCollection", features };
}

function shaped(feature: Feature, properties: Record<string, unknown>): GeoFeature {
  const lines = feature.paths.map((path) => path.map(([longitude, latitude]) => [longitude, latitude]));
  return {
    type: "Feature",
    properties,
    geometry: feature.closed
      ? { type: "Polygon", coordinates: lines }
      : { type: "MultiLineString", coordinates: lines },
  };
}

function cityLayers(palette: Palette): LayerSpecification[] {
  return [
    { id: "ground", type: "background", paint: { "background-color": palette.ground } },
    {
      id: "city-fill",
      type: "fill",
      source: "city",
      filter: ["has", "fill"],
      paint: { "fill-color": ["get", "fill"], "fill-antialias": true },
    },
    {
      id: "city-line",
      type: "line",
      source: "city",
      filter: ["!", ["has", "severity"]],
      layout: { "line-join": "round", "line-cap": "round", "line-sort-key": ["get", "order"] },
      paint: { "line-color": ["get", "line"], "line-width": ["get", "width"] },
    },
    {
      id: "zone-alert-fill",
      type: "fill",
      source: "city",
      filter: ["has", "severity"],
      paint: { "fill-color": ["get", "severity"], "fill-opacity": 0.13 },
    },
    {
      id: "zone-alert-line",
      type: "line",
      source: "city",
      filter: ["has", "severity"],
      paint: { "line-color": ["get", "severity"], "line-width": 2.5, "line-dasharray": [3, 1.6] },
    },
  ];
}

function sensorLayers(): LayerSpecification[] {
  return [
    {
      id: "sensor-chosen",
      type: "circle",
      source: "sensors",
      filter: ["get", "chosen"],
      paint: {
        "circle-radius": ["+", ["get", "radius"], 11],
        "circle-color": ["get", "chosenColour"],
        "circle-opacity": 0.18,
        "circle-stroke-color": ["get", "chosenColour"],
        "circle-stroke-width": 2,
      },
    },
    {
      id: "sensor-ring",
      type: "circle",
      source: "sensors",
      filter: ["has", "ring"],
      paint: {
        "circle-radius": ["+", ["get", "radius"], 3.5],
        "circle-opacity": 0,
        "circle-stroke-color": ["get", "ring"],
        "circle-stroke-width": 3.5,
      },
    },
    {
      id: SENSOR_LAYER,
      type: "circle",
      source: "sensors",
      paint: {
        "circle-radius": ["get", "radius"],
        "circle-color": ["get", "colour"],
        "circle-stroke-color": ["get", "line"],
        "circle-stroke-width": 1.4,
      },
    },
  ];
}

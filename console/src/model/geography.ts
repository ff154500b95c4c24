// The basemap: comunas, barrios, water and roads out of the service's GeoJSON, with the few measures a map needs.

import { list, number, record, text } from "./wire";

/** Longitude, latitude: the order of GeoJSON. */
export type Position = readonly [number, number];

/** What a feature of the basemap is. */
export type FeatureKind = "zone" | "barrio" | "water" | "road" | "other";

/** One feature as lines; a closed one is a ring of a polygon. */
export interface Feature {
  readonly kind: FeatureKind;
  /** The tag of a zone; "" for everything else. */
  readonly zone: string;
  readonly name: string;
  readonly closed: boolean;
  readonly paths: readonly (readonly Position[])[];
}

/** West, south, east, north, degrees. */
export type Bounds = readonly [number, number, number, number];

const KINDS: Readonly<Record<string, FeatureKind>> = {
  zone: "zone", comuna: "zone", corregimiento: "zone",
  barrio: "barrio", vereda: "barrio", neighbourhood: "barrio",
  river: "water", rio: "water", water: "water", stream: "water", quebrada: "water",
  road: "road", roads: "road", via: "road", street: "road", highway: "road",
};

/** Reads a GeoJSON FeatureCollection; what it does not know it leaves out. */
export function readGeography(wire: unknown): Feature[] {
  return list(record(wire)["features"]).flatMap((item) => {
    const from = record(item);
    const properties = record(from["properties"]);
    const shape = readShape(record(from["geometry"]));
    if (shape === null) return [];
    const zone = text(properties["zone"]);
    const named = KINDS[text(properties["kind"])];
    const kind: FeatureKind = named ?? (shape.closed && zone !== "" ? "zone" : "other");
    return [{ kind, zone: kind === "zone" ? zone : "", name: text(properties["name"]), ...shape }];
  });
}

/** The box around every position; null if there is none. */
export function boundsOf(positions: Iterable<Position>): Bounds | null {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [longitude, latitude] of positions) {
    west = Math.min(west, longitude);
    east = Math.max(east, longitude);
    south = Math.min(south, latitude);
    north = Math.max(north, latitude);
  }
  return west <= east ? [west, south, east, north] : null;
}

/** Every position of the features, in order. */
export function positionsOf(features: readonly Feature[]): Position[] {
  return features.flatMap((feature) => feature.paths.flat());
}

/** The centre of gravity of a feature's outer ring, where its name is written. */
export function centreOf(feature: Feature): Position | null {
  const ring = feature.paths[0] ?? [];
  let [area, x, y] = [0, 0, 0];
  ring.forEach((from, index) => {
    const to = ring[(index + 1) % ring.length] ?? from;
    const cross = from[0] * to[1] - to[0] * from[1];
    area += cross;
    x += (from[0] + to[0]) * cross;
    y += (from[1] + to[1]) * cross;
  });
  return area === 0 ? (ring[0] ?? null) : [x / (3 * area), y / (3 * area)];
}

function readShape(geometry: Readonly<Record<string, unknown>>): { closed: boolean; paths: Position[][] } | null {
  const coordinates = list(geometry["coordinates"]);
  switch (geometry["type"]) {
    case "Polygon":
      return { closed: true, paths: coordinates.map(readPath) };
    case "MultiPolygon":
      return { closed: true, paths: coordinates.flatMap((polygon) => list(polygon).map(readPath)) };
    case "LineString":
      return { closed: false, paths: [readPath(coordinates)] };
    case "MultiLineString":
      return { closed: false, paths: coordinates.map(readPath) };
    default:
      return null;
  }
}

function readPath(wire: unknown): Position[] {
  return list(wire).flatMap((item) => {
    const [longitude, latitude] = list(item).map(number);
    return typeof longitude === "number" && typeof latitude === "number" ? [[longitude, latitude] as const] : [];
  });
}

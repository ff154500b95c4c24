import { describe, expect, it } from "vitest";
import { nearestTowards, pathOf, Projection } from "../view/projection";
import { boundsOf, centreOf, positionsOf, readGeography } from "./geography";

const square = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]];
const CITY = {
  type: "FeatureCollection",
  features: [
    { properties: { zone: "comuna-01", name: "Uno" }, geometry: { type: "Polygon", coordinates: square } },
    { properties: { zone: "comuna-01", name: "B", kind: "barrio" }, geometry: { type: "MultiPolygon", coordinates: [square] } },
    { properties: { kind: "river" }, geometry: { type: "LineString", coordinates: [[1, -1], [1, 3]] } },
    { properties: { kind: "road" }, geometry: { type: "MultiLineString", coordinates: [[[0, 1], [2, 1]]] } },
    { properties: null, geometry: { type: "Point", coordinates: [9, 9] } },
    { geometry: null },
  ],
};

describe("basemap", () => {
  const features = readGeography(CITY);

  it("tells_comunas_barrios_water_and_roads_apart", () => {
    expect(features.map(({ kind }) => kind)).toEqual(["zone", "barrio", "water", "road"]);
    expect(features.map(({ zone }) => zone)).toEqual(["comuna-01", "", "", ""]);
  });

  it("measures_box_and_centre", () => {
    expect(boundsOf(positionsOf(features))).toEqual([0, -1, 2, 3]);
    expect(boundsOf([])).toBeNull();
    expect(features[0] && centreOf(features[0])).toEqual([1, 1]);
  });

  it("an_empty_collection_is_an_empty_map", () => {
    expect(readGeography({ type: "FeatureCollection", features: [] })).toEqual([]);
    expect(readGeography(undefined)).toEqual([]);
  });
});

describe("plain map", () => {
  const projection = new Projection([0, 0, 2, 2], 100, 100);

  it("puts_north_up_and_the_city_in_the_middle", () => {
    expect(projection.place([0, 2]).y).toBeLessThan(projection.place([0, 0]).y);
    const middle = projection.place([1, 1]);
    expect([middle.x, middle.y].map(Math.round)).toEqual([50, 50]);
  });

  it("closes_rings_and_leaves_lines_open", () => {
    const paths = readGeography(CITY).map((feature) => pathOf(feature, projection));
    expect(paths[0]?.endsWith("Z")).toBe(true);
    expect(paths[2]?.endsWith("Z")).toBe(false);
  });

  it("arrow_keys_go_to_the_neighbour_ahead", () => {
    const places = [{ name: "a", x: 0, y: 0 }, { name: "b", x: 10, y: 1 }, { name: "c", x: 8, y: 30 }];
    expect(nearestTowards(places, "a", 1, 0)).toBe("b");
    expect(nearestTowards(places, "a", 0, 1)).toBe("c");
    expect(nearestTowards(places, "a", -1, 0)).toBeNull();
  });
});

// The plain map's geometry: degrees to pixels, features to SVG paths, and the neighbour an arrow key leads to.

import type { Bounds, Feature, Position } from "../model/geography";

/** A point on the screen, pixels. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Part of the frame left free around the city. */
const MARGIN = 0.045;
/** More than any distance on a screen, pixels. */
const BESIDE = 100_000;

/** Plate carrée around one city: east-west is shortened by the cosine of its latitude. */
export class Projection {
  readonly #west: number;
  readonly #north: number;
  readonly #perLongitude: number;
  readonly #perLatitude: number;
  readonly #left: number;
  readonly #top: number;

  /** Fits `bounds` into a frame of `width` by `height` pixels. */
  constructor(bounds: Bounds, width: number, height: number) {
    const [west, south, east, north] = bounds;
    const shortened = Math.cos((((south + north) / 2) * Math.PI) / 180);
    const degreesWide = Math.max((east - west) * shortened, 1e-9);
    const degreesHigh = Math.max(north - south, 1e-9);
    const free = 1 - 2 * MARGIN;
    const pixels = Math.max(0, Math.min((width * free) / degreesWide, (height * free) / degreesHigh));
    this.#west = west;
    this.#north = north;
    this.#perLongitude = pixels * shortened;
    this.#perLatitude = pixels;
    this.#left = (width - degreesWide * pixels) / 2;
    this.#top = (height - degreesHigh * pixels) / 2;
  }

  /** Where a position lies in the frame. */
  place([longitude, latitude]: Position): Point {
    return {
      x: this.#left + (longitude - this.#west) * this.#perLongitude,
      y: this.#top + (this.#north - latitude) * this.#perLatitude,
    };
  }
}

/** The feature as the `d` of an SVG path, to a tenth of a pixel. */
export function pathOf(feature: Feature, projection: Projection): string {
  return feature.paths
    .map((path) => {
      const points = path.map((position) => {
        const { x, y } = projection.place(position);
        return `${x.toFixed(1)} ${y.toFixed(1)}`;
      });
      return points.length === 0 ? "" : `M${points.join("L")}${feature.closed ? "Z" : ""}`;
    })
    .join("");
}

/** The place nearest to `from` in the direction (x, y), preferring what lies straight ahead; null if none does. */
export function nearestTowards(
  places: readonly (Point & { readonly name: string })[],
  from: string,
  x: number,
  y: number,
): string | null {
  const start = places.find((place) => place.name === from);
  if (start === undefined) return null;
  let [best, cost]: [string | null, number] = [null, Infinity];
  for (const place of places) {
    const ahead = (place.x - start.x) * x + (place.y - start.y) * y;
    const aside = Math.abs((place.x - start.x) * y) + Math.abs((place.y - start.y) * x);
    if (place.name === from || ahead <= 0.5) continue;
    // What lies more aside than ahead is the last resort, yet stays within reach.
    const price = ahead + 2 * aside + (aside > ahead ? BESIDE : 0);
    if (price < cost) [best, cost] = [place.name, price];
  }
  return best;
}

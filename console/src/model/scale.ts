// From a value to a colour on the map: the bands of the air quality index where they apply, else five even steps.
// The index's colours and cut points are data, `norms/ica.json`, with their source.

import ica from "../norms/ica.json";

/** A category of the air quality index. */
export type IcaCategory = "good" | "acceptable" | "sensitive" | "harmful" | "very_harmful" | "hazardous";

/** One colour of a scale and the values it covers. */
export interface Band {
  readonly colour: string;
  /** The highest value of the band, included; the last band has Infinity. */
  readonly upTo: number;
  /** Set only where a norm names the band. */
  readonly category: IcaCategory | null;
}

/** The colours of one quantity. */
export interface Scale {
  readonly kind: "ica" | "ramp";
  /** Lowest first. */
  readonly bands: readonly Band[];
}

const RAMP: readonly string[] = ["#d3ebe6", "#97cfcd", "#55a5b4", "#2c7596", "#1c4670"];
const POLLUTANTS: Readonly<Record<string, { unit: string; upper: number[] }>> = ica.pollutants;

/** The scale for a quantity, from the values now on the map. */
export function scaleFor(quantity: string, unit: string, values: readonly number[]): Scale {
  const pollutant = POLLUTANTS[quantity];
  return pollutant !== undefined && pollutant.unit === unit ? icaScale(pollutant.upper) : rampScale(values);
}

/** The position of the value's band in the scale. */
export function bandIndex(scale: Scale, value: number): number {
  // Integer cut points leave gaps (12 to 13), so the norm's look-up rounds first.
  const looked = scale.kind === "ica" ? Math.floor(value + 0.5) : value;
  const index = scale.bands.findIndex((band) => looked <= band.upTo);
  return index === -1 ? scale.bands.length - 1 : index;
}

/** The band of a value; undefined only for a scale without bands. */
export function bandOf(scale: Scale, value: number): Band | undefined {
  return scale.bands[bandIndex(scale, value)];
}

function icaScale(upper: readonly number[]): Scale {
  const last = ica.categories.length - 1;
  const bands = ica.categories.map((category, index) => ({
    colour: category.colour,
    upTo: index === last ? Infinity : (upper[index] ?? Infinity),
    category: category.id as IcaCategory,
  }));
  return { kind: "ica", bands };
}

function rampScale(values: readonly number[]): Scale {
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (!(high > low)) return { kind: "ramp", bands: [{ colour: RAMP[2] ?? "", upTo: Infinity, category: null }] };
  const step = niceStep((high - low) / RAMP.length);
  const first = Math.floor(low / step) * step;
  const bands = RAMP.map((colour, index) => ({
    colour,
    upTo: index === RAMP.length - 1 ? Infinity : rounded(first + step * (index + 1), step),
    category: null,
  }));
  return { kind: "ramp", bands };
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is not under `raw`. */
function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10) * power;
}

function rounded(value: number, step: number): number {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(step)));
  return Number(value.toFixed(digits));
}

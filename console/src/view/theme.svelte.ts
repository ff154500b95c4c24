// The colours that canvases need (map and chart); everything else takes its colours from app.css.
// Follows the light or dark preference of the computer while the page is open.

import type { FeatureKind } from "../model/geography";

/** Colours of the map and the chart for one theme. */
export interface Palette {
  readonly dark: boolean;
  readonly ground: string;
  readonly zone: string;
  readonly zoneLine: string;
  readonly barrioLine: string;
  readonly water: string;
  readonly road: string;
  readonly dotLine: string;
  readonly hollow: string;
  readonly chosen: string;
  readonly severity: Readonly<Record<"info" | "warning" | "critical", string>>;
  readonly axis: string;
  readonly grid: string;
  readonly reading: string;
  readonly aggregate: string;
}

const LIGHT: Palette = {
  dark: false,
  ground: "#e6edee",
  zone: "#f8fafa",
  zoneLine: "#8aa2a9",
  barrioLine: "#d3dfe2",
  water: "#9fcbdc",
  road: "#d9d2c3",
  dotLine: "#21383f",
  hollow: "#f8fafa",
  chosen: "#0b5f68",
  severity: { info: "#8a6a00", warning: "#b45309", critical: "#b3261e" },
  axis: "#4b6068",
  grid: "#e3eaec",
  reading: "#5f9ea8",
  aggregate: "#0b4f58",
};

const DARK: Palette = {
  dark: true,
  ground: "#0c1518",
  zone: "#1d2e35",
  zoneLine: "#5d7b86",
  barrioLine: "#2b4049",
  water: "#2d6580",
  road: "#48504b",
  dotLine: "#eaf3f4",
  hollow: "#1d2e35",
  chosen: "#7fd6d8",
  severity: { info: "#f0d35e", warning: "#ffb066", critical: "#ff8a80" },
  axis: "#9db1b7",
  grid: "#22333a",
  reading: "#5c9aa3",
  aggregate: "#9be3e2",
};

const DARK_QUERY = "(prefers-color-scheme: dark)";

class Theme {
  palette = $state.raw<Palette>(LIGHT);

  /** Takes the theme of the computer and follows it. */
  start(): void {
    const query = matchMedia(DARK_QUERY);
    const take = (): void => void (this.palette = query.matches ? DARK : LIGHT);
    query.addEventListener("change", take);
    take();
  }
}

/** The one theme of the page. */
export const theme = new Theme();

/** The line of a basemap feature. */
export function lineOf(kind: FeatureKind, palette: Palette): { colour: string; width: number } {
  switch (kind) {
    case "zone":
      return { colour: palette.zoneLine, width: 1.4 };
    case "barrio":
      return { colour: palette.barrioLine, width: 0.8 };
    case "water":
      return { colour: palette.water, width: 4.5 };
    case "road":
      return { colour: palette.road, width: 2 };
    case "other":
      return { colour: palette.barrioLine, width: 1 };
  }
}

/** Tells whether the person asked for less movement. */
export function calmMotion(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

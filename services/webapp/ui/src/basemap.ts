import L from "leaflet";
import landData from "./basemap/land.json";
import roadData from "./basemap/roads.json";
import townData from "./basemap/towns.json";
import { place, type Box } from "./labels";
import { colour } from "./theme";

type Line = [lat: number, lng: number][];

const CREDIT = `Map: ${credit("https://www.naturalearthdata.com", "Natural Earth")}, ${credit("https://www.geonames.org", "GeoNames")} (CC BY 4.0)`;

/** Population of the smallest labelled town, by zoom level from 5 on, so that names fit on a screen. */
const SMALLEST = [400_000, 150_000, 80_000, 40_000, 20_000, 8_000, 3_000];
/** Width of a letter in pixels, in the widest common font. */
const LETTER = { city: 7.8, large: 7, small: 6.5 };

export interface Basemap {
  /** Draws the basemap again with the current colours. */
  restyle(): void;
  /** Keeps the towns' names outside these boxes, in pixels of the map. */
  avoid(boxes: Box[]): void;
}

/** Adds coast, roads and towns, from data that is part of the page. */
export function addBasemap(map: L.Map): Basemap {
  pane(map, "land", 200);
  const renderer = L.canvas({ pane: "land", padding: 1 });
  const land = L.polygon(landData.rings.map((ring) => decode(ring, landData.units)), { renderer, interactive: false, attribution: CREDIT });
  const borders = L.polyline(landData.borders.map((line) => decode(line, landData.units)), { renderer, interactive: false });
  const lines = roadData.lines.map((line) => decode(line, roadData.units));
  const casing = L.polyline(lines, { renderer, interactive: false, smoothFactor: 1.5 });
  const road = L.polyline(lines, { renderer, interactive: false, smoothFactor: 1.5 });
  for (const layer of [land, borders, casing, road]) layer.addTo(map);

  const restyle = () => {
    land.setStyle({ color: colour("coast"), weight: 1, fillColor: colour("land"), fillOpacity: 1 });
    borders.setStyle({ color: colour("border"), weight: 1, dashArray: "4 4" });
    const width = Math.min(Math.max((map.getZoom() - 6) * 0.9, 1.2), 8);
    casing.setStyle({ color: colour("road-edge"), weight: width + 2 });
    road.setStyle({ color: colour("road"), weight: width });
  };
  restyle();
  map.on("zoomend", restyle);
  return { restyle, avoid: addTowns(map) };
}

/** Returns a link that opens in a new tab. */
export function credit(address: string, name: string): string {
  return `<a href="${address}" target="_blank" rel="noopener" title="${name}, in a new tab">${name}</a>`;
}

function addTowns(map: L.Map): (boxes: Box[]) => void {
  const towns = townData as [string, number, number, number][];
  const group = L.layerGroup().addTo(map);
  const townPane = pane(map, "towns", 450);
  townPane.setAttribute("aria-hidden", "true");
  let obstacles: Box[] = [];
  const draw = () => {
    group.clearLayers();
    const smallest = SMALLEST[Math.floor(map.getZoom()) - 5] ?? (map.getZoom() < 5 ? Infinity : 0);
    const view = map.getBounds().pad(0.1);
    const wanted = towns.filter(([, lng, lat, people]) => people >= smallest && view.contains([lat, lng]));
    const labels = wanted.map(([name, lng, lat, people]) => ({ ...map.latLngToContainerPoint([lat, lng]), width: name.length * LETTER[rank(people)], height: 15 }));
    const sides = place(labels, 6, ["right", "left", "above"], obstacles);
    wanted.forEach(([name, lng, lat, people], i) => {
      const side = sides[i];
      if (side === undefined) return;
      const icon = L.divIcon({ className: `town ${side} ${rank(people)}`, html: labelled(name), iconSize: [0, 0] });
      L.marker([lat, lng], { icon, pane: "towns", interactive: false, keyboard: false }).addTo(group);
    });
  };
  map.whenReady(draw);
  map.on("moveend resize", draw);
  return (boxes) => {
    const changed = boxes.length !== obstacles.length || boxes.some((box, i) => far(box, obstacles[i]));
    if (!changed) return;
    obstacles = boxes;
    draw();
  };
}

// Reports whether a box has moved by more than a letter's width; smaller moves need no redrawing.
function far(a: Box, b: Box | undefined): boolean {
  return b === undefined || Math.abs(a.left - b.left) + Math.abs(a.top - b.top) + Math.abs(a.right - b.right) > 6;
}

function rank(people: number): keyof typeof LETTER {
  return people >= 250_000 ? "city" : people >= 40_000 ? "large" : "small";
}

function labelled(text: string): HTMLElement {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

export function pane(map: L.Map, name: string, order: number): HTMLElement {
  const element = map.createPane(name);
  element.style.zIndex = String(order);
  element.style.pointerEvents = "none";
  return element;
}

function decode(ints: number[], units: number): Line {
  const line: Line = [];
  let lng = 0;
  let lat = 0;
  for (let i = 0; i + 1 < ints.length; i += 2) {
    lng += ints[i] ?? 0;
    lat += ints[i + 1] ?? 0;
    line.push([lat / units, lng / units]);
  }
  return line;
}

import L from "leaflet";
import { addBasemap, pane, type Basemap } from "./basemap";
import type { Vehicle } from "./fleet";
import { covered, place } from "./labels";
import { arrived, at, distance } from "./motion";
import { colour, onThemeChange, vehicleColour } from "./theme";
import { pieces } from "./trail";
import type { Point } from "./wire";

const BRITAIN: L.LatLngBoundsLiteral = [
  [49.9, -7.5],
  [58.7, 1.8],
];
/** Metres between two points of one journey at most. */
const ONE_JOURNEY = 1_500;
/** Pixels of a letter in the widest of the usual fonts. */
const LETTER = 7.6;
/** Pixels from the middle of a marker to its name. */
const GAP = 15;
const SIDES = ["right", "left", "above", "below"] as const;
/** More names than this are no help. */
const NAMED_AT_MOST = 60;

interface Marker {
  marker: L.Marker;
  root: HTMLElement;
  arrow: SVGElement;
  moving: boolean;
}

/** The map: basemap, vehicles that glide from report to report, and one trail. */
export class FleetMap {
  private readonly map: L.Map;
  private readonly basemap: Basemap;
  private readonly markers = new Map<string, Marker>();
  private readonly trail: L.Polyline;
  private readonly head: L.Polyline;
  private trailOf: string | undefined;
  private zooming = false;
  private followed: string | undefined;
  private goal: Point | undefined;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(
    element: HTMLElement,
    private readonly onSelect: (name: string) => void,
    onDrag: () => void,
  ) {
    this.map = L.map(element, { zoomControl: false, minZoom: 5, maxZoom: 17, zoomSnap: 0.5, attributionControl: false });
    this.map.fitBounds(BRITAIN);
    L.control.attribution({ prefix: '<a href="https://leafletjs.com">Leaflet</a>', position: "bottomright" }).addTo(this.map);
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ position: "bottomright" }).addTo(this.map);
    this.basemap = addBasemap(this.map);
    pane(this.map, "trail", 430);
    const renderer = L.canvas({ pane: "trail", padding: 0.5 });
    this.trail = L.polyline([], { renderer, interactive: false, weight: 4, opacity: 0.85 }).addTo(this.map);
    this.head = L.polyline([], { renderer, interactive: false, weight: 4, opacity: 0.85 }).addTo(this.map);
    onThemeChange(() => this.basemap.restyle());
    this.map.on("zoomstart", () => (this.zooming = true));
    this.map.on("zoomend", () => (this.zooming = false));
    this.map.on("dragstart", onDrag);
    new ResizeObserver(() => this.map.invalidateSize()).observe(element);
  }

  /** Shows all the points, no closer than a town fills the screen. */
  fit(points: Point[]): void {
    if (points.length === 0) return;
    this.map.fitBounds(L.latLngBounds(points.map(({ lat, lng }) => [lat, lng])), { padding: [70, 70], maxZoom: 12, animate: false });
  }

  /** Adds, keeps and removes markers so that they are those of `vehicles`. */
  show(vehicles: Vehicle[], stale: (vehicle: Vehicle) => boolean, selected: string | undefined): void {
    const names = new Set(vehicles.map(({ name }) => name));
    for (const [name, { marker }] of this.markers) {
      if (names.has(name)) continue;
      marker.remove();
      this.markers.delete(name);
    }
    for (const vehicle of vehicles) {
      const entry = this.markers.get(vehicle.name) ?? this.add(vehicle);
      entry.moving = true;
      entry.root.classList.toggle("stale", stale(vehicle));
      entry.root.classList.toggle("selected", vehicle.name === selected);
      entry.marker.setZIndexOffset(vehicle.name === selected ? 1000 : 0);
    }
    this.map.getContainer().classList.toggle("many", vehicles.length > NAMED_AT_MOST);
    this.name(vehicles, selected);
  }

  /** Draws every moving vehicle where it is now. */
  frame(vehicles: Iterable<Vehicle>, now: number): void {
    if (this.zooming) return;
    const view = this.map.getBounds().pad(0.2);
    for (const { name, motion } of vehicles) {
      const entry = this.markers.get(name);
      if (!entry?.moving) continue;
      const here = this.calm.matches ? motion.to : at(motion, now);
      if (name === this.trailOf) this.head.setLatLngs([[motion.from.lat, motion.from.lng], [here.lat, here.lng]]);
      if (!view.contains([here.lat, here.lng]) && !arrived(motion, now)) continue;
      entry.marker.setLatLng([here.lat, here.lng]);
      entry.arrow.style.transform = `rotate(${motion.heading.toFixed(0)}deg)`;
      entry.moving = !arrived(motion, now);
    }
  }

  /** Draws the trail of a vehicle, or none. */
  showTrail(vehicle: Vehicle | undefined, trail: Point[]): void {
    this.trailOf = vehicle?.name;
    if (vehicle === undefined) this.head.setLatLngs([]);
    const style = { color: vehicle ? vehicleColour(vehicle.index) : colour("road") };
    // The last step is the head's, which grows with the vehicle.
    const lines = pieces(trail.slice(0, -1), (a, b) => distance(a, b) > ONE_JOURNEY);
    this.trail.setLatLngs(lines.map((line) => line.map(({ lat, lng }) => L.latLng(lat, lng)))).setStyle(style);
    this.head.setStyle(style);
  }

  /** Goes to a vehicle and keeps it in the middle, undefined lets the map rest. */
  follow(vehicle: Vehicle | undefined): void {
    const first = vehicle !== undefined && this.followed !== vehicle.name;
    this.followed = vehicle?.name;
    if (vehicle === undefined) return;
    if (!first && this.goal === vehicle.motion.to) return;
    this.goal = vehicle.motion.to;
    const { lat, lng } = this.goal;
    if (first) this.map.setView([lat, lng], Math.max(this.map.getZoom(), 13), { animate: false });
    else this.map.panTo([lat, lng], { animate: !this.calm.matches, duration: 1, easeLinearity: 1, noMoveStart: true });
  }

  private add({ name, index, report }: Vehicle): Marker {
    const root = document.createElement("div");
    root.className = "pin";
    root.style.setProperty("--colour", `var(--vehicle-${index % 8})`);
    const arrow = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    arrow.setAttribute("viewBox", "-12 -12 24 24");
    const circle = document.createElementNS(arrow.namespaceURI, "circle");
    circle.setAttribute("r", "10");
    const tip = document.createElementNS(arrow.namespaceURI, "path");
    tip.setAttribute("d", "M0-6 5 5 0 2.5-5 5Z");
    arrow.append(circle, tip);
    const label = document.createElement("span");
    label.className = "name";
    label.textContent = name;
    root.append(arrow as unknown as Node, label);
    const icon = L.divIcon({ className: "vehicle", html: root, iconSize: [24, 24] });
    const marker = L.marker([report.lat, report.lng], { icon, keyboard: false, alt: name }).addTo(this.map);
    marker.on("click", () => this.onSelect(name));
    const entry = { marker, root, arrow: arrow as unknown as SVGElement, moving: true };
    this.markers.set(name, entry);
    return entry;
  }

  // Names where there is room for them, the selected vehicle's first.
  private name(vehicles: Vehicle[], selected: string | undefined): void {
    const view = this.map.getBounds();
    const shown = vehicles.filter(({ motion }) => view.contains([motion.to.lat, motion.to.lng]));
    shown.sort((a, b) => Number(b.name === selected) - Number(a.name === selected));
    const labels = shown.slice(0, NAMED_AT_MOST).map(({ name, motion }) => ({
      ...this.map.latLngToContainerPoint([motion.to.lat, motion.to.lng]),
      width: Math.min(name.length * LETTER + 14, 200),
      height: 22,
    }));
    const sides = place(labels, GAP, [...SIDES]);
    this.basemap.avoid(covered(labels, GAP, sides));
    for (const { root } of this.markers.values()) root.dataset["side"] = "";
    shown.forEach(({ name }, i) => {
      const entry = this.markers.get(name);
      if (entry) entry.root.dataset["side"] = sides[i] ?? "";
    });
  }
}

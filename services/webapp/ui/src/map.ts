import L from "leaflet";
import { addBasemap, credit, pane, type Basemap } from "./basemap";
import { Chooser } from "./chooser";
import type { Vehicle } from "./fleet";
import { group } from "./groups";
import { covered, place } from "./labels";
import { arrived, at, distance } from "./motion";
import { make, setText } from "./panel";
import { colour, onThemeChange, vehicleColour, vehicleVariable } from "./theme";
import { pieces } from "./trail";
import type { Point } from "./wire";

const BRITAIN: L.LatLngBoundsLiteral = [
  [49.9, -7.5],
  [58.7, 1.8],
];
/** Longest distance between two points of one journey, in metres. */
const ONE_JOURNEY = 1_500;
/** Width of a letter in pixels, in the widest common font. */
const LETTER = 7.6;
/** Pixels from the centre of a marker to its name. */
const GAP = 15;
const SIDES = ["right", "left", "above", "below"] as const;
/** Largest number of names shown. */
const NAMED_AT_MOST = 60;
/** Distance in pixels below which markers overlap. */
const NEAR = 14;

interface Marker {
  marker: L.Marker;
  root: HTMLElement;
  arrow: SVGElement;
  count: HTMLElement;
  hint: HTMLElement;
  label: HTMLElement;
  moving: boolean;
  /** The vehicles that the marker shows: its own, or those of the group that it leads, or none. */
  members: Vehicle[];
}

/** The map: basemap, vehicles that move smoothly from report to report, and one trail. */
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
  private readonly chooser: Chooser;
  private vehicles: Vehicle[] = [];
  private selected: string | undefined;

  constructor(
    element: HTMLElement,
    private readonly onSelect: (name: string) => void,
    onDrag: () => void,
  ) {
    this.map = L.map(element, { zoomControl: false, minZoom: 5, maxZoom: 17, zoomSnap: 0.5, attributionControl: false });
    this.map.fitBounds(BRITAIN);
    this.chooser = new Chooser(this.map, onSelect);
    keepCalm(this.map, this.calm);
    L.control.attribution({ prefix: credit("https://leafletjs.com", "Leaflet"), position: "bottomright" }).addTo(this.map);
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ position: "bottomright" }).addTo(this.map);
    this.basemap = addBasemap(this.map);
    pane(this.map, "trail", 430);
    const renderer = L.canvas({ pane: "trail", padding: 0.5 });
    this.trail = L.polyline([], { renderer, interactive: false, weight: 4, opacity: 0.85 }).addTo(this.map);
    this.head = L.polyline([], { renderer, interactive: false, weight: 4, opacity: 0.85 }).addTo(this.map);
    onThemeChange(() => this.basemap.restyle());
    this.map.on("zoomstart", () => (this.zooming = true));
    this.map.on("zoomend", () => {
      this.zooming = false;
      this.arrange();
    });
    this.map.on("dragstart", onDrag);
    new ResizeObserver(() => this.map.invalidateSize()).observe(element);
  }

  /** Zooms to show all points, at most to the size of a town. */
  fit(points: Point[]): void {
    if (points.length === 0) return;
    this.map.fitBounds(L.latLngBounds(points.map(({ lat, lng }) => [lat, lng])), { padding: [70, 70], maxZoom: 12, animate: false });
  }

  /** Updates the markers to those of `vehicles`. */
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
    this.vehicles = vehicles;
    this.selected = selected;
    this.arrange();
  }

  /** Closes the chooser. Returns false if it is not open. */
  closeChooser(): boolean {
    return this.chooser.close();
  }

  /** Draws all moving vehicles at their positions at `now`. */
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
    // The last step is drawn by `head`, which follows the vehicle.
    const lines = pieces(trail.slice(0, -1), (a, b) => distance(a, b) > ONE_JOURNEY);
    this.trail.setLatLngs(lines.map((line) => line.map(({ lat, lng }) => L.latLng(lat, lng)))).setStyle(style);
    this.head.setStyle(style);
  }

  /** Keeps a vehicle in the centre of the map; undefined stops that. */
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
    const root = make("button", "pin");
    root.type = "button";
    root.style.setProperty("--colour", vehicleVariable(index));
    const arrow = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    arrow.setAttribute("viewBox", "-12 -12 24 24");
    const circle = document.createElementNS(arrow.namespaceURI, "circle");
    circle.setAttribute("r", "10");
    const tip = document.createElementNS(arrow.namespaceURI, "path");
    tip.setAttribute("d", "M0-6 5 5 0 2.5-5 5Z");
    arrow.append(circle, tip);
    const count = make("span", "count");
    const hint = make("span", "spoken");
    const label = make("span", "name", name);
    root.append(arrow as unknown as Node, count, hint, label);
    const icon = L.divIcon({ className: "vehicle", html: root, iconSize: [24, 24] });
    const marker = L.marker([report.lat, report.lng], { icon, keyboard: false }).addTo(this.map);
    const entry: Marker = { marker, root, arrow: arrow as unknown as SVGElement, count, hint, label, moving: true, members: [] };
    marker.on("click", () => {
      if (entry.members.length > 1) this.chooser.open(marker.getLatLng(), entry.members, root);
      else this.onSelect(name);
    });
    this.markers.set(name, entry);
    return entry;
  }

  /** Groups the vehicles that overlap at this zoom level, and places the names. */
  private arrange(): void {
    const apart = this.vehicles.filter(({ name }) => name === this.selected);
    const others = this.vehicles.filter(({ name }) => name !== this.selected);
    const spots = others.map(({ motion }) => this.map.latLngToContainerPoint([motion.to.lat, motion.to.lng]));
    // With few vehicles, two at one spot need no group: both names are visible and can be chosen.
    const smallest = this.vehicles.length > NAMED_AT_MOST ? 2 : 3;
    const groups = [...apart.map((vehicle) => [vehicle]), ...group(spots, NEAR, smallest).map((members) => members.map((i) => others[i]!))];
    for (const entry of this.markers.values()) entry.members = [];
    for (const members of groups) {
      const entry = this.markers.get(members[0]!.name);
      if (entry) entry.members = members;
    }
    for (const entry of this.markers.values()) mark(entry);
    this.name(groups.map(([leader]) => leader!));
  }

  // Places names where there is room, the selected vehicle's first.
  private name(leaders: Vehicle[]): void {
    const view = this.map.getBounds();
    const shown = leaders.filter(({ motion }) => view.contains([motion.to.lat, motion.to.lng]));
    const all = shown.map(({ name, motion }) => ({
      ...this.map.latLngToContainerPoint([motion.to.lat, motion.to.lng]),
      width: Math.min((this.markers.get(name)?.label.textContent ?? name).length * LETTER + 14, 200),
      height: 22,
    }));
    const labels = all.slice(0, NAMED_AT_MOST);
    const unnamed = covered(all.slice(NAMED_AT_MOST), GAP, []);
    const sides = place(labels, GAP, [...SIDES], unnamed);
    this.basemap.avoid([...covered(labels, GAP, sides), ...unnamed]);
    for (const { root } of this.markers.values()) root.dataset["side"] = "";
    shown.forEach(({ name }, i) => {
      const entry = this.markers.get(name);
      if (entry) entry.root.dataset["side"] = sides[i] ?? "";
    });
  }
}

/** Draws a marker as a vehicle or as a group. Only a group is in the tab order: a single vehicle is in the list. */
function mark({ root, count, hint, label, members }: Marker): void {
  const [leader] = members;
  // Hide Leaflet's element around it too, which would receive clicks.
  for (const element of [root, root.parentElement!]) element.hidden = leader === undefined;
  if (leader === undefined) return;
  const grouped = members.length > 1;
  root.classList.toggle("group", grouped);
  root.tabIndex = grouped ? 0 : -1;
  root.ariaHidden = grouped ? null : "true";
  setText(count, grouped ? String(members.length) : "");
  setText(hint, grouped ? " vehicles here: " : "");
  setText(label, grouped ? `${leader.name} + ${members.length - 1}` : leader.name);
}

/** Switches the map's animations off while the system asks for reduced motion. Leaflet reads these options at each move. */
function keepCalm(map: L.Map, calm: MediaQueryList): void {
  const { zoomAnimationThreshold, inertia } = map.options;
  Object.defineProperties(map.options, {
    zoomAnimationThreshold: { get: () => (calm.matches ? 0 : zoomAnimationThreshold) },
    inertia: { get: () => !calm.matches && inertia },
  });
  const panBy = map.panBy.bind(map);
  map.panBy = (offset, options) => panBy(offset, calm.matches ? { ...options, animate: false } : options);
}

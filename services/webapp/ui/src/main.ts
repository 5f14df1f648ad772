import "leaflet/dist/leaflet.css";
import "./style.css";
import { driver, history, positions } from "./api";
import { Conditions, type Part } from "./condition";
import { Fleet, type Vehicle } from "./fleet";
import { FleetMap } from "./map";
import { Details, setText, VehicleList, type Row } from "./panel";
import { format, parse } from "./route";
import { badge, banner, driverSpoken, positionsSpoken, trailSpoken, trailText } from "./status";
import { extend, join } from "./trail";
import { message, Watch, type Seen } from "./watch";
import type { Driver, Point } from "./wire";

const POLL_EVERY = 1_000;
/** Milliseconds between two requests for a fresh driver, so that a failure shows on an open panel. */
const DRIVER_EVERY = 10_000;

const fleet = new Fleet();
const conditions = new Conditions();
const place = parse(location.pathname);
let following = place.vehicle !== undefined;
let fitted = false;
/** Time of the positions shown, in milliseconds of the page's clock; undefined before the first. */
let asOf: number | undefined;
/** The state of the latest positions, undefined before the first answer. */
let latest: { state: "fresh" | "last-known" | "placeholder" | "failed"; unreadable: number; reason: string } | undefined;
/** Points of the chosen vehicle that arrived since its trail was requested. */
let since: Point[] = [];
/** The last sentence for a screen reader about each part. */
const spoken = new Map<Part, string>();

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const map = new FleetMap(element("map"), choose, () => setFollowing(false));
const list = new VehicleList(element("list"), element<HTMLInputElement>("filter"), choose, render);
const details = new Details(element("details"), () => setFollowing(!following), close);
const drivers = new Watch<Driver | null>(driver, (seen) => answered("driver", seen), DRIVER_EVERY);
const trails = new Watch<Point[]>(history, (seen) => answered("trail", seen));

/** Opens a vehicle's panel, with the focus in it. */
function choose(name: string): void {
  if (name !== place.vehicle) go(name);
  else setFollowing(true);
  details.focus();
}

/** Closes the panel; the focus goes back to the vehicle in the list. */
function close(): void {
  const name = place.vehicle;
  if (name === undefined) return;
  go(undefined);
  list.focus(name);
}

function go(name: string | undefined): void {
  place.vehicle = name;
  window.history.pushState(null, "", format(place));
  show();
}

/** Shows the vehicle in the page's address. */
function show(): void {
  since = [];
  following = place.vehicle !== undefined;
  map.follow(undefined);
  conditions.clear("driver");
  conditions.clear("trail");
  drivers.choose(place.vehicle);
  trails.choose(place.vehicle);
  if (place.vehicle === undefined) map.fit(fleet.sorted().map(({ motion }) => motion.to));
  render();
}

function setFollowing(on: boolean): void {
  following = on;
  render();
}

function answered(part: Part, { state, reason }: Seen<unknown>): void {
  if (state !== "loading") conditions.set(part, state, Date.now(), reason);
  render();
}

async function poll(): Promise<void> {
  try {
    const { value, fallback, serverTime } = await positions();
    const now = Date.now();
    const recovered = latest?.state === "failed";
    latest = { state: fallback?.kind ?? "fresh", unreadable: value.bad, reason: "" };
    if (fallback?.kind !== "placeholder") {
      asOf = now - (fallback?.age ?? 0);
      const moved = fleet.update(value.good, now, serverTime);
      if (moved.some(({ name }) => name === place.vehicle)) since = extend(since, chosen()!.report);
    }
    if (recovered && place.vehicle !== undefined) reloadTrail();
    if (!fitted && fleet.vehicles.size > 0) {
      fitted = true;
      map.fit(fleet.sorted().map(({ report }) => report));
    }
  } catch (error) {
    latest = { state: "failed", unreadable: 0, reason: message(error) };
  }
  render();
}

/** Requests the trail again, after a failure of the positions left a gap. */
function reloadTrail(): void {
  since = [];
  trails.again();
}

function render(): void {
  const now = Date.now();
  const late = fleet.observe(now);
  const vehicles = fleet.sorted();
  const row = (vehicle: Vehicle): Row => ({ vehicle, age: fleet.age(vehicle.report, now), stale: fleet.isStale(vehicle, now) });
  const rows = vehicles.map(row);
  const vehicle = chosen();
  list.show(rows, place.vehicle);
  map.show(vehicles, (vehicle) => fleet.isStale(vehicle, now), place.vehicle);
  map.showTrail(vehicle, join(trails.seen.value ?? [], since));
  map.follow(following ? vehicle : undefined);
  if (place.vehicle === undefined) details.hide();
  else details.show({ name: place.vehicle, row: vehicle && row(vehicle), fresh: latest?.state === "fresh", following, driver: drivers.seen, note: trailText(trails.seen, now), now });

  if (latest !== undefined) conditions.set("positions", latest.state === "fresh" && late.length > 0 ? "late" : latest.state, now, latest.reason);
  renderStatus(rows.length, late);
}

function renderStatus(vehicles: number, late: Vehicle[]): void {
  const condition = conditions.of("positions");
  const summary = condition ? badge(vehicles, late, condition.state, asOf ?? condition.since) : "";
  write("summary", summary);
  element("summary").dataset["state"] = condition?.state ?? "fresh";
  const known = { positions: asOf, driver: drivers.seen.asOf, trail: trails.seen.asOf };
  write("banner", banner(conditions.degraded(), known, late, latest?.unreadable ?? 0));
  const empty = latest?.state === "fresh" ? "No vehicle is reported." : "Waiting for the first positions…";
  write("empty", vehicles > 0 || latest?.state === "failed" ? "" : empty);
  speak("positions", condition ? positionsSpoken(condition.state) : "");
  speak("driver", driverSpoken(drivers.seen));
  speak("trail", trailSpoken(trails.seen));
}

/** Announces a part to a screen reader, once per change. */
function speak(part: Part, text: string): void {
  if ((spoken.get(part) ?? "") === text) return;
  spoken.set(part, text);
  element("announcer").textContent = text;
}

function chosen(): Vehicle | undefined {
  return place.vehicle === undefined ? undefined : fleet.vehicles.get(place.vehicle);
}

function write(id: string, text: string): void {
  const target = element(id);
  setText(target, text);
  target.hidden = text === "";
}

async function pollForever(): Promise<never> {
  for (;;) {
    const next = new Promise((resolve) => setTimeout(resolve, POLL_EVERY));
    await poll();
    await next;
  }
}

function animate(): void {
  map.frame(fleet.vehicles.values(), Date.now());
  requestAnimationFrame(animate);
}

window.addEventListener("popstate", () => {
  const left = place.vehicle;
  Object.assign(place, parse(location.pathname));
  const inside = details.holdsFocus();
  show();
  if (inside && place.vehicle === undefined && left !== undefined) list.focus(left);
});
window.addEventListener("keydown", (event) => {
  // In the filter, Escape clears the text.
  if (event.key !== "Escape" || event.defaultPrevented || (event.target instanceof HTMLInputElement && event.target.value !== "")) return;
  if (!map.closeChooser()) close();
});
// Ages change while a request is pending.
setInterval(render, POLL_EVERY);
// The server sets the variant's title; the header shows it too.
element("title").textContent = document.title;
if (place.vehicle !== undefined) show();
animate();
void pollForever();

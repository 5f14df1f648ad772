import "leaflet/dist/leaflet.css";
import "./style.css";
import { driver, history, positions } from "./api";
import { Fleet, type Vehicle } from "./fleet";
import { FleetMap } from "./map";
import { Details, VehicleList, type DriverState, type Row } from "./panel";
import { format, parse } from "./route";
import { clockText } from "./text";
import { extend, join } from "./trail";
import type { Point } from "./wire";

const POLL_EVERY = 1_000;
/** A driver that could not be had is asked for again after this. */
const DRIVER_RETRY = 5_000;

const fleet = new Fleet();
const place = parse(location.pathname);
let following = place.vehicle !== undefined;
let trail: Point[] = [];
let note = "";
let fitted = false;
let failing: { since: Date; reason: string } | undefined;
let bad = 0;
// Counts choices, so that an answer for an earlier one is dropped.
let choice = 0;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const map = new FleetMap(element("map"), select, () => setFollowing(false));
const list = new VehicleList(element("list"), element<HTMLInputElement>("filter"), select, render);
const details = new Details(element("details"), () => setFollowing(!following), () => select(undefined));

function select(name: string | undefined): void {
  if (name === place.vehicle) return setFollowing(name !== undefined);
  place.vehicle = name;
  window.history.pushState(null, "", format(place));
  choose();
}

function choose(): void {
  choice++;
  trail = [];
  note = "";
  following = place.vehicle !== undefined;
  map.follow(undefined);
  const name = place.vehicle;
  if (name === undefined) map.fit(fleet.sorted().map(({ motion }) => motion.to));
  else {
    void loadDriver(name, choice);
    void loadTrail(name, choice);
  }
  render();
}

function setFollowing(on: boolean): void {
  following = on;
  render();
}

async function loadDriver(name: string, asked: number): Promise<void> {
  const tell = (state: DriverState) => asked === choice && details.showDriver(state);
  tell({ state: "loading" });
  try {
    const found = await driver(name);
    tell(found === undefined ? { state: "nobody" } : { state: "known", driver: found });
  } catch (error) {
    tell({ state: "failed", reason: message(error) });
    setTimeout(() => asked === choice && void loadDriver(name, asked), DRIVER_RETRY);
  }
}

async function loadTrail(name: string, asked: number): Promise<void> {
  try {
    const known = await history(name);
    if (asked !== choice) return;
    trail = join(known, trail);
  } catch (error) {
    if (asked !== choice) return;
    note = `trail unavailable: ${message(error)}`;
  }
  render();
}

async function poll(): Promise<void> {
  try {
    const answer = await positions();
    failing = undefined;
    bad = answer.bad;
    const moved = fleet.update(answer.good, Date.now(), answer.serverTime);
    if (moved.some(({ name }) => name === place.vehicle)) trail = extend(trail, chosen()!.report);
    if (!fitted && fleet.vehicles.size > 0) {
      fitted = true;
      map.fit(fleet.sorted().map(({ report }) => report));
    }
  } catch (error) {
    failing = { since: failing?.since ?? new Date(), reason: message(error) };
  }
  render();
}

function render(): void {
  const now = Date.now();
  const vehicles = fleet.sorted();
  const row = (vehicle: Vehicle): Row => ({ vehicle, age: fleet.age(vehicle.report, now), stale: fleet.isStale(vehicle, now) });
  const rows = vehicles.map(row);
  const vehicle = chosen();
  list.show(rows, place.vehicle);
  map.show(vehicles, (vehicle) => fleet.isStale(vehicle, now), place.vehicle);
  map.showTrail(vehicle, trail);
  map.follow(following ? vehicle : undefined);
  if (place.vehicle === undefined) details.hide();
  else details.show(place.vehicle, vehicle && row(vehicle), following, note);

  const stale = rows.filter((row) => row.stale).length;
  setText("summary", rows.length === 0 ? "" : `${count(rows.length, "vehicle")}${stale > 0 ? `, ${stale} stale` : " live"}`);
  setText("empty", failing || rows.length > 0 ? "" : fitted ? "No vehicle is reported." : "Waiting for the first positions…");
  setText("banner", banner());
}

function banner(): string {
  if (failing) return `Positions unavailable since ${clockText(failing.since)}: ${failing.reason}`;
  return bad > 0 ? `${count(bad, "report")} in the last answer could not be read` : "";
}

function chosen(): Vehicle | undefined {
  return place.vehicle === undefined ? undefined : fleet.vehicles.get(place.vehicle);
}

function setText(id: string, text: string): void {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
  target.hidden = text === "";
}

function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
  Object.assign(place, parse(location.pathname));
  choose();
});
// Ages and staleness go on while an answer is awaited.
setInterval(render, POLL_EVERY);
// The server writes the variant's title; the header repeats it.
element("title").textContent = document.title;
if (place.vehicle !== undefined) choose();
animate();
void pollForever();

import { describe, expect, it } from "vitest";
import { clockAhead, Fleet, GONE_AFTER, LIVE_AFTER, STALE_AFTER } from "./fleet";
import type { Report } from "./wire";

const T = Date.UTC(2026, 0, 1);
const report = (name: string, time = T, lat = 53): Report => ({ name, lat, lng: -1.5, time, speed: 30 });
const names = (fleet: Fleet) => fleet.sorted().map(({ name, index }) => `${name} ${index}`);

describe("Fleet", () => {
  it("lists vehicles by name, and assigns colours by name when they first appear", () => {
    const fleet = new Fleet();
    fleet.update([report("Village Truck"), report("City Truck")], T);
    fleet.update([report("Alpha"), report("Village Truck"), report("City Truck")], T);
    expect(names(fleet)).toEqual(["Alpha 2", "City Truck 0", "Village Truck 1"]);
  });

  it("sorts numbers in names by value", () => {
    const fleet = new Fleet();
    fleet.update([report("Truck 10"), report("Truck"), report("Truck 9")], T);
    expect(names(fleet)).toEqual(["Truck 0", "Truck 9 1", "Truck 10 2"]);
  });

  it("returns the vehicles with a new report, not those with a repeated one", () => {
    const fleet = new Fleet();
    const moved = (...reports: Report[]) => fleet.update(reports, T).map(({ name }) => name);
    expect(moved(report("A"), report("B"))).toEqual(["A", "B"]);
    expect(moved(report("A"), report("B"))).toEqual([]);
    expect(moved(report("A"), report("B", T + 1000, 53.0001))).toEqual(["B"]);
  });

  it("updates the speed of the same report", () => {
    const fleet = new Fleet();
    fleet.update([{ ...report("A"), speed: null }], T);
    fleet.update([report("A")], T);
    expect(fleet.vehicles.get("A")?.report.speed).toBe(30);
  });

  it("is stale after more than STALE_AFTER", () => {
    const fleet = new Fleet();
    const [a] = fleet.update([report("A")], T);
    expect(fleet.isStale(a!, T + STALE_AFTER)).toBe(false);
    expect(fleet.isStale(a!, T + STALE_AFTER + 1)).toBe(true);
  });

  it("is live after LIVE_AFTER without a late report", () => {
    const fleet = new Fleet();
    const [a] = fleet.update([report("A")], T);
    const live = (now: number) => fleet.observe(now).length === 0;
    expect(live(T + STALE_AFTER)).toBe(true);
    expect(live(T + STALE_AFTER + 1)).toBe(false);
    expect(a?.worstAge).toBe(STALE_AFTER + 1);
    fleet.update([report("A", T + STALE_AFTER + 2)], T + STALE_AFTER + 2);
    expect(live(T + STALE_AFTER + 2)).toBe(false);
    fleet.update([report("A", T + LIVE_AFTER + STALE_AFTER)], T + LIVE_AFTER + STALE_AFTER);
    expect(live(T + LIVE_AFTER + STALE_AFTER + 1)).toBe(false);
    expect(live(T + LIVE_AFTER + STALE_AFTER + 2)).toBe(true);
    expect(a?.worstAge).toBe(0);
  });

  it("is stale as soon as an answer omits it", () => {
    const fleet = new Fleet();
    const [a] = fleet.update([report("A")], T);
    fleet.update([], T + 1);
    expect(fleet.isStale(a!, T + 1)).toBe(true);
    fleet.update([report("A")], T + 2);
    expect(fleet.isStale(a!, T + 2)).toBe(false);
  });

  it("keeps an omitted vehicle until its report is older than GONE_AFTER", () => {
    const fleet = new Fleet();
    fleet.update([report("A"), report("B")], T);
    fleet.update([], T + GONE_AFTER);
    expect(names(fleet)).toEqual(["A 0", "B 1"]);
    fleet.update([report("B")], T + GONE_AFTER + 1);
    expect(names(fleet)).toEqual(["B 1"]);
  });

  it("counts ages by the server's clock", () => {
    const fleet = new Fleet();
    const hour = 3_600_000;
    const [a] = fleet.update([report("A", T + hour - 3_000)], T, T + hour);
    expect(fleet.age(a!.report, T)).toBe(3_000);
    expect(fleet.age(report("A", T + 2 * hour), T)).toBe(0);
  });
});

describe("clockAhead", () => {
  it.each([
    [1_999, 0],
    [-1_999, 0],
    [2_000, 2_000],
    [-60_000, -60_000],
  ])("takes %i ms as %i", (difference, want) => {
    expect(clockAhead(T + difference, T)).toBe(want);
  });
});

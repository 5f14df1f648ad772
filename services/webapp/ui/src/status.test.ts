import { describe, expect, it } from "vitest";
import type { Condition, Part, State } from "./condition";
import { badge, banner, driverSpoken, driverText, positionsSpoken, qualityText, trailSpoken, trailText } from "./status";
import type { Seen } from "./watch";
import type { Driver } from "./wire";

const NOON = new Date(2026, 0, 1, 12, 0, 0).getTime();
const pam: Driver = { name: "Pam Parry", photo: "" };

describe("badge", () => {
  it.each<[number, number[], State, string]>([
    [0, [], "fresh", ""],
    [1, [], "fresh", "1 vehicle live"],
    [5, [], "fresh", "5 vehicles live"],
    [5, [6_000, 4_500], "late", "2 of 5 late, up to 6 s"],
    [5, [], "last-known", "5 vehicles as of 12:00:00"],
    [5, [], "placeholder", "5 vehicles as of 12:00:00"],
    [5, [], "failed", "5 vehicles as of 12:00:00"],
  ])("%i vehicles, late by %j ms, %s: %s", (vehicles, late, state, want) => {
    expect(badge(vehicles, late.map((worstAge) => ({ worstAge })), state, NOON)).toBe(want);
  });
});

describe("banner", () => {
  const condition = (part: Part, state: State): Condition => ({ part, state, since: NOON + 5_000, reason: "status 502" });
  it.each<[string, Condition[], number | undefined, number, string]>([
    ["fresh", [], NOON, 0, ""],
    ["an unreadable report", [], NOON, 1, "1 report in the last answer could not be read"],
    ["an unreadable report and a late one", [condition("positions", "late")], NOON, 1, "Positions late since 12:00:05: 2 vehicles, up to 6 s\n1 report in the last answer could not be read"],
    ["an unreadable report before a failure", [condition("positions", "failed")], NOON, 1, "Positions unavailable since 12:00:05: status 502"],
    ["failed", [condition("positions", "failed")], NOON, 0, "Positions unavailable since 12:00:05: status 502"],
    ["last known", [condition("positions", "last-known")], NOON, 0, "Positions degraded since 12:00:05: last known at 12:00:00"],
    ["a placeholder", [condition("positions", "placeholder")], undefined, 0, "Positions degraded since 12:00:05: none known"],
    [
      "several parts",
      [condition("driver", "last-known"), condition("positions", "failed"), condition("trail", "placeholder")],
      NOON,
      0,
      "Driver degraded since 12:00:05: last known at 12:00:00\nPositions unavailable since 12:00:05: status 502\nTrail degraded since 12:00:05: last known at 12:00:00",
    ],
  ])("%s", (_, degraded, asOf, unreadable, want) => {
    expect(banner(degraded, { positions: asOf, driver: asOf, trail: asOf }, [{ worstAge: 4_500 }, { worstAge: 6_000 }], unreadable)).toBe(want);
  });
});

describe("a driver", () => {
  const seen = (state: Seen<unknown>["state"], value?: Driver | null, reason = ""): Seen<Driver | null> => ({ state, value, asOf: value === undefined ? undefined : NOON, reason });
  it.each<[string, Seen<Driver | null>, string, string, string]>([
    ["loading", seen("loading"), "loading driver…", "", ""],
    ["fresh", seen("fresh", pam), "Pam Parry", "", "Driver: Pam Parry"],
    ["nobody", seen("fresh", null), "no driver", "", "no driver"],
    ["last known", seen("last-known", pam), "Pam Parry", "last known, 12 s ago", "Driver: Pam Parry, last known"],
    ["a placeholder", seen("placeholder"), "driver unknown", "placeholder", "driver unknown"],
    ["a placeholder after a name", seen("placeholder", pam), "Pam Parry", "last known, 12 s ago", "Driver: Pam Parry, last known"],
    ["failed", seen("failed", undefined, "status 502"), "driver unavailable", "status 502", "driver unavailable"],
    ["failed after a name", seen("failed", pam, "status 502"), "Pam Parry", "last known, 12 s ago · status 502", "Driver: Pam Parry, last known"],
  ])("%s", (_, seen, text, quality, spoken) => {
    expect([driverText(seen), qualityText(seen, NOON + 12_000), driverSpoken(seen)]).toEqual([text, quality, spoken]);
  });
});

describe("a trail", () => {
  it.each<[string, Seen<number[]>, string, string]>([
    ["loading", { state: "loading", value: undefined, asOf: undefined, reason: "" }, "", ""],
    ["fresh", { state: "fresh", value: [], asOf: NOON, reason: "" }, "", ""],
    ["failed", { state: "failed", value: undefined, asOf: undefined, reason: "status 502" }, "trail unavailable: status 502", "Trail is unavailable"],
    ["last known", { state: "last-known", value: [], asOf: NOON, reason: "" }, "trail last known, 12 s ago", "Trail is the last known"],
  ])("%s", (_, seen, text, spoken) => {
    expect([trailText(seen, NOON + 12_000), trailSpoken(seen)]).toEqual([text, spoken]);
  });
});

it("announces states without ages", () => {
  const states: State[] = ["fresh", "late", "last-known", "placeholder", "failed"];
  expect(states.map(positionsSpoken).filter((text) => text === "" || /\d/.test(text))).toEqual([]);
});

import { describe, expect, it } from "vitest";
import { arrived, at, distance, next, standing } from "./motion";

const A = { lat: 53, lng: -1.5 };
// 11 m further north.
const B = { lat: 53.0001, lng: -1.5 };

describe("motion", () => {
  it("stands at its first position", () => {
    expect(at(standing(A), 5)).toEqual(A);
    expect(arrived(standing(A), 5)).toBe(true);
  });

  it("moves at constant speed and stops at the report", () => {
    const motion = next(standing(A), B, 1000, 100);
    expect(at(motion, 100)).toEqual(A);
    expect(at(motion, 600).lat).toBeCloseTo(53.00005, 9);
    expect(at(motion, 1100)).toEqual(B);
    expect(at(motion, 9999)).toEqual(B);
    expect([arrived(motion, 1099), arrived(motion, 1100)]).toEqual([false, true]);
  });

  it("continues from where it is drawn when a report arrives early", () => {
    const half = next(next(standing(A), B, 1000, 0), A, 1000, 500);
    expect(half.from.lat).toBeCloseTo(53.00005, 9);
    expect(half.heading).toBe(180);
  });

  it.each([
    ["a burst", 10, 250],
    ["time that ran backwards", -5000, 250],
    ["a long silence", 60_000, 2500],
  ])("bounds its duration after %s", (_, gap, want) => {
    expect(next(standing(A), B, gap, 0).duration).toBe(want);
  });

  it("jumps to the start of a new journey", () => {
    const far = { lat: 54, lng: -1.5 };
    expect(at(next(standing(A), far, 1000, 7), 7)).toEqual(far);
  });

  it.each([
    ["north", { lat: 53.001, lng: -1.5 }, 0],
    ["east", { lat: 53, lng: -1.499 }, 90],
    ["south", { lat: 52.999, lng: -1.5 }, 180],
    ["west", { lat: 53, lng: -1.501 }, 270],
  ])("heads %s", (_, to, want) => {
    expect(next(standing(A), to, 1000, 0).heading).toBeCloseTo(want, 1);
  });

  it("keeps its heading while it stands still", () => {
    const east = next(standing(A), { lat: 53, lng: -1.499 }, 1000, 0);
    expect(next(east, { lat: 53.000001, lng: -1.499 }, 1000, 5000).heading).toBe(east.heading);
  });

  it("measures degrees of latitude and of longitude, which are shorter", () => {
    expect(distance(A, { lat: 54, lng: -1.5 })).toBeCloseTo(111_320, 0);
    expect(distance(A, { lat: 53, lng: -0.5 })).toBeCloseTo(66_994, 0);
  });
});

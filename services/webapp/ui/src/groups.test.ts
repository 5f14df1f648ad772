import { describe, expect, it } from "vitest";
import { group } from "./groups";

const spots = (...xs: number[]) => xs.map((x) => ({ x, y: 0 }));

describe("group", () => {
  it.each([
    ["none", [], 2, []],
    ["those apart", spots(0, 14, 28), 2, [[0], [1], [2]]],
    ["those on one spot", spots(5, 100, 5, 5), 2, [[0, 2, 3], [1]]],
    ["across cells of the grid, and below zero", spots(-1, 1), 2, [[0, 1]]],
    ["by the leader, so that a row of many does not become one", spots(0, 10, 20), 2, [[0, 1], [2]]],
    ["none that is too small", spots(0, 1, 50, 51, 52), 3, [[0], [1], [2, 3, 4]]],
  ])("finds %s", (_, spots, smallest, want) => {
    expect(group(spots, 14, smallest)).toEqual(want);
  });

  it("has each of 200 vehicles once, with 40 at one spot", () => {
    const many = Array.from({ length: 200 }, (_, i) => (i % 5 === 0 ? { x: 300, y: 1000 } : { x: (i % 20) * 40 + 20, y: Math.floor(i / 20) * 50 }));
    const groups = group(many, 14, 2);
    expect(groups.flat().sort((a, b) => a - b)).toEqual(many.map((_, i) => i));
    expect(Math.max(...groups.map((members) => members.length))).toBe(40);
  });
});

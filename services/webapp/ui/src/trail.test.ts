import { describe, expect, it } from "vitest";
import { extend, join, pieces, TRAIL_LIMIT } from "./trail";
import type { Point } from "./wire";

const line = (...lats: number[]): Point[] => lats.map((lat) => ({ lat, lng: 0 }));
const range = (from: number, to: number) => line(...Array.from({ length: to - from }, (_, i) => from + i));

describe("extend", () => {
  it("adds a point and does not modify the old trail", () => {
    const old = line(1, 2);
    expect(extend(old, { lat: 3, lng: 0 })).toEqual(line(1, 2, 3));
    expect(old).toEqual(line(1, 2));
  });
  it("does not repeat the last place", () => expect(extend(line(1, 2), { lat: 2, lng: 0 })).toEqual(line(1, 2)));
  it("returns to an earlier place", () => expect(extend(line(1, 2), { lat: 1, lng: 0 })).toEqual(line(1, 2, 1)));
  it("drops its oldest points", () => {
    const full = extend(range(0, TRAIL_LIMIT), { lat: -1, lng: 0 });
    expect([full.length, full[0], full.at(-1)]).toEqual([TRAIL_LIMIT, { lat: 1, lng: 0 }, { lat: -1, lng: 0 }]);
  });
});

describe("join", () => {
  it.each([
    ["nothing seen since", line(1, 2, 3), [], line(1, 2, 3)],
    ["no history", [], line(1, 2), line(1, 2)],
    ["seen since, no overlap", line(1, 2, 3), line(4, 5), line(1, 2, 3, 4, 5)],
    ["an overlap", line(1, 2, 3), line(2, 3, 4), line(1, 2, 3, 4)],
    ["a history that is further", line(1, 2, 3, 4), line(2, 3), line(1, 2, 3, 4)],
    ["a history that is further, and not as far", line(1, 2, 3), line(0, 2, 4), line(1, 2, 3, 4)],
    ["a second journey over the same points", range(0, 100), line(0, 1), [...range(0, 100), ...line(0, 1)]],
  ])("joins %s", (_, history, since, want) => {
    expect(join(history, since)).toEqual(want);
  });
});

describe("pieces", () => {
  const far = (a: Point, b: Point) => Math.abs(a.lat - b.lat) > 1;
  it("cuts between journeys", () => expect(pieces(line(1, 2, 9, 10), far)).toEqual([line(1, 2), line(9, 10)]));
  it("has none without points", () => expect(pieces([], far)).toEqual([]));
});

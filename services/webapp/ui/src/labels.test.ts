import { describe, expect, it } from "vitest";
import { covered, place } from "./labels";

const label = (x: number, y: number) => ({ x, y, width: 60, height: 20 });

describe("place", () => {
  it("prefers the first side", () => expect(place([label(0, 0), label(500, 0)], 10, ["right", "left"])).toEqual(["right", "right"]));
  it("uses another side if the first is taken", () => expect(place([label(0, 0), label(-40, 0)], 10, ["right", "left"])).toEqual(["right", "left"]));
  it("does not cover other anchors", () => expect(place([label(0, 0), label(40, 0)], 10, ["right", "left"])).toEqual(["left", "right"]));
  it("omits labels without room", () => expect(place([label(0, 0), label(0, 5)], 10, ["right"])).toEqual(["right", undefined]));
  it("avoids obstacles", () => expect(place([label(0, 0)], 10, ["right", "left"], [{ left: 20, top: -5, right: 30, bottom: 5 }])).toEqual(["left"]));
  it("omits labels of anchors under an obstacle", () => expect(place([label(0, 0)], 10, ["right", "left"], [{ left: -5, top: -5, right: 5, bottom: 5 }])).toEqual([undefined]));
  it("accepts no labels", () => expect(place([], 10, ["right"])).toEqual([]));
});

describe("covered", () => {
  it("returns the boxes of marker and label", () => {
    expect(covered([label(0, 0), label(100, 0)], 10, ["left", undefined])).toEqual([
      { left: -7, top: -7, right: 7, bottom: 7 },
      { left: -70, top: -10, right: -10, bottom: 10 },
      { left: 93, top: -7, right: 107, bottom: 7 },
    ]);
  });
});

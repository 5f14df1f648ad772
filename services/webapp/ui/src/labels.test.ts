import { describe, expect, it } from "vitest";
import { place } from "./labels";

const label = (x: number, y: number) => ({ x, y, width: 60, height: 20 });

describe("place", () => {
  it("prefers the first side", () => expect(place([label(0, 0), label(500, 0)], 10, ["right", "left"])).toEqual(["right", "right"]));
  it("goes to another side when the first is taken", () => expect(place([label(0, 0), label(-40, 0)], 10, ["right", "left"])).toEqual(["right", "left"]));
  it("covers no other anchor", () => expect(place([label(0, 0), label(40, 0)], 10, ["right", "left"])).toEqual(["left", "right"]));
  it("leaves out what finds no room", () => expect(place([label(0, 0), label(0, 5)], 10, ["right"])).toEqual(["right", undefined]));
  it("places nothing when there is nothing", () => expect(place([], 10, ["right"])).toEqual([]));
});

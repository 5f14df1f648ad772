import { describe, expect, it } from "vitest";
import { format, parse } from "./route";

describe("the page's address", () => {
  it.each([
    ["/", "", undefined],
    ["/experimental", "/experimental", undefined],
    ["/experimental/", "/experimental", undefined],
    ["/vehicle/City%20Truck", "", "City Truck"],
    ["/vehicle/City%20Truck/", "", "City Truck"],
    ["/canary/vehicle/A", "/canary", "A"],
    ["/vehicle/100%", "", "100%"],
    ["/vehicle/", "/vehicle", undefined],
    ["/vehicle/%3Cimg%20src=x%3E", "", "<img src=x>"],
  ])("%s", (path, base, vehicle) => {
    expect(parse(path)).toEqual({ base, vehicle });
  });

  it.each([
    [{ base: "", vehicle: undefined }, "/"],
    [{ base: "/experimental", vehicle: undefined }, "/experimental"],
    [{ base: "/experimental", vehicle: "City Truck" }, "/experimental/vehicle/City%20Truck"],
    [{ base: "", vehicle: "a/b?#<" }, "/vehicle/a%2Fb%3F%23%3C"],
  ])("%j becomes %s and back", (place, path) => {
    expect(format(place)).toBe(path);
    expect(parse(path)).toEqual(place);
  });
});

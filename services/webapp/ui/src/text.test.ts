import { describe, expect, it } from "vitest";
import { ageText, initials, lastKnownText, speedText } from "./text";

describe("text", () => {
  it.each([
    [null, "unknown"],
    [0, "0 mph"],
    [7.477, "7 mph"],
    [29.5, "30 mph"],
  ])("speed %s is %s", (speed, want) => expect(speedText(speed)).toBe(want));

  it.each([
    [0, "now"],
    [1_999, "now"],
    [2_000, "2 s ago"],
    [59_999, "59 s ago"],
    [60_000, "1 min ago"],
    [3_600_000, "1 h ago"],
  ])("age %i is %s", (age, want) => expect(ageText(age)).toBe(want));

  it.each([
    [0, "last known, just now"],
    [12_000, "last known, 12 s ago"],
  ])("a value of %i ms ago is %s", (age, want) => expect(lastKnownText(age)).toBe(want));

  it.each([
    ["Pam Parry", "PP"],
    ["Duke T. Dog", "DD"],
    ["cher", "C"],
    ["Élodie Ångström", "ÉÅ"],
    ["<img> 7", "?"],
    ["", "?"],
  ])("initials of %s are %s", (name, want) => expect(initials(name)).toBe(want));
});

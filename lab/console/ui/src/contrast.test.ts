import { describe, expect, it } from "vitest";
import css from "./style.css?raw";

type Colour = [red: number, green: number, blue: number, alpha: number];

const declarations = (block: string) => Object.fromEntries([...block.matchAll(/--([\w-]+): (#\w+);/g)].map(([, name, value]) => [name!, value!]));
const block = (start: string) => css.slice(css.indexOf(start), css.indexOf("}", css.indexOf(start)));
const light = declarations(block(":root"));
const dark = { ...light, ...declarations(block("@media (prefers-color-scheme: dark)")) };

/** Every text of the page on everything that may be behind it. A background is a stack, the lowest first. */
const pairs: [text: string, ...background: string[]][] = [
  ...["text", "quiet", "accent", "good", "degraded", "failed"].flatMap((text): [string, string][] => [
    [text, "page"],
    [text, "canvas"],
  ]),
  // Rows of pods, under the pointer too.
  ...["hover", "bad-page", "marked-page"].map((page): [string, string] => ["text", page]),
  ["failed", "bad-page"],
  ["page", "accent"],
];

describe.each([
  ["light", light],
  ["dark", dark],
])("%s", (_, palette) => {
  it("has a palette", () => expect(Object.keys(palette).length).toBeGreaterThan(15));
  it.each(pairs)("%s is read on %s %s", (text, ...background) => {
    expect(contrast(over([text], palette), over(background, palette))).toBeGreaterThanOrEqual(4.5);
  });
  // WCAG 1.4.11: what is not text.
  it.each(["flow", "failed-area", "edge", "good-area"])("%s is seen on the canvas", (colour) => {
    expect(contrast(over([colour], palette), over(["canvas"], palette))).toBeGreaterThanOrEqual(2.5);
  });
});

it("covers every text colour of the style sheet", () => {
  const used = new Set([...css.matchAll(/[^-\w]color: var\(--([\w-]+)\);/g)].map(([, name]) => name!));
  const tested = new Set(pairs.map(([text]) => text));
  expect([...used].filter((name) => !tested.has(name))).toEqual([]);
});

it.each([
  ["#ffffff", "#000000", 21],
  ["#777777", "#ffffff", 4.48],
])("has the contrast of %s on %s as WCAG 2 has it", (a, b, want) => {
  expect(contrast(parse(a), parse(b))).toBeCloseTo(want, 2);
});

function over(stack: string[], palette: Record<string, string>): Colour {
  return stack.map((layer) => named(layer, palette)).reduce((below, [r, g, b, alpha]) => {
    const mix = (top: number, bottom: number) => top * alpha + bottom * (1 - alpha);
    return [mix(r, below[0]), mix(g, below[1]), mix(b, below[2]), 1];
  });
}

function named(layer: string, palette: Record<string, string>): Colour {
  const [name = "", percent] = layer.split(" ");
  const value = palette[name];
  if (value === undefined) throw new Error(`no colour --${name}`);
  const [r, g, b, alpha] = parse(value);
  return [r, g, b, percent === undefined ? alpha : parseInt(percent) / 100];
}

function parse(hex: string): Colour {
  const [r = 0, g = 0, b = 0, alpha = 255] = (hex.slice(1).match(/../g) ?? []).map((byte) => parseInt(byte, 16));
  return [r, g, b, alpha / 255];
}

// WCAG 2.2, "contrast ratio" and "relative luminance".
function contrast(a: Colour, b: Colour): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

function luminance([r, g, b]: Colour): number {
  const [x = 0, y = 0, z = 0] = [r, g, b].map((byte) => (byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}

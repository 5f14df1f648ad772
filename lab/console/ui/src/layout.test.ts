import { describe, expect, it } from "vitest";
import { curve, layout, type Size } from "./layout";

const size: Size = { width: 176, height: 80 };
const fleet = ["position-simulator", "position-tracker", "vehicle-telemetry", "staff-service", "webapp", "api-gateway"];
const label: Size = { width: 84, height: 60 };
const calls = [
  { from: "position-simulator", to: "position-tracker" },
  { from: "position-tracker", to: "vehicle-telemetry" },
  { from: "position-tracker", to: "staff-service" },
  { from: "webapp", to: "api-gateway" },
  { from: "api-gateway", to: "position-tracker" },
  { from: "api-gateway", to: "staff-service" },
].map((call) => ({ ...call, label }));

describe.each(["LR", "TB"] as const)("layout %s", (direction) => {
  const placed = layout(new Map(fleet.map((id) => [id, size])), calls, direction);
  const at = (id: string) => placed.nodes.get(id)!;

  it("has callers before what they call", () => {
    for (const { from, to } of calls) {
      if (direction === "LR") expect(at(from).x + size.width).toBeLessThan(at(to).x);
      else expect(at(from).y + size.height).toBeLessThan(at(to).y);
    }
  });
  it("has no node over another", () => {
    for (const a of fleet) {
      for (const b of fleet) {
        if (a < b) expect(Math.abs(at(a).x - at(b).x) >= size.width || Math.abs(at(a).y - at(b).y) >= size.height).toBe(true);
      }
    }
  });
  it("has every node and edge inside", () => {
    expect(placed.edges.map(({ from, to }) => `${from} ${to}`).sort()).toEqual(calls.map(({ from, to }) => `${from} ${to}`).sort());
    for (const { x, y, width, height } of placed.nodes.values()) {
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
      expect(x + width).toBeLessThanOrEqual(placed.width);
      expect(y + height).toBeLessThanOrEqual(placed.height);
    }
  });
});

it("ignores calls to nodes that are not there, and of a node to itself", () => {
  const placed = layout(new Map([["a", size]]), [{ from: "a", to: "b", label }, { from: "a", to: "a", label }], "LR");
  expect(placed.edges).toEqual([]);
});

it("is empty without nodes", () => {
  expect(layout(new Map(), [], "LR")).toMatchObject({ width: 0, height: 0, edges: [] });
});

it("places a crowd of sixty nodes within three seconds", () => {
  const nodes = new Map(Array.from({ length: 60 }, (_, i) => [`n${i}`, size] as const));
  const began = performance.now();
  layout(nodes, Array.from({ length: 59 }, (_, i) => ({ from: `n${Math.floor(i / 3)}`, to: `n${i + 1}`, label })), "LR");
  expect(performance.now() - began).toBeLessThan(3000);
});

it("draws curves through points", () => {
  expect(curve([])).toBe("");
  expect(curve([{ x: 0, y: 0 }, { x: 10, y: 20 }, { x: 30, y: 20 }])).toBe("M0,0Q10,20 20,20L30,20");
});

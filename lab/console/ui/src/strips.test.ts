import { expect, it } from "vitest";
import { areas, attempts, perSecond, runs, SPAN } from "./strips";
import type { Point } from "./wire";

const now = Date.parse("2026-01-01T12:05:00Z");
const point = (ago: number, more: Partial<Point> = {}): Point => ({ time: new Date(now - ago * 1000).toISOString(), of: "load", good: 0, degraded: 0, failed: 0, calls: 0, attempts: 0, ...more });

it("stacks failed, degraded and good from below", () => {
  const paths = areas([point(300, { good: 2, degraded: 1, failed: 1 }), point(299, { good: 4 })], now, 300, 40);
  expect(paths.failed).toBe("M0,30L1,40L1,40L0,40z");
  expect(paths.degraded).toBe("M0,20L1,40L1,40L0,30z");
  expect(paths.good).toBe("M0,0L1,0L1,40L0,20z");
});

it("has a gap where the console was closed", () => {
  const found = runs([point(60), point(59), point(20), point(19)]);
  expect(found.map((run) => run.length)).toEqual([2, 2]);
  expect(areas([point(60), point(20)], now, SPAN / 1000, 40).good.match(/M/g)).toHaveLength(2);
});

it("draws attempts a call, and leaves out seconds without calls", () => {
  const path = attempts([point(300, { calls: 10, attempts: 10 }), point(299), point(298, { calls: 10, attempts: 20 })], now, 300, 40, 2);
  expect(path).toBe("M0,40L2,0");
});

it("divides a reading of several seconds", () => {
  const found = perSecond([point(10, { good: 5 }), point(9, { good: 5 }), point(5, { good: 8, failed: 4 })]);
  expect(found.map(({ good, failed }) => [good, failed])).toEqual([[5, 0], [5, 0], [2, 1]]);
});

it("is empty without points", () => {
  expect(areas([], now, 300, 40)).toEqual({ good: "", degraded: "", failed: "" });
});

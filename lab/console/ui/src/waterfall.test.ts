import { expect, it } from "vitest";
import { bars, nanos, type Span, type Trace } from "./waterfall";

const span = (id: string, parent: string, start: string, duration: number): Span => ({
  id, parent, service: "a", proxy: false, name: id, start: `2026-01-01T12:00:00.${start}Z`, duration, status: "ok",
});
const trace = (...spans: Span[]): Trace => ({ id: "t", start: "", duration: 0, root: "", status: "ok", spans });

it("has each span below its parent, in the order of the starts", () => {
  const found = bars(trace(span("late", "root", "300", 0.1), span("root", "", "100", 0.4), span("early", "root", "200", 0.1), span("inner", "late", "350", 0.05), span("lost", "elsewhere", "400", 0.1)));
  expect(found.map(({ span, depth }) => `${span.id} ${depth}`)).toEqual(["root 0", "early 1", "late 1", "inner 2", "lost 0"]);
  const late = found[2]!;
  expect(late.from).toBeCloseTo(0.5);
  expect(late.width).toBeCloseTo(0.25);
});

it("has microseconds", () => {
  expect(nanos("2026-01-01T12:00:00.123456789Z") - nanos("2026-01-01T12:00:00.123Z")).toBeCloseTo(0.000457, 5);
  expect(nanos("2026-01-01T12:00:00Z") % 1).toBe(0);
});

it("ends with spans in a circle, and without spans", () => {
  expect(bars(trace(span("a", "b", "100", 1), span("b", "a", "200", 1))).map(({ span }) => span.id)).toEqual(["a", "b"]);
  expect(bars(trace())).toEqual([]);
});

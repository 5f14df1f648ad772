import { describe, expect, it } from "vitest";
import { blockText, durationText, flowSpoken, latencyText, pairText, rateText, shareText } from "./text";

it.each([[0, "0"], [0.04, "0.0"], [4.25, "4.3"], [12.4, "12"]])("rate %d", (value, want) => expect(rateText(value)).toBe(want));
it.each([[0, "0 %"], [0.0004, "<0.1 %"], [0.004, "0.4 %"], [0.02, "2 %"], [0.123, "12 %"], [1, "100 %"]])("share %d", (value, want) => expect(shareText(value)).toBe(want));
it.each([[0, "–"], [0.0008, "0.8 ms"], [0.005, "5 ms"], [0.0123, "12 ms"], [0.25, "250 ms"], [1.25, "1.3 s"], [3, "3 s"]])("latency %d", (value, want) => expect(latencyText(value)).toBe(want));
it.each([[-5, "0 s"], [4_400, "4 s"], [99_000, "99 s"], [180_000, "3 min"], [7_200_000, "2 h"]])("duration %d", (value, want) => expect(durationText(value)).toBe(want));

describe("a block", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  const until = "2026-01-01T12:00:24.2Z";
  it.each([
    [{ by: "mesh", in: "api-gateway-0", state: "ejected", until }, "ejected by api-gateway-0, returns in 24 s or later"],
    [{ by: "mesh", in: "api-gateway-0", state: "ejected", until: "2026-01-01T11:59:59Z" }, "ejected by api-gateway-0, returns at the next sweep"],
    [{ by: "library", in: "position-tracker-0", state: "open", until: "2026-01-01T12:00:04Z" }, "breaker open in position-tracker-0, half-open in 4 s"],
    [{ by: "library", in: "position-tracker-0", state: "open", until: "2026-01-01T11:59:59Z" }, "breaker open in position-tracker-0, half-open at the next call"],
    [{ by: "library", in: "position-tracker-0", state: "half-open" }, "breaker half-open in position-tracker-0"],
    [{ by: "library", in: "a", state: "open" }, "breaker open in a"],
  ] as const)("%o", (block, want) => expect(blockText(block, now)).toBe(want));
});

it.each([
  [{ rate: 0, errors: 0, p50: 0, p99: 0 }, "no requests"],
  [{ rate: 12, errors: 0.5, p50: 0.002, p99: 1.5 }, "12 requests per second, 50 % errors, half below 2 ms, 99 % below 1.5 s"],
  [{ rate: 12, errors: 0, p50: 0, p99: 0 }, "12 requests per second, 0 % errors"],
])("a flow for a screen reader", (flow, want) => expect(flowSpoken(flow)).toBe(want));

it.each([[0.016, 0.301, "16 / 301 ms"], [0.375, 4.9, "375 ms / 4.9 s"], [1.5, 4, "1.5 / 4 s"], [0, 0.1, "– / 100 ms"]])("%d and %d", (low, high, want) => expect(pairText(low, high)).toBe(want));

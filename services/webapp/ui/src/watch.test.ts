import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer } from "./api";
import { RETRY, Watch } from "./watch";

const REFRESH = 20_000;
const fresh = (value: string): Answer<string> => ({ value, fallback: undefined, serverTime: undefined });
const lastKnown = (value: string, age: number): Answer<string> => ({ ...fresh(value), fallback: { kind: "last-known", age } });
const placeholder = (value: string): Answer<string> => ({ ...fresh(value), fallback: { kind: "placeholder" } });

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

/** A watch whose answers are set by the test; an Error is a call that fails. */
function watched(refresh?: number) {
  const upstream = { answer: fresh("Pam") as Answer<string> | Error, requests: [] as string[] };
  const seen: string[] = [];
  const watch = new Watch<string>(
    async (name) => {
      upstream.requests.push(name);
      if (upstream.answer instanceof Error) throw upstream.answer;
      return upstream.answer;
    },
    ({ state, value }) => seen.push(`${state} ${value}`),
    refresh,
  );
  return { watch, upstream, seen };
}

describe("Watch", () => {
  it("repeats the request after a failure until an answer is fresh", async () => {
    const { watch, upstream } = watched();
    upstream.answer = new Error("status 502");
    watch.choose("A");
    await vi.advanceTimersByTimeAsync(0);
    expect(watch.seen).toEqual({ state: "failed", value: undefined, asOf: undefined, reason: "status 502" });
    upstream.answer = fresh("Pam");
    await vi.advanceTimersByTimeAsync(RETRY);
    expect(watch.seen).toEqual({ state: "fresh", value: "Pam", asOf: 1_000_000 + RETRY, reason: "" });
    await vi.advanceTimersByTimeAsync(10 * RETRY);
    expect(upstream.requests).toEqual(["A", "A"]);
  });

  it("requests a fresh value again with refresh, and shows a failure", async () => {
    const { watch, upstream } = watched(REFRESH);
    watch.choose("A");
    await vi.advanceTimersByTimeAsync(0);
    upstream.answer = new Error("reset");
    await vi.advanceTimersByTimeAsync(REFRESH);
    expect(watch.seen).toEqual({ state: "failed", value: "Pam", asOf: 1_000_000, reason: "reset" });
  });

  it("computes the time of a last known value, and keeps the value at a placeholder", async () => {
    const { watch, upstream } = watched();
    upstream.answer = lastKnown("Pam", 12_000);
    watch.choose("A");
    await vi.advanceTimersByTimeAsync(0);
    expect(watch.seen).toEqual({ state: "last-known", value: "Pam", asOf: 988_000, reason: "" });
    upstream.answer = placeholder("Unknown driver");
    await vi.advanceTimersByTimeAsync(RETRY);
    expect(watch.seen).toEqual({ state: "placeholder", value: "Pam", asOf: 988_000, reason: "" });
  });

  it("does not store a placeholder as a value", async () => {
    const { watch, upstream } = watched();
    upstream.answer = placeholder("Unknown driver");
    watch.choose("A");
    await vi.advanceTimersByTimeAsync(0);
    expect(watch.seen).toEqual({ state: "placeholder", value: undefined, asOf: undefined, reason: "" });
  });

  it("ignores the answer for an earlier choice, and requests nothing if nothing is chosen", async () => {
    const { watch, upstream, seen } = watched(REFRESH);
    watch.choose("A");
    watch.choose("B");
    await vi.advanceTimersByTimeAsync(0);
    expect([upstream.requests, seen]).toEqual([["A", "B"], ["fresh Pam"]]);
    watch.choose(undefined);
    await vi.advanceTimersByTimeAsync(10 * REFRESH);
    expect([upstream.requests, watch.seen.state]).toEqual([["A", "B"], "loading"]);
  });
});

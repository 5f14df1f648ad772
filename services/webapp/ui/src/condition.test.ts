import { describe, expect, it } from "vitest";
import { Conditions } from "./condition";

describe("Conditions", () => {
  it("has the time of the last change between fresh and degraded", () => {
    const conditions = new Conditions();
    const at = (state: Parameters<Conditions["set"]>[1], now: number, reason = "") => {
      conditions.set("positions", state, now, reason);
      return conditions.of("positions");
    };
    expect(at("fresh", 1)).toEqual({ part: "positions", state: "fresh", since: 1, reason: "" });
    expect(at("late", 5)).toEqual({ part: "positions", state: "late", since: 5, reason: "" });
    expect(at("failed", 7, "status 502")).toEqual({ part: "positions", state: "failed", since: 5, reason: "status 502" });
    expect(at("fresh", 9)).toEqual({ part: "positions", state: "fresh", since: 9, reason: "" });
    expect(at("fresh", 11)?.since).toBe(9);
  });

  it("lists degraded parts, the longest degraded first, without cleared ones", () => {
    const conditions = new Conditions();
    conditions.set("trail", "failed", 3);
    conditions.set("driver", "placeholder", 2);
    conditions.set("positions", "fresh", 1);
    expect(conditions.degraded().map(({ part }) => part)).toEqual(["driver", "trail"]);
    conditions.clear("driver");
    conditions.set("trail", "fresh", 4);
    expect(conditions.degraded()).toEqual([]);
    expect(conditions.of("driver")).toBeUndefined();
  });
});

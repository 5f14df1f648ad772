/** A part of the data that the page requests. */
export type Part = "positions" | "driver" | "trail";

/**
 * The quality of the latest answer: `late` is a successful answer with old positions, `last-known` and
 * `placeholder` are the kinds in X-Fallback, `failed` is no answer.
 */
export type State = "fresh" | "late" | "last-known" | "placeholder" | "failed";

export interface Condition {
  part: Part;
  state: State;
  /** When the part became degraded, or fresh again, in milliseconds of the page's clock. */
  since: number;
  /** Why the part is degraded, "" if the state is the whole reason. */
  reason: string;
}

/** The conditions of the parts in use. Each answer replaces its part's condition: the first fresh answer clears a failure. */
export class Conditions {
  private readonly parts = new Map<Part, Condition>();

  set(part: Part, state: State, now: number, reason = ""): void {
    const before = this.parts.get(part);
    const same = before !== undefined && (before.state === "fresh") === (state === "fresh");
    this.parts.set(part, { part, state, since: same ? before.since : now, reason });
  }

  /** Removes a part that the page no longer requests. */
  clear(part: Part): void {
    this.parts.delete(part);
  }

  of(part: Part): Condition | undefined {
    return this.parts.get(part);
  }

  /** Returns the degraded parts, the longest degraded first. */
  degraded(): Condition[] {
    return [...this.parts.values()].filter(({ state }) => state !== "fresh").sort((a, b) => a.since - b.since);
  }
}

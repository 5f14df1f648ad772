/** A part of the data that the page requests. */
export type Part = "positions" | "driver" | "trail";

/**
 * The quality of the latest answer: `late` is a good answer that holds old positions, `last-known`
 * and `placeholder` are what X-Fallback names, `failed` is no answer.
 */
export type State = "fresh" | "late" | "last-known" | "placeholder" | "failed";

export interface Condition {
  part: Part;
  state: State;
  /** When the part became degraded, or fresh again, in milliseconds of the page's clock. */
  since: number;
  /** Why it is not fresh, "" when the state is the whole reason. */
  reason: string;
}

/** The condition of every part in use. Each answer replaces the condition, so that a failure clears at the first fresh answer. */
export class Conditions {
  private readonly parts = new Map<Part, Condition>();

  set(part: Part, state: State, now: number, reason = ""): void {
    const before = this.parts.get(part);
    const same = before !== undefined && (before.state === "fresh") === (state === "fresh");
    this.parts.set(part, { part, state, since: same ? before.since : now, reason });
  }

  /** Removes a part that the page no longer asks for. */
  clear(part: Part): void {
    this.parts.delete(part);
  }

  of(part: Part): Condition | undefined {
    return this.parts.get(part);
  }

  /** Returns the parts that are not fresh, the longest degraded first. */
  degraded(): Condition[] {
    return [...this.parts.values()].filter(({ state }) => state !== "fresh").sort((a, b) => a.since - b.since);
  }
}

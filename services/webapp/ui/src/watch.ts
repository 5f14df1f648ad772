import type { Answer } from "./api";
import type { State } from "./condition";

/** Milliseconds until a value that is not fresh is asked for again. */
export const RETRY = 5_000;

/** A value and how good it is. A failed or placeholder answer leaves the value that was known before. */
export interface Seen<T> {
  state: State | "asking";
  value: T | undefined;
  /** When the value was true, in milliseconds of the page's clock; undefined without a value. */
  asOf: number | undefined;
  reason: string;
}

/** Asks for one value of the chosen vehicle until it is fresh, and from then on every `refresh` ms. */
export class Watch<T> {
  seen: Seen<T> = asking();
  private name: string | undefined;
  // Counts calls, so that an answer to an earlier one is dropped.
  private call = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `onAnswer` is called after every answer; without `refresh` a fresh value is not asked for again. */
  constructor(
    private readonly ask: (name: string) => Promise<Answer<T>>,
    private readonly onAnswer: (seen: Seen<T>) => void,
    private readonly refresh?: number,
  ) {}

  /** Asks for another vehicle's value, or for none. */
  choose(name: string | undefined): void {
    this.name = name;
    this.seen = asking();
    this.again();
  }

  /** Asks now; the value stays until the answer is there. */
  again(): void {
    clearTimeout(this.timer);
    this.call++;
    if (this.name !== undefined) void this.load(this.name, this.call);
  }

  private async load(name: string, call: number): Promise<void> {
    const seen = await this.ask(name).then(
      (answer) => heard(this.seen, answer, Date.now()),
      (error: unknown) => failed(this.seen, error),
    );
    if (call !== this.call) return;
    this.seen = seen;
    const wait = seen.state === "fresh" ? this.refresh : RETRY;
    if (wait !== undefined) this.timer = setTimeout(() => this.again(), wait);
    this.onAnswer(seen);
  }
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function asking<T>(): Seen<T> {
  return { state: "asking", value: undefined, asOf: undefined, reason: "" };
}

function heard<T>(before: Seen<T>, { value, fallback }: Answer<T>, now: number): Seen<T> {
  switch (fallback?.kind) {
    case undefined:
      return { state: "fresh", value, asOf: now, reason: "" };
    case "last-known":
      return { state: "last-known", value, asOf: now - fallback.age, reason: "" };
    case "placeholder":
      return { ...before, state: "placeholder", reason: "" };
  }
}

function failed<T>(before: Seen<T>, error: unknown): Seen<T> {
  return { ...before, state: "failed", reason: message(error) };
}

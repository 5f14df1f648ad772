import type { Answer } from "./api";
import type { State } from "./condition";

/** Milliseconds until a degraded value is requested again. */
export const RETRY = 5_000;

/** A value and its quality. A failed or placeholder answer keeps the previous value. */
export interface Seen<T> {
  state: State | "loading";
  value: T | undefined;
  /** Time of the value, in milliseconds of the page's clock; undefined without a value. */
  asOf: number | undefined;
  reason: string;
}

/** Requests a value of the chosen vehicle until it is fresh, and from then on every `refresh` ms. */
export class Watch<T> {
  seen: Seen<T> = loading();
  private name: string | undefined;
  // Counts calls, so that the answer to an earlier one is ignored.
  private call = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `onAnswer` is called after every answer. Without `refresh` a fresh value is not requested again. */
  constructor(
    private readonly request: (name: string) => Promise<Answer<T>>,
    private readonly onAnswer: (seen: Seen<T>) => void,
    private readonly refresh?: number,
  ) {}

  /** Requests the value of another vehicle, or of none. */
  choose(name: string | undefined): void {
    this.name = name;
    this.seen = loading();
    this.again();
  }

  /** Requests the value now; the previous value stays until the answer arrives. */
  again(): void {
    clearTimeout(this.timer);
    this.call++;
    if (this.name !== undefined) void this.load(this.name, this.call);
  }

  private async load(name: string, call: number): Promise<void> {
    const seen = await this.request(name).then(
      (answer) => answered(this.seen, answer, Date.now()),
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

function loading<T>(): Seen<T> {
  return { state: "loading", value: undefined, asOf: undefined, reason: "" };
}

function answered<T>(before: Seen<T>, { value, fallback }: Answer<T>, now: number): Seen<T> {
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

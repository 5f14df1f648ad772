import { make, setText, svg } from "./dom";
import { clockText, rateText, shareText } from "./text";
import type { FleetEvent, Point } from "./wire";

/** Milliseconds that the strips show. */
export const SPAN = 300_000;
/** Two points further apart than this have a gap between them, in milliseconds. */
const GAP = 3_500;
const HEIGHT = 46;
const WIDTH = 600;
/** Kinds of events that are marked above the strips; the list has all. */
const MARKED = new Set(["fault set", "fault cleared", "breaker", "ejected", "returned", "exited", "ready", "notready", "applied"]);

export type Outcome = "good" | "degraded" | "failed";

/** Returns areas, stacked in the order of the outcomes, as SVG paths in a box of the given size. */
export function areas(points: Point[], now: number, width: number, height: number): Record<Outcome, string> {
  const most = Math.max(1, ...points.map((p) => p.good + p.degraded + p.failed));
  const x = (p: Point) => round(width * (1 - (now - Date.parse(p.time)) / SPAN));
  const y = (value: number) => round(height * (1 - value / most));
  const area = (low: (p: Point) => number, high: (p: Point) => number) =>
    runs(points)
      .map((run) => `M${[...run.map((p) => `${x(p)},${y(high(p))}`), ...run.toReversed().map((p) => `${x(p)},${y(low(p))}`)].join("L")}z`)
      .join("");
  return {
    failed: area(() => 0, (p) => p.failed),
    degraded: area((p) => p.failed, (p) => p.failed + p.degraded),
    good: area((p) => p.failed + p.degraded, (p) => p.failed + p.degraded + p.good),
  };
}

/** Returns the attempts a call as an SVG path; the box is from 1 to `most` attempts. */
export function attempts(points: Point[], now: number, width: number, height: number, most: number): string {
  const at = (p: Point) => `${round(width * (1 - (now - Date.parse(p.time)) / SPAN))},${round(height * (1 - (Math.min(p.attempts / p.calls, most) - 1) / (most - 1)))}`;
  return runs(points.filter((p) => p.calls > 0))
    .map((run) => `M${run.map(at).join("L")}`)
    .join("");
}

/** Attempts a call of the last 5 seconds: in one second, an attempt may be counted before its call. */
export function attemptsNow(points: Point[]): number {
  const last = points.slice(-5);
  const sum = (of: (p: Point) => number) => last.reduce((all, p) => all + of(p), 0);
  return sum((p) => p.attempts) / Math.max(1, sum((p) => p.calls));
}

/** Returns the points with their outcomes per second: one reading of a slow fleet covers several. */
export function perSecond(points: Point[]): Point[] {
  return points.map((p, i) => {
    const before = points[i - 1];
    const seconds = before === undefined ? 1 : Math.max(1, (Date.parse(p.time) - Date.parse(before.time)) / 1000);
    return { ...p, good: p.good / seconds, degraded: p.degraded / seconds, failed: p.failed / seconds };
  });
}

/** Splits points where the console was closed. */
export function runs(points: Point[]): Point[][] {
  const all: Point[][] = [];
  let before = -Infinity;
  for (const point of points) {
    const time = Date.parse(point.time);
    if (time - before > GAP) all.push([]);
    all.at(-1)!.push(point);
    before = time;
  }
  return all;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The strips below the graph. */
export class Strips {
  private points: Point[] = [];
  private events: FleetEvent[] = [];
  private readonly outcome = this.strip("At the entry");
  private readonly tries = this.strip("Attempts a call");
  private readonly marks = this.strip("Events");
  private readonly paths: Record<Outcome, SVGPathElement>;
  private readonly line = svg("path", { class: "attempts" });
  private readonly ticks = svg("g");

  constructor(section: HTMLElement) {
    section.append(make("h2", "spoken", "The last five minutes"));
    this.paths = { failed: svg("path", { class: "area failed" }), degraded: svg("path", { class: "area degraded" }), good: svg("path", { class: "area good" }) };
    this.outcome.picture.append(this.paths.good, this.paths.degraded, this.paths.failed);
    this.tries.picture.append(this.line);
    this.marks.picture.append(this.ticks);
    this.marks.picture.classList.add("short");
    section.append(this.outcome.element, this.tries.element, this.marks.element);
    const axis = make("p", "axis");
    axis.setAttribute("aria-hidden", "true");
    for (const text of ["5 min ago", "4", "3", "2", "1", "now"]) axis.append(make("span", "", text));
    section.append(axis);
  }

  private strip(name: string) {
    const element = make("div", "strip");
    const text = make("p", "legend");
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const values = make("span");
    text.append(make("strong", "", name), " ", values);
    element.append(text, picture);
    return { element, picture, values };
  }

  open(points: Point[], events: FleetEvent[]): void {
    this.points = points;
    this.events = events;
  }

  add(point: Point, events: FleetEvent[]): void {
    const now = Date.parse(point.time);
    const recent = (time: string) => now - Date.parse(time) <= SPAN;
    this.points = [...this.points, point].filter(({ time }) => recent(time));
    this.events = [...this.events, ...events].filter(({ time }) => recent(time));
    this.draw(now);
  }

  private draw(now: number): void {
    const rates = perSecond(this.points);
    const { of, good, degraded, failed, calls } = rates.at(-1)!;
    const paths = areas(rates, now, WIDTH, HEIGHT);
    for (const outcome of ["good", "degraded", "failed"] as const) this.paths[outcome].setAttribute("d", paths[outcome]);
    const all = this.points.reduce((sum, p) => sum + p.good + p.degraded + p.failed, 0);
    const share = (outcome: Outcome) => shareText(all > 0 ? this.points.reduce((sum, p) => sum + p[outcome], 0) / all : 0);
    const who = of === "load" ? "the load" : of === "" ? "no entry" : `requests at ${of}`;
    legend(this.outcome.values, [
      ["", who],
      ["good", `good ${rateText(good)}/s (${share("good")})`],
      ["degraded", `degraded ${rateText(degraded)}/s (${share("degraded")})`],
      ["failed", `failed ${rateText(failed)}/s (${share("failed")})`],
    ]);
    const most = Math.max(2, ...this.points.map((p) => (p.calls > 0 ? p.attempts / p.calls : 1)));
    this.line.setAttribute("d", attempts(this.points, now, WIDTH, HEIGHT - 2, most));
    legend(this.tries.values, [["", calls > 0 ? `${attemptsNow(this.points).toFixed(2)} now, scale 1 to ${most.toFixed(1)}` : "no calls"]]);
    this.drawTicks(now);
  }

  private drawTicks(now: number): void {
    const marked = this.events.filter(({ kind, time }) => MARKED.has(kind) && now - Date.parse(time) <= SPAN);
    this.ticks.replaceChildren(...marked.map(({ kind, time, pod, detail }) => {
      const x = WIDTH * (1 - (now - Date.parse(time)) / SPAN);
      const tick = svg("rect", { x: round(x) - 1, y: 0, width: 3, height: HEIGHT, class: `tick ${kind.replaceAll(" ", "-")}` });
      const title = svg("title");
      title.textContent = `${clockText(new Date(time))} ${pod} ${kind}: ${detail ?? ""}`;
      tick.append(title);
      return tick;
    }));
    const last = marked.at(-1);
    legend(this.marks.values, [["", last ? `${clockText(new Date(last.time))} ${last.pod}: ${last.kind}` : "none"]]);
  }
}

function legend(element: HTMLElement, parts: [name: string, text: string][]): void {
  if (element.children.length !== parts.length) {
    element.replaceChildren(...parts.map(([name]) => make("span", name === "" ? "part" : `part swatch ${name}`)));
  }
  parts.forEach(([, text], i) => setText(element.children[i]!, text));
}

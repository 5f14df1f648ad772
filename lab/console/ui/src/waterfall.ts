/** A span: see lab/trace. Durations are in seconds. */
export interface Span {
  id: string;
  parent?: string;
  service: string;
  pod?: string;
  proxy: boolean;
  kind?: string;
  name: string;
  start: string;
  duration: number;
  status: string;
  reason?: string;
  attributes?: Record<string, unknown>;
}

export interface Summary {
  id: string;
  start: string;
  duration: number;
  root: string;
  status: string;
}

export interface Trace extends Summary {
  spans: Span[];
}

/** A bar of the waterfall. */
export interface Bar {
  span: Span;
  /** How many spans are above it. */
  depth: number;
  /** Shares of the trace's duration, from 0 to 1. */
  from: number;
  width: number;
}

/** Places the spans of a trace: each below its parent, in the order of their starts. A span whose parent is missing is at the top. */
export function bars(trace: Trace): Bar[] {
  const known = new Set(trace.spans.map(({ id }) => id));
  const children = new Map<string, Span[]>();
  for (const span of trace.spans) {
    const parent = span.parent !== undefined && span.parent !== span.id && known.has(span.parent) ? span.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const began = Math.min(...trace.spans.map(({ start }) => nanos(start)));
  const whole = Math.max(1e-9, ...trace.spans.map(({ start, duration }) => nanos(start) - began + duration));
  const placed: Bar[] = [];
  const seen = new Set<string>();
  const place = (span: Span, depth: number) => {
    if (seen.has(span.id)) return;
    seen.add(span.id);
    placed.push({ span, depth, from: (nanos(span.start) - began) / whole, width: span.duration / whole });
    (children.get(span.id) ?? []).sort((a, b) => nanos(a.start) - nanos(b.start)).forEach((child) => place(child, depth + 1));
  };
  for (const span of (children.get("") ?? []).sort((a, b) => nanos(a.start) - nanos(b.start))) place(span, 0);
  for (const span of trace.spans) place(span, 0); // a circle, which no program makes
  return placed;
}

/** Seconds since 1970, with the fraction that Date leaves out. */
export function nanos(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "0";
  return Math.floor(Date.parse(time) / 1000) + Number(`0.${fraction}`);
}

import type { Block, Flow } from "./wire";

/** "0", "0.4", "12": a number per second in at most three digits. */
export function rateText(rate: number): string {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}

/** "0 %", "0.4 %", "12 %". A share above 0 is never written as 0. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent > 0 && percent < 10 ? trim(percent.toFixed(1)) : Math.round(percent)} %`;
}

/** "0.8 ms", "12 ms", "1.2 s", "–" for none. */
export function latencyText(seconds: number): string {
  if (seconds <= 0) return "–";
  if (seconds < 0.01) return `${trim((seconds * 1000).toFixed(1))} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${trim(seconds.toFixed(1))} s`;
}

/** "16 / 301 ms", "375 ms / 4.9 s": two durations, with their unit once if it is the same. */
export function pairText(low: number, high: number): string {
  const [a, b] = [latencyText(low), latencyText(high)];
  const unit = b.slice(b.lastIndexOf(" "));
  return `${a.endsWith(unit) && a.split(" ")[1] === b.split(" ")[1] ? a.slice(0, -unit.length) : a} / ${b}`;
}

function trim(text: string): string {
  return text.endsWith(".0") ? text.slice(0, -2) : text;
}

/** "4 s", "3 min", "2 h". */
export function durationText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function clockText(time: Date): string {
  return time.toTimeString().slice(0, 8);
}

/** "ejected by api-gateway-0, back in 24 s at the earliest", "breaker open in position-tracker-0, half-open in 4 s". */
export function blockText(block: Block, now: number): string {
  const left = block.until === undefined ? undefined : Date.parse(block.until) - now;
  if (block.state === "ejected") {
    if (left === undefined) return `ejected by ${block.in}`;
    return left > 0 ? `ejected by ${block.in}, returns in ${durationText(left)} or later` : `ejected by ${block.in}, returns at the next sweep`;
  }
  if (block.state === "half-open") return `breaker half-open in ${block.in}`;
  if (left === undefined) return `breaker open in ${block.in}`;
  return left > 0 ? `breaker open in ${block.in}, half-open in ${durationText(left)}` : `breaker open in ${block.in}, half-open at the next call`;
}

/** The flow in one sentence for a screen reader. */
export function flowSpoken(flow: Flow): string {
  if (flow.rate === 0) return "no requests";
  const latency = flow.p50 > 0 ? `, half below ${latencyText(flow.p50)}, 99 % below ${latencyText(flow.p99)}` : "";
  return `${rateText(flow.rate)} requests per second, ${shareText(flow.errors)} errors${latency}`;
}

export function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

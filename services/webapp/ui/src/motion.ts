import type { Point } from "./wire";

/** A vehicle's movement on the map, from where it is drawn to where it was last reported. */
export interface Motion {
  from: Point;
  to: Point;
  /** Milliseconds of the page's clock. */
  start: number;
  duration: number;
  /** Degrees clockwise from north. */
  heading: number;
}

const METRES_A_DEGREE = 111_320;
/** Metres per second. Above it, the report starts a new journey: the vehicle jumps. */
const TOO_FAST = 100;
/** Metres. Shorter moves are GPS noise and do not turn the arrow. */
const TURNS = 1;

export function standing(at: Point): Motion {
  return { from: at, to: at, start: 0, duration: 0, heading: 0 };
}

/**
 * Returns the motion after a report at `to`, `gap` ms after the previous one. It takes `gap` ms, within
 * limits that keep it from being too fast or too far behind.
 */
export function next(motion: Motion, to: Point, gap: number, now: number): Motion {
  const from = at(motion, now);
  const moved = distance(from, to);
  const heading = moved < TURNS ? motion.heading : bearing(from, to);
  const duration = Math.min(Math.max(gap, 250), 2500);
  if (moved > (TOO_FAST * Math.max(gap, 1000)) / 1000) return { from: to, to, start: now, duration: 0, heading };
  return { from, to, start: now, duration, heading };
}

export function at(motion: Motion, now: number): Point {
  const { from, to, start, duration } = motion;
  const share = duration === 0 ? 1 : Math.min(Math.max((now - start) / duration, 0), 1);
  return { lat: from.lat + (to.lat - from.lat) * share, lng: from.lng + (to.lng - from.lng) * share };
}

export function arrived(motion: Motion, now: number): boolean {
  return now >= motion.start + motion.duration;
}

/** Returns the distance in metres on a tangent plane, accurate to a percent over the length of a step. */
export function distance(a: Point, b: Point): number {
  const east = (b.lng - a.lng) * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(east, b.lat - a.lat) * METRES_A_DEGREE;
}

function bearing(a: Point, b: Point): number {
  const east = (b.lng - a.lng) * Math.cos((a.lat * Math.PI) / 180);
  return ((Math.atan2(east, b.lat - a.lat) * 180) / Math.PI + 360) % 360;
}

import type { Point } from "./wire";

/** Points kept of a trail: the tracker's own bound. */
export const TRAIL_LIMIT = 2_000;
/** Points that may have been reported while the history was on its way. */
const OVERLAP = 30;

/** The trail with a point more at its newest end; the same place twice in a row counts once. */
export function extend(trail: Point[], point: Point): Point[] {
  const last = trail.at(-1);
  if (last !== undefined && same(last, point)) return trail;
  return [...trail, { lat: point.lat, lng: point.lng }].slice(-TRAIL_LIMIT);
}

/** The history from the API, oldest first, continued by what was seen since it was asked for. */
export function join(history: Point[], since: Point[]): Point[] {
  const trail = history.slice(-TRAIL_LIMIT);
  // Only the end is compared: on its next journey a vehicle passes every point again.
  const end = trail.slice(-OVERLAP);
  const overlap = since.findLastIndex((point) => end.some((other) => same(other, point)));
  return since.slice(overlap + 1).reduce(extend, trail);
}

/** Pieces to draw: a new journey starts a new piece. `far` reports whether two points belong to different journeys. */
export function pieces(trail: Point[], far: (a: Point, b: Point) => boolean): Point[][] {
  const all: Point[][] = [];
  trail.forEach((point, i) => {
    const before = trail[i - 1];
    if (before === undefined || far(before, point)) all.push([]);
    all.at(-1)?.push(point);
  });
  return all;
}

function same(a: Point, b: Point): boolean {
  return a.lat === b.lat && a.lng === b.lng;
}

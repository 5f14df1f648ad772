import type { Point } from "./wire";

/** Largest number of points of a trail, as in the tracker. */
export const TRAIL_LIMIT = 2_000;
/** Largest number of points that are reported while the history is being requested. */
const OVERLAP = 30;

/** Returns the trail with a point added at its newest end, unless it is equal to the last one. */
export function extend(trail: Point[], point: Point): Point[] {
  const last = trail.at(-1);
  if (last !== undefined && same(last, point)) return trail;
  return [...trail, { lat: point.lat, lng: point.lng }].slice(-TRAIL_LIMIT);
}

/** Returns the history from the API, oldest first, continued by the points that arrived since it was requested. */
export function join(history: Point[], since: Point[]): Point[] {
  const trail = history.slice(-TRAIL_LIMIT);
  // Only the end is compared: on its next journey a vehicle visits all points again.
  const end = trail.slice(-OVERLAP);
  const overlap = since.findLastIndex((point) => end.some((other) => same(other, point)));
  return since.slice(overlap + 1).reduce(extend, trail);
}

/** Returns the pieces of a trail, one per journey. `far` reports whether two points belong to different journeys. */
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

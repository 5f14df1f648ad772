// Returns the part of a closed ring inside a box, [] if there is none (Sutherland-Hodgman).
export function clipRing(ring, { west, east, south, north }) {
  const edges = [
    { inside: (p) => p[0] >= west, at: (a, b) => cross(a, b, 0, west) },
    { inside: (p) => p[0] <= east, at: (a, b) => cross(a, b, 0, east) },
    { inside: (p) => p[1] >= south, at: (a, b) => cross(a, b, 1, south) },
    { inside: (p) => p[1] <= north, at: (a, b) => cross(a, b, 1, north) },
  ];
  return edges.reduce((points, { inside, at }) => {
    const kept = [];
    points.forEach((point, i) => {
      const before = points.at(i - 1);
      if (inside(point) !== inside(before)) kept.push(at(before, point));
      if (inside(point)) kept.push(point);
    });
    return kept;
  }, ring);
}

function cross(a, b, axis, value) {
  const share = (value - a[axis]) / (b[axis] - a[axis]);
  return [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];
}

// Simplifies a line (Douglas-Peucker). The tolerance is in degrees of latitude; a degree of longitude counts
// 0.6, as in the middle of Britain.
export function simplify(points, tolerance) {
  if (points.length < 3) return points;
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const spans = [[0, points.length - 1]];
  while (spans.length > 0) {
    const [from, to] = spans.pop();
    let worst = 0;
    let at = -1;
    for (let i = from + 1; i < to; i++) {
      const d = distance(points[i], points[from], points[to]);
      if (d > worst) [worst, at] = [d, i];
    }
    if (worst > tolerance) {
      keep[at] = 1;
      spans.push([from, at], [at, to]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

function distance([px, py], [ax, ay], [bx, by]) {
  const [x, y, dx, dy] = [(px - ax) * 0.6, py - ay, (bx - ax) * 0.6, by - ay];
  const length2 = dx * dx + dy * dy;
  const t = length2 === 0 ? 0 : Math.max(0, Math.min(1, (x * dx + y * dy) / length2));
  return Math.hypot(x - t * dx, y - t * dy);
}

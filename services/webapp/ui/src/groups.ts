export interface Spot {
  x: number;
  y: number;
}

/**
 * Returns the groups of spots that overlap, each as indices with its leader first. A spot joins the first
 * leader that is closer than `near` pixels. The spots of a group below `smallest` are returned one by one.
 */
export function group(spots: Spot[], near: number, smallest: number): number[][] {
  const groups: number[][] = [];
  const cells = new Map<string, number[][]>();
  spots.forEach((spot, i) => {
    const column = Math.floor(spot.x / near);
    const row = Math.floor(spot.y / near);
    const found = around(column, row)
      .flatMap((cell) => cells.get(cell) ?? [])
      .filter(([leader]) => distance(spots[leader!]!, spot) < near)
      .sort(([a], [b]) => a! - b!)[0];
    if (found !== undefined) {
      found.push(i);
      return;
    }
    const own = [i];
    groups.push(own);
    const cell = `${column},${row}`;
    cells.set(cell, [...(cells.get(cell) ?? []), own]);
  });
  return groups.flatMap((members) => (members.length < smallest ? members.map((i) => [i]) : [members]));
}

function around(column: number, row: number): string[] {
  return [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => `${column + dx},${row + dy}`));
}

function distance(a: Spot, b: Spot): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

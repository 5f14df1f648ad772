/** A label to place on the map: its anchor and its size, in pixels. */
export interface Label {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type Side = "right" | "left" | "above" | "below";

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * Returns the side of the anchor on which each label is placed, undefined for a label without room. Earlier
 * labels take precedence. `gap` is the distance from the anchor in pixels, which is also kept free for
 * markers. An anchor under an obstacle has no label.
 */
export function place(labels: Label[], gap: number, sides: Side[], obstacles: Box[] = []): (Side | undefined)[] {
  const anchors = labels.map(({ x, y }) => around(x, y, gap * 0.7));
  const taken = [...anchors, ...obstacles];
  return labels.map((label, i) => {
    const own = anchors[i];
    if (own === undefined || obstacles.some((box) => overlap(own, box))) return undefined;
    const side = sides.find((side) => {
      const wanted = box(label, gap, side);
      return !taken.some((other) => other !== own && overlap(wanted, other));
    });
    if (side !== undefined) taken.push(box(label, gap, side));
    return side;
  });
}

/** Returns the boxes that placed labels and their markers cover. */
export function covered(labels: Label[], gap: number, sides: (Side | undefined)[]): Box[] {
  return labels.flatMap((label, i) => {
    const side = sides[i];
    const marker = around(label.x, label.y, gap * 0.7);
    return side === undefined ? [marker] : [marker, box(label, gap, side)];
  });
}

function around(x: number, y: number, by: number): Box {
  return { left: x - by, top: y - by, right: x + by, bottom: y + by };
}

function box({ x, y, width, height }: Label, gap: number, side: Side): Box {
  const left = { right: x + gap, left: x - gap - width, above: x - width / 2, below: x - width / 2 }[side];
  const top = { right: y - height / 2, left: y - height / 2, above: y - gap - height, below: y + gap }[side];
  return { left, top, right: left + width, bottom: top + height };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

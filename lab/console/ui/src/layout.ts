import dagre from "@dagrejs/dagre";

export interface Size {
  width: number;
  height: number;
}

export interface Place extends Size {
  /** The left upper corner. */
  x: number;
  y: number;
}

export interface Way {
  from: string;
  to: string;
  /** An SVG path from one node to the other. */
  path: string;
  /** The centre of the label. */
  x: number;
  y: number;
}

export interface Layout extends Size {
  nodes: Map<string, Place>;
  edges: Way[];
}

/** A call, and the size of its label. */
export interface Call {
  from: string;
  to: string;
  label: Size;
}

/** Places nodes in the direction of their calls. */
export function layout(nodes: Map<string, Size>, edges: Call[], direction: "LR" | "TB"): Layout {
  const graph = new dagre.graphlib.Graph({ multigraph: false });
  graph.setGraph({ rankdir: direction, nodesep: direction === "LR" ? 22 : 14, ranksep: 12, edgesep: 8, marginx: 6, marginy: 6 });
  for (const [id, size] of nodes) graph.setNode(id, { ...size });
  for (const { from, to, label } of edges) {
    if (from !== to && nodes.has(from) && nodes.has(to)) graph.setEdge(from, to, { ...label, labelpos: "c" });
  }
  dagre.layout(graph);
  const places = new Map<string, Place>();
  for (const id of graph.nodes()) {
    const { x, y, width, height } = graph.node(id);
    places.set(id, { x: x - width / 2, y: y - height / 2, width, height });
  }
  const ways = graph.edges().map(({ v, w }): Way => {
    const { points, x, y } = graph.edge({ v, w }) as { points: { x: number; y: number }[]; x: number; y: number };
    return { from: v, to: w, path: curve(points), x, y };
  });
  const { width = 0, height = 0 } = graph.graph();
  // -Infinity without nodes.
  return { nodes: places, edges: ways, width: Math.max(0, width), height: Math.max(0, height) };
}

/** A smooth path through points: quadratic curves between the middles of their lines. */
export function curve(points: { x: number; y: number }[]): string {
  const at = (p: { x: number; y: number }) => `${round(p.x)},${round(p.y)}`;
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let path = `M${at(first)}`;
  rest.forEach((point, i) => {
    const next = rest[i + 1];
    if (next === undefined) path += `L${at(point)}`;
    else path += `Q${at(point)} ${at({ x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 })}`;
  });
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

import { make, setName, setText, svg } from "./dom";
import { health, healthText } from "./health";
import { layout, type Call, type Size } from "./layout";
import { blockText, flowSpoken, latencyText, pairText, rateText, shareText } from "./text";
import type { Block, Edge, Node, Pod, State } from "./wire";

/** Number of pods from which a node shows tiles instead of rows. */
const TILES_FROM = 7;
/** Number of lines about blocks and faults in a row of a pod. */
const LINES = 3;
/** The graph is drawn from top to bottom below this width, in CSS pixels. */
const NARROW = 620;
/** The smallest scale at which text is readable; a larger graph is scrolled. */
const LEAST_SCALE = 0.72;

export type Selection = { node: string; pod?: string };

interface Card {
  element: HTMLElement;
  title: HTMLButtonElement;
  badges: HTMLElement;
  pods: HTMLElement;
  tiles: HTMLElement;
  rows: Map<string, Row>;
}

interface Row {
  element: HTMLElement;
  button: HTMLButtonElement;
  name: HTMLElement;
  numbers: HTMLElement;
  lines: HTMLElement;
}

interface Drawn {
  path: SVGPathElement;
  flow: SVGPathElement;
  failures: SVGPathElement;
  label: HTMLElement;
  seen: HTMLElement;
  spoken: HTMLElement;
  rate: HTMLElement;
  icons: HTMLElement;
  errors: HTMLElement;
  latency: HTMLElement;
  retries: HTMLElement;
}

/** The graph of services. It keeps its elements and changes their text, so that the focus is not lost. */
export class Graph {
  private readonly lines = svg("svg", { class: "lines", "aria-hidden": "true" });
  private readonly cards = new Map<string, Card>();
  private readonly edges = new Map<string, Drawn>();
  private shape = "";
  private size: Size = { width: 0, height: 0 };

  constructor(
    private readonly viewport: HTMLElement,
    private readonly canvas: HTMLElement,
    private readonly onSelect: (selection: Selection) => void,
  ) {
    const marker = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 11, markerHeight: 11, markerUnits: "userSpaceOnUse", orient: "auto" });
    marker.append(svg("path", { d: "M0 0L8 4L0 8z", class: "head" }));
    const defs = svg("defs");
    defs.append(marker);
    this.lines.append(defs);
    canvas.append(this.lines);
    new ResizeObserver(() => this.fit()).observe(viewport);
  }

  show(state: State, selected: Selection | undefined): void {
    const now = Date.parse(state.time);
    const nodes = state.nodes ?? [];
    const edges = state.edges ?? [];
    this.drop(this.cards, new Set(nodes.map(({ id }) => id)), ({ element }) => element.remove());
    this.drop(this.edges, new Set(edges.map(key)), (drawn) => [drawn.path, drawn.flow, drawn.failures, drawn.label].forEach((e) => e.remove()));
    for (const node of nodes) this.showNode(node, now, selected);
    for (const edge of edges) this.showEdge(edge);
    this.place(nodes, edges);
  }

  private drop<T>(from: Map<string, T>, keep: Set<string>, remove: (value: T) => void): void {
    for (const [id, value] of from) {
      if (keep.has(id)) continue;
      remove(value);
      from.delete(id);
    }
  }

  private showNode(node: Node, now: number, selected: Selection | undefined): void {
    const card = this.cards.get(node.id) ?? this.addCard(node);
    const library = node.pods.some((pod) => pod.library);
    const proxied = node.pods.some((pod) => pod.proxied) || node.kind === "gateway";
    const badges = node.kind === "external" ? "outside" : node.kind === "gateway" ? "gateway" : [library ? "library" : "", proxied ? "proxy" : ""].filter(Boolean).join(" · ");
    setText(card.badges, badges);
    card.title.setAttribute("aria-pressed", String(selected?.node === node.id && selected.pod === undefined));
    const tiles = node.pods.length >= TILES_FROM;
    const rows = tiles ? node.pods.filter((pod) => health(pod) !== "good").slice(0, TILES_FROM - 1) : node.pods;
    this.drop(card.rows, new Set(rows.map(({ name }) => name)), ({ element }) => element.remove());
    rows.forEach((pod, i) => {
      const row = card.rows.get(pod.name) ?? this.addRow(card, node, pod);
      if (card.pods.children[i] !== row.element) card.pods.insertBefore(row.element, card.pods.children[i] ?? null);
      this.showRow(row, node, pod, now, selected);
    });
    this.showTiles(card, node, tiles ? node.pods : []);
  }

  private addCard(node: Node): Card {
    const element = make("section", `card ${node.kind}`);
    const head = make("div", "head");
    const title = make("button", "title");
    setName(title, node.id);
    title.type = "button";
    title.addEventListener("click", () => this.onSelect({ node: node.id }));
    const badges = make("span", "badges");
    const heading = make("h3");
    heading.append(title);
    head.append(heading, badges);
    const pods = make("ul", "pods");
    const tiles = make("ul", "tiles");
    tiles.setAttribute("aria-label", `Pods of ${node.id}`);
    element.append(head, pods, tiles);
    element.setAttribute("aria-label", node.id);
    this.canvas.append(element);
    const card = { element, title, badges, pods, tiles, rows: new Map<string, Row>() };
    this.cards.set(node.id, card);
    return card;
  }

  private addRow(card: Card, node: Node, pod: Pod): Row {
    const element = make("li", "pod");
    const button = make("button", "pick");
    button.type = "button";
    button.addEventListener("click", () => this.onSelect({ node: node.id, pod: pod.name }));
    const name = make("span", "name");
    const numbers = make("span", "numbers");
    const lines = make("span", "trouble");
    button.append(make("span", "dot"), name, numbers, lines);
    element.append(button);
    const row = { element, button, name, numbers, lines };
    card.rows.set(pod.name, row);
    return row;
  }

  private showRow(row: Row, node: Node, pod: Pod, now: number, selected: Selection | undefined): void {
    row.element.dataset["health"] = health(pod);
    row.button.setAttribute("aria-pressed", String(selected?.node === node.id && selected.pod === pod.name));
    setName(row.name, pod.name + (pod.variant && pod.variant !== "standard" ? ` (${pod.variant})` : ""));
    const { rate, errors, p99 } = pod.received;
    const restarts = pod.restarts > 0 ? ` · ${pod.restarts}↻` : "";
    setText(row.numbers, (!pod.serves ? "sends only" : rate > 0 ? `${rateText(rate)}/s · ${shareText(errors)} · ${latencyText(p99)}` : "no requests") + restarts);
    row.numbers.title = pod.serves ? "requests per second · errors · 99 % are faster · restarts" : "";
    const lines = [healthText(pod), ...(pod.blocks ?? []).map((block) => blockText(block, now))].filter((line) => line !== "");
    const shown = lines.slice(0, LINES);
    if (lines.length > LINES) shown.push(`and ${lines.length - LINES} more`);
    setText(row.lines, shown.join("\n"));
  }

  private showTiles(card: Card, node: Node, pods: Pod[]): void {
    const tiles = [...card.tiles.children] as HTMLElement[];
    tiles.slice(pods.length).forEach((tile) => tile.remove());
    pods.forEach((pod, i) => {
      let tile = tiles[i];
      if (tile === undefined) {
        tile = make("li", "tile");
        const button = make("button");
        button.type = "button";
        button.addEventListener("click", () => this.onSelect({ node: node.id, pod: button.dataset["pod"] ?? "" }));
        tile.append(button);
        card.tiles.append(tile);
      }
      const button = tile.firstElementChild as HTMLButtonElement;
      button.dataset["pod"] = button.title = pod.name;
      if (button.dataset["health"] === health(pod)) return;
      button.dataset["health"] = health(pod);
      button.setAttribute("aria-label", `${pod.name}, ${health(pod)}`);
    });
  }

  private showEdge(edge: Edge): void {
    const drawn = this.edges.get(key(edge)) ?? this.addEdge(edge);
    setText(drawn.spoken, `${edge.from} to ${edge.to}: ${flowSpoken(edge)}`);
    setText(drawn.rate, `${rateText(edge.rate)}/s`);
    setText(drawn.errors, edge.rate > 0 ? `${shareText(edge.errors)} errors` : "");
    setText(drawn.latency, edge.rate > 0 && edge.p50 > 0 ? pairText(edge.p50, edge.p99) : "");
    const retries: [by: string, rate: number][] = [["library", edge.retries], ["mesh", edge.meshRetries]];
    setText(drawn.retries, retries.flatMap(([by, rate]) => (rate > 0.05 ? `↻ ${rateText(rate)}/s ${by}` : [])).join("\n"));
    this.showIcons(drawn, edge);
    drawn.label.dataset["errors"] = String(edge.rate > 0 && edge.errors >= 0.01);
    drawn.label.dataset["idle"] = String(edge.rate === 0);
    drawn.path.classList.toggle("blocked", (edge.blocks ?? []).length > 0);
    const level = flowLevel(edge.rate * (1 - edge.errors));
    if (drawn.flow.dataset["level"] !== level) drawn.flow.dataset["level"] = level;
    const failing = flowLevel(edge.rate * edge.errors);
    if (drawn.failures.dataset["level"] !== failing) drawn.failures.dataset["level"] = failing;
  }

  private showIcons(drawn: Drawn, edge: Edge): void {
    const wanted = [edge.tls ?? "", ...makers(edge.blocks ?? [])].filter((name) => name !== "");
    if (drawn.icons.dataset["shown"] === wanted.join(" ")) return;
    drawn.icons.dataset["shown"] = wanted.join(" ");
    drawn.icons.replaceChildren(...wanted.map(icon));
  }

  private addEdge(edge: Edge): Drawn {
    const drawn: Drawn = {
      path: svg("path", { class: "edge", "marker-end": "url(#arrow)" }),
      flow: svg("path", { class: "flow" }),
      failures: svg("path", { class: "flow failures" }),
      label: make("div", "label"),
      seen: make("div", "seen"),
      spoken: make("span", "spoken"),
      rate: make("span", "rate"),
      icons: make("span", "icons"),
      errors: make("span", "errors"),
      latency: make("span"),
      retries: make("span", "retries"),
    };
    drawn.seen.append(drawn.rate, drawn.errors, drawn.latency, drawn.retries, drawn.icons);
    drawn.latency.title = "half of the calls are faster / 99 % are faster";
    [drawn.rate, drawn.errors, drawn.latency, drawn.retries].forEach((e) => e.setAttribute("aria-hidden", "true"));
    drawn.label.append(drawn.spoken, drawn.seen);
    this.lines.append(drawn.path, drawn.flow, drawn.failures);
    this.canvas.append(drawn.label);
    this.edges.set(key(edge), drawn);
    return drawn;
  }

  /** Lays the graph out when its shape has changed. */
  private place(nodes: Node[], edges: Edge[]): void {
    const sizes = new Map(nodes.map(({ id }): [string, Size] => {
      const { offsetWidth, offsetHeight } = this.cards.get(id)!.element;
      return [id, { width: offsetWidth, height: offsetHeight }];
    }));
    const direction = this.viewport.clientWidth < NARROW ? "TB" : "LR";
    const calls = edges.map(({ from, to }): Call => {
      const { offsetWidth, offsetHeight } = this.edges.get(key({ from, to }))!.seen;
      return { from, to, label: { width: step(offsetWidth), height: step(offsetHeight) } };
    });
    const shape = JSON.stringify([direction, [...sizes], calls]);
    if (shape === this.shape) return;
    this.shape = shape;
    const placed = layout(sizes, calls, direction);
    this.size = placed;
    for (const [id, { x, y }] of placed.nodes) this.cards.get(id)!.element.style.transform = `translate(${x}px, ${y}px)`;
    const ways = new Map(placed.edges.map((way) => [key(way), way]));
    for (const [id, drawn] of this.edges) {
      const way = ways.get(id);
      drawn.label.classList.toggle("unplaced", way === undefined); // a call of a service to itself
      if (way === undefined) continue;
      for (const path of [drawn.path, drawn.flow, drawn.failures]) path.setAttribute("d", way.path);
      drawn.label.style.transform = `translate(${way.x}px, ${way.y}px)`;
    }
    this.lines.setAttribute("width", String(placed.width));
    this.lines.setAttribute("height", String(placed.height));
    this.fit();
  }

  /** Scales the graph to the width of its viewport. */
  private fit(): void {
    const scale = Math.max(LEAST_SCALE, Math.min(1.15, (this.viewport.clientWidth - 4) / Math.max(this.size.width, 1)));
    const { style } = this.canvas;
    style.transform = `scale(${scale})`;
    style.width = `${this.size.width}px`;
    style.height = `${this.size.height}px`;
    style.marginBottom = `${this.size.height * (scale - 1)}px`;
    style.marginRight = `${this.size.width * (scale - 1)}px`;
    const free = this.viewport.clientWidth - this.size.width * scale;
    style.marginLeft = `${Math.max(0, free / 2)}px`;
    style.marginTop = `${Math.max(0, Math.min(48, (this.viewport.clientHeight - 20 - this.size.height * scale) / 2))}px`;
  }
}

function key({ from, to }: { from: string; to: string }): string {
  return `${from} → ${to}`;
}

/** The size of a label in large steps, so that another digit moves nothing. */
function step(size: number): number {
  return Math.max(72, Math.ceil(size / 24) * 24);
}

/** Speeds of the moving traffic, by requests per second. A step changes seldom, because a change restarts the motion. */
function flowLevel(rate: number): string {
  const steps = [0.05, 1, 5, 20, 80];
  return String(steps.filter((step) => rate >= step).length);
}

/** What made the blocks, each once. */
function makers(blocks: Block[]): string[] {
  return [...new Set(blocks.map(({ by }) => by))].sort();
}

const ICONS: Record<string, { path: string; text: string; shown: string }> = {
  mutual: { path: "M4 7V5a4 4 0 0 1 8 0v2h1v7H3V7zm2 0h4V5a2 2 0 0 0-4 0z", text: "mutual TLS", shown: "" },
  mixed: { path: "M4 7V5a4 4 0 0 1 8 0v2h1v7H3V7zm2 0h4V5a2 2 0 0 0-4 0z", text: "mutual TLS on a part of the connections", shown: "partly" },
  plain: { path: "M4 7V5a4 4 0 0 1 7.5-2l-1.7 1A2 2 0 0 0 6 5v2h7v7H3V7z", text: "plaintext", shown: "" },
  library: { path: "M9 0L3 9h4l-1 7 7-10H9z", text: "a breaker of the library is not closed", shown: "library" },
  mesh: { path: "M9 0L3 9h4l-1 7 7-10H9z", text: "the mesh ejects a host", shown: "mesh" },
};

function icon(name: string): HTMLElement {
  const { path, text, shown } = ICONS[name]!;
  const element = make("span", `icon ${name}`);
  const picture = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
  picture.append(svg("path", { d: path }));
  const seen = make("span", "", shown);
  seen.setAttribute("aria-hidden", "true");
  element.title = text;
  element.append(picture, seen, make("span", "spoken", text));
  return element;
}

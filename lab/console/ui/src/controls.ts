import { change } from "./api";
import { command } from "./command";
import { button, CommandLine, field, make, setText } from "./dom";
import type { Selection } from "./graph";
import { healthText } from "./health";
import { PRESETS, RESILIENCE, VARIANTS } from "./presets";
import { blockText, clockText, durationText, flowSpoken } from "./text";
import type { Change, Node, Pod, State } from "./wire";

/** The panel of the selected pod or service. */
export class Controls {
  private readonly title = make("h2");
  private readonly facts = make("dl", "facts");
  private readonly blocks = make("ul", "blocks");
  /** The result of a change of a Deployment, whose controls are made again when its pods change. */
  private readonly outcome = result();
  private readonly actions = make("div", "actions");
  private shown = "";
  private of = "";
  private cannot: Record<string, string> = {};

  constructor(
    private readonly panel: HTMLElement,
    private readonly announce: (text: string) => void,
    private readonly select: (selection: Selection) => void,
  ) {
    panel.append(this.title, this.facts, this.blocks, this.outcome, this.actions);
  }

  show(state: State, selected: Selection | undefined): void {
    this.cannot = state.cannot ?? {};
    const node = (state.nodes ?? []).find(({ id }) => id === selected?.node);
    const pod = node?.pods.find(({ name }) => name === selected?.pod);
    if (node === undefined || (selected?.pod !== undefined && pod === undefined)) {
      setText(this.title, selected === undefined ? "Nothing selected" : `${selected.pod ?? selected.node} is gone`);
      if (this.shown !== "") this.clear();
      return;
    }
    setText(this.title, pod?.name ?? node.id);
    this.showActions(node, pod);
    this.showFacts(pod ? podFacts(pod, state) : nodeFacts(node, state));
    const now = Date.parse(state.time);
    const lines = (pod ? (pod.blocks ?? []) : node.pods.flatMap((p) => p.blocks ?? [])).map((block) => `${blockText(block, now)}${block.cause ? `: ${block.cause}` : ""}`);
    if (lines.join("\n") !== [...this.blocks.children].map((e) => e.textContent).join("\n")) this.blocks.replaceChildren(...lines.map((line) => make("li", "", line)));
  }

  /** Makes the controls again when the selection or its pods have changed. */
  private showActions(node: Node, pod: Pod | undefined): void {
    const shape = JSON.stringify([node.id, pod?.name, pod ? [] : node.pods.map(({ name, library }) => [name, library])]);
    if (shape === this.shown) return;
    const other = JSON.stringify([node.id, pod?.name]);
    if (other !== this.of) setText(this.outcome, "");
    this.of = other;
    this.outcome.hidden = pod !== undefined;
    this.clear();
    this.shown = shape;
    if (pod) this.addPod(node, pod);
    else this.addNode(node);
  }

  private clear(): void {
    this.shown = "";
    this.facts.replaceChildren();
    this.blocks.replaceChildren();
    this.actions.replaceChildren();
  }

  private showFacts(facts: [string, string][]): void {
    while (this.facts.children.length > 2 * facts.length) this.facts.lastElementChild!.remove();
    facts.forEach(([name, value], i) => {
      if (this.facts.children.length <= 2 * i) this.facts.append(make("dt"), make("dd"));
      setText(this.facts.children[2 * i]!, name);
      setText(this.facts.children[2 * i + 1]!, value);
    });
  }

  private addPod(node: Node, pod: Pod): void {
    if (pod.serves) this.actions.append(this.faults(pod));
    this.actions.append(this.process(pod), button(`Show ${node.id}`, () => this.select({ node: node.id }), "link"));
  }

  private addNode(node: Node): void {
    const list = make("ul", "links");
    for (const pod of node.pods) {
      const item = make("li");
      item.append(button(pod.name, () => this.select({ node: node.id, pod: pod.name }), "link"));
      list.append(item);
    }
    this.actions.append(list);
    if (node.kind !== "service") return;
    for (const name of new Set(node.pods.map(({ deployment }) => deployment))) {
      this.actions.append(this.deployment(name, node.pods.filter(({ deployment }) => deployment === name)));
    }
  }

  /** The controls of a Deployment: number of pods, variant, resilience. */
  private deployment(name: string, pods: Pod[]): HTMLElement {
    const group = fieldset(`Deployment ${name}`);
    const scale = (by: number): Change => ({ do: "scale", deployment: name, replicas: pods.length + by });
    const more = button("One pod more", () => void this.do(this.panel, scale(1)));
    const fewer = button("One pod fewer", () => void this.do(this.panel, scale(-1)));
    fewer.disabled = pods.length === 1;
    group.append(row(more, fewer), new CommandLine(command(scale(1)), this.announce).element);
    const program = pods[0]?.image.replace(/^.*\//, "").replace(/^istio-fleetman-/, "").replace(/:.*$/, "") ?? "";
    const variants = VARIANTS[program] ?? [];
    if (variants.length > 0) group.append(...this.choice("Variant", variants, pods[0]?.variant ?? "standard", (value) => ({ do: "set", deployment: name, name: "VARIANT", value })));
    const library = pods.some((pod) => pod.library) ? "library" : "off";
    group.append(...this.choice("Resilience of the library", RESILIENCE, library, (value) => ({ do: "set", deployment: name, name: "RESILIENCE", value })));
    return group;
  }

  private choice(name: string, values: string[], now: string, wanted: (value: string) => Change): HTMLElement[] {
    const select = make("select");
    select.append(...values.map((value) => new Option(value, value, value === now, value === now)));
    const line = new CommandLine(command(wanted(select.value)), this.announce);
    select.addEventListener("change", () => line.set(command(wanted(select.value))));
    return [field(name, select), row(button("Set", () => void this.do(this.panel, wanted(select.value)))), line.element];
  }

  private faults(pod: Pod): HTMLElement {
    const group = fieldset("Faults");
    const preset = make("select");
    preset.append(new Option("choose a fault, or write a rule", ""), ...PRESETS.map(({ name, rules }) => new Option(name, rules)));
    const rules = make("input");
    rules.type = "text";
    rules.spellcheck = false;
    rules.autocomplete = "off";
    rules.placeholder = "status=502,rate=0.5";
    rules.value = pod.faults ?? "";
    const line = new CommandLine("", this.announce);
    const wanted = (): Change => ({ do: "fault", pod: pod.name, rules: rules.value });
    const update = () => line.set(command(wanted()));
    preset.addEventListener("change", () => {
      rules.value = preset.value;
      update();
    });
    rules.addEventListener("input", update);
    update();
    const set = button("Set", () => void this.do(group, wanted()), "button primary");
    const clear = button("Clear", () => {
      rules.value = preset.value = "";
      update();
      void this.do(group, wanted());
    });
    group.append(field("Preset", preset), field("Rules", rules), row(set, clear), line.element, result());
    return group;
  }

  private process(pod: Pod): HTMLElement {
    const group = fieldset("Process");
    const changes: [string, Change][] = [
      ["End it", { do: "kill", pod: pod.name, signal: "TERM" }],
      ["Kill it", { do: "kill", pod: pod.name, signal: "KILL" }],
      ["Stop it for 5 s", { do: "pause", pod: pod.name }],
    ];
    for (const [name, wanted] of changes) {
      const run = button(name, () => void this.do(group, wanted));
      const why = this.cannot[wanted.do];
      run.disabled = why !== undefined;
      group.append(row(run, why === undefined ? new CommandLine(command(wanted), this.announce).element : make("p", "note", why)));
    }
    group.append(result());
    return group;
  }

  private async do(group: HTMLElement, wanted: Change): Promise<void> {
    await perform(group, () => change(wanted), this.announce);
  }
}

/** Runs an action and shows its result, or its error, in the group's line. */
export async function perform(group: HTMLElement, action: () => Promise<string>, announce: (text: string) => void): Promise<void> {
  const line = group.querySelector<HTMLElement>(".result")!;
  line.dataset["state"] = "busy";
  setText(line, "…");
  try {
    const did = await action();
    line.dataset["state"] = "done";
    setText(line, did);
  } catch (error) {
    line.dataset["state"] = "failed";
    setText(line, error instanceof Error ? error.message : String(error));
  }
  announce(line.textContent ?? "");
}

export function fieldset(legend: string): HTMLFieldSetElement {
  const group = make("fieldset");
  group.append(make("legend", "", legend));
  return group;
}

export function row(...children: HTMLElement[]): HTMLElement {
  const element = make("div", "row");
  element.append(...children);
  return element;
}

export function result(): HTMLElement {
  return make("p", "result");
}

function podFacts(pod: Pod, state: State): [string, string][] {
  const facts: [string, string][] = [
    ["State", pod.ready ? "ready" : `${pod.state}${pod.why ? `: ${pod.why}` : ""}`],
    ["Receives", pod.serves ? flowSpoken(pod.received) : "no requests: it only sends"],
    ["Image", pod.image + (pod.variant ? `, variant ${pod.variant}` : "")],
    ["Deployment", pod.deployment],
    ["Resilience", [pod.library ? "library" : "", pod.proxied ? "proxy" : ""].filter(Boolean).join(", ") || "none"],
    ["Restarts", String(pod.restarts) + (pod.started ? `, runs for ${durationText(Date.parse(state.time) - Date.parse(pod.started))}` : "")],
  ];
  if (pod.faults) facts.push(["Faults", pod.faults]);
  return facts;
}

function nodeFacts(node: Node, state: State): [string, string][] {
  const ready = node.pods.filter((pod) => pod.ready).length;
  const facts: [string, string][] = node.kind === "service" ? [["Pods", `${ready} of ${node.pods.length} ready`]] : [["Kind", node.kind === "gateway" ? "gateway of the mesh" : "outside of the fleet"]];
  for (const edge of state.edges ?? []) {
    if (edge.to === node.id) facts.push([`From ${edge.from}`, flowSpoken(edge)]);
    if (edge.from === node.id) facts.push([`To ${edge.to}`, flowSpoken(edge)]);
  }
  const troubled = node.pods.filter((pod) => healthText(pod) !== "");
  if (troubled.length > 0) facts.push(["Trouble", troubled.map((pod) => `${pod.name}: ${healthText(pod)}`).join("; ")]);
  facts.push(["As of", clockText(new Date(state.time))]);
  return facts;
}


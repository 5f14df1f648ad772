import { change, setLoad } from "./api";
import { command, loadCommand } from "./command";
import { fieldset, perform, result, row } from "./controls";
import { button, CommandLine, field, make, setText } from "./dom";
import { latencyText, shareText } from "./text";
import type { Lessons, Load, State } from "./wire";

const MAX_RATE = 200;
const STREAMS: [name: string, label: string][] = [
  ["positions", "Positions of all vehicles"],
  ["driver", "Driver of a vehicle"],
  ["history", "Trail of a vehicle"],
];

/** The panel of the load and the scenario. */
export class Traffic {
  private readonly rate = range();
  private readonly shares = new Map<string, HTMLInputElement>();
  private readonly line: CommandLine;
  private readonly outcome = make("p", "outcome");
  private readonly scenario = make("select");
  private readonly value = make("output", "value");
  private loaded = false;
  private latest: Load | undefined;

  constructor(
    panel: HTMLElement,
    private readonly announce: (text: string) => void,
    onApplied: () => void,
  ) {
    this.line = new CommandLine("", announce);
    panel.append(make("h2", "", "Load and scenario"), this.load(), this.scenarios(onApplied));
  }

  private load(): HTMLElement {
    const group = fieldset("Load at the entry");
    const slider = field("Requests per second", this.rate);
    slider.append(this.value);
    group.append(slider);
    for (const [name, label] of STREAMS) {
      const share = make("input");
      share.type = "number";
      share.min = "0";
      share.max = "100";
      share.value = "1";
      share.addEventListener("change", () => void this.send(group));
      share.addEventListener("input", () => this.update());
      this.shares.set(name, share);
      group.append(field(`${label}: parts`, share));
    }
    this.rate.addEventListener("input", () => this.update());
    this.rate.addEventListener("change", () => void this.send(group));
    group.append(row(button("Off", () => {
      this.rate.value = "0";
      void this.send(group);
    })), this.outcome, this.line.element, result());
    return group;
  }

  private update(): void {
    setText(this.value, `${this.rate.value}/s`);
    if (this.latest) this.line.set(loadCommand(Number(this.rate.value), this.mix(), this.latest));
  }

  private mix(): Record<string, number> {
    return Object.fromEntries([...this.shares].map(([name, input]) => [name, Math.trunc(Number(input.value))]));
  }

  private async send(group: HTMLElement): Promise<void> {
    this.update();
    const rate = Number(this.rate.value);
    await perform(group, async () => {
      await setLoad(rate, this.mix());
      return rate === 0 ? "The load is off." : `${rate} requests per second.`;
    }, this.announce);
  }

  private scenarios(onApplied: () => void): HTMLElement {
    const group = fieldset("Scenario");
    const line = new CommandLine("", this.announce);
    this.scenario.addEventListener("change", () => line.set(command({ do: "apply", scenario: this.scenario.value })));
    const apply = button("Apply", () => {
      void perform(group, () => change({ do: "apply", scenario: this.scenario.value }), this.announce).then(onApplied);
    }, "button primary");
    group.append(field("Manifests", this.scenario), row(apply), line.element, result());
    return group;
  }

  showLessons({ scenarios, open }: Lessons): void {
    this.scenario.replaceChildren(...scenarios.map(({ name, title }) => new Option(`${name}: ${title}`, name, name === open?.name, name === open?.name)));
    this.scenario.dispatchEvent(new Event("change"));
  }

  show({ load }: State): void {
    this.latest = load;
    if (!this.loaded) {
      this.loaded = true;
      this.rate.value = String(load.rate);
      for (const [name, input] of this.shares) input.value = String(load.mix[name] ?? 0);
      this.update();
    }
    setText(this.outcome, load.problem ? load.problem : outcome(load));
  }
}

/** What became of the load's requests, "" before the first one. */
export function outcome(load: Load): string {
  if (load.sent === 0) return "";
  const share = (n: number) => shareText(n / load.sent);
  const latency = load.p50 > 0 ? `; now half within ${latencyText(load.p50)}, 99 % within ${latencyText(load.p99)}` : "";
  return `${load.sent} answered: ${share(load.good)} good, ${share(load.degraded)} degraded, ${share(load.failed)} failed${latency}`;
}

function range(): HTMLInputElement {
  const input = make("input");
  input.type = "range";
  input.min = "0";
  input.max = String(MAX_RATE);
  input.step = "5";
  input.value = "0";
  return input;
}

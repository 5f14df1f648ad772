import { make } from "./dom";
import { clockText } from "./text";
import type { FleetEvent } from "./wire";

/** Number of events in the list. */
const SHOWN = 200;

/** The list of events, the latest first. */
export class Events {
  private readonly list = make("ol", "events");
  private readonly empty = make("p", "empty", "No event yet.");

  constructor(panel: HTMLElement) {
    panel.append(make("h2", "", "Events"), this.empty, this.list);
  }

  open(events: FleetEvent[]): void {
    this.list.replaceChildren();
    this.add(events);
  }

  add(events: FleetEvent[]): void {
    for (const event of events) this.list.prepend(item(event));
    while (this.list.children.length > SHOWN) this.list.lastElementChild!.remove();
    this.empty.hidden = this.list.children.length > 0;
  }
}

function item({ time, pod, kind, detail }: FleetEvent): HTMLElement {
  const element = make("li", `event ${kind.replaceAll(" ", "-")}`);
  element.append(make("time", "", clockText(new Date(time))), make("strong", "", pod), make("span", "kind", kind), make("span", "detail", detail ?? ""));
  return element;
}

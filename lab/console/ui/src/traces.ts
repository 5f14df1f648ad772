import { get, traceOne } from "./api";
import { perform, result, row } from "./controls";
import { button, field, make, setText } from "./dom";
import { clockText, latencyText } from "./text";
import { bars, type Bar, type Summary, type Trace } from "./waterfall";

/** Spans are exported about once a second: the time until the trace of a request is whole, in milliseconds. */
const WHOLE = 2_500;
const ATTEMPTS = 12;

/** The panel of traces: the last slow or failed ones, and the way of one request. */
export class Traces {
  private readonly list = make("ul", "traces");
  private readonly chosen = make("section", "trace");
  private readonly kind = make("select");
  private readonly stream = make("select");
  private readonly start = button("Trace one", () => void perform(this.request, () => this.one(), this.announce), "button primary");
  private readonly request = make("div", "group");
  private readonly why = make("p", "note");

  constructor(
    panel: HTMLElement,
    private readonly announce: (text: string) => void,
  ) {
    this.stream.append(new Option("driver of a vehicle", "driver"), new Option("positions of all vehicles", "positions"), new Option("trail of a vehicle", "history"));
    this.why.hidden = true;
    this.request.append(field("Request", this.stream), row(this.start), this.why, result());
    this.kind.append(new Option("slow or failed", "notable"), new Option("failed", "error"), new Option("degraded", "degraded"), new Option("all", "all"));
    this.kind.addEventListener("change", () => void this.refresh());
    this.chosen.tabIndex = -1;
    panel.append(make("h2", "", "One request's way"), this.request, this.chosen, make("h3", "", "Requests of the last minutes"), field("Show", this.kind), row(button("Refresh", () => void this.refresh())), this.list);
  }

  /** Reads the list of traces. */
  async refresh(): Promise<void> {
    try {
      const found = (await get(`/api/traces?show=${this.kind.value}`)) as Summary[];
      this.list.replaceChildren(...found.map((summary) => this.item(summary)));
      if (found.length === 0) this.list.replaceChildren(make("li", "empty", "No such request."));
    } catch (error) {
      this.list.replaceChildren(make("li", "empty", error instanceof Error ? error.message : String(error)));
    }
  }

  private item(summary: Summary): HTMLElement {
    const item = make("li");
    const open = button("", () => void this.open(summary.id), "link");
    open.append(make("time", "", clockText(new Date(summary.start))), ` ${summary.root} · ${latencyText(summary.duration)} · `, make("span", `status ${summary.status}`, summary.status));
    item.append(open);
    return item;
  }

  private async one(): Promise<string> {
    const id = await traceOne(this.stream.value);
    // Until the spans of all services and proxies have arrived.
    await new Promise((resolve) => setTimeout(resolve, WHOLE));
    for (let i = 0; i < ATTEMPTS; i++) {
      if (await this.open(id)) return `Trace ${id}`;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Error(`no span of trace ${id} has arrived`);
  }

  private async open(id: string): Promise<boolean> {
    let trace: Trace;
    try {
      trace = (await get(`/api/traces/${id}`)) as Trace;
    } catch (error) {
      this.chosen.replaceChildren(make("p", "note", error instanceof Error ? error.message : String(error)));
      return false;
    }
    const title = make("h3", "", `${trace.root} · ${latencyText(trace.duration)} · ${trace.status}`);
    const list = make("ol", "bars");
    list.append(...bars(trace).map((bar) => drawn(bar)));
    this.chosen.replaceChildren(title, list);
    this.chosen.focus({ preventScroll: false });
    return true;
  }

  show(visible: boolean): void {
    if (visible && this.why.hidden) void this.refresh();
  }

  /** Disables the panel with a reason, such as on a cluster. */
  disable(why: string | undefined): void {
    this.start.disabled = why !== undefined;
    this.why.hidden = why === undefined;
    setText(this.why, why ?? "");
  }
}

function drawn({ span, depth, from, width }: Bar): HTMLElement {
  const item = make("li", `bar ${span.status}${span.proxy ? " proxy" : ""}${span.kind === "event" ? " mark" : ""}`);
  const text = make("p", "step");
  text.style.paddingInlineStart = `${Math.min(depth, 12) * 8}px`;
  const who = make("strong", "", span.pod ?? span.service);
  text.append(who, span.proxy ? " proxy " : " ", span.name);
  const time = make("span", "took", span.kind === "event" ? "" : latencyText(span.duration));
  const track = make("span", "track");
  const filled = make("span", "filled");
  filled.style.insetInlineStart = `${from * 100}%`;
  filled.style.width = `max(3px, ${width * 100}%)`;
  track.append(filled);
  const reason = span.reason ?? "";
  item.append(text, time, track);
  if (reason !== "") {
    const why = make("p", "why");
    setText(why, reason);
    item.append(why);
  }
  return item;
}

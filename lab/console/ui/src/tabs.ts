import { make } from "./dom";

/** Tabs, as the ARIA pattern has them: arrows move between them. */
export class Tabs {
  private readonly all: { id: string; tab: HTMLButtonElement; panel: HTMLElement }[] = [];
  private current = "";

  constructor(
    private readonly list: HTMLElement,
    private readonly panels: HTMLElement,
    private readonly onShow: (id: string) => void,
  ) {
    list.addEventListener("keydown", (event) => this.move(event));
  }

  /** Adds a tab and returns its panel. */
  add(id: string, name: string): HTMLElement {
    const tab = make("button", "tab", name);
    tab.type = "button";
    tab.id = `tab-${id}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `panel-${id}`);
    tab.addEventListener("click", () => this.show(id));
    const panel = make("div", "panel");
    panel.id = `panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.tabIndex = 0;
    this.list.append(tab);
    this.panels.append(panel);
    this.all.push({ id, tab, panel });
    this.draw();
    return panel;
  }

  show(id: string): void {
    this.current = id;
    this.draw();
    this.onShow(id);
  }

  private draw(): void {
    for (const { id, tab, panel } of this.all) {
      const chosen = id === this.current;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panel.hidden = !chosen;
    }
  }

  private move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const at = this.all.findIndex(({ id }) => id === this.current);
    const next = this.all[(at + step + this.all.length) % this.all.length]!;
    this.show(next.id);
    next.tab.focus();
    event.preventDefault();
  }
}

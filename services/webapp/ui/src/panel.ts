import type { Vehicle } from "./fleet";
import { ageText, initials, speedText } from "./text";
import type { Driver } from "./wire";

/** Rows drawn at most: more are for the filter to find. */
const ROWS = 200;
/** From this many vehicles on a filter helps. */
const FILTER_FROM = 12;

export interface Row {
  vehicle: Vehicle;
  age: number;
  stale: boolean;
}

/** The driver as far as it is known: still asked for, nobody, a person, or a failure with its reason. */
export type DriverState = { state: "loading" } | { state: "nobody" } | { state: "known"; driver: Driver } | { state: "failed"; reason: string };

/** The list of vehicles: rows are kept and their text changed, so that focus stays where it is. */
export class VehicleList {
  private readonly rows = new Map<string, { item: HTMLElement; button: HTMLButtonElement; speed: HTMLElement; age: HTMLElement }>();
  private readonly more = make("li", "more");

  constructor(
    private readonly list: HTMLElement,
    private readonly filter: HTMLInputElement,
    private readonly onSelect: (name: string) => void,
    onFilter: () => void,
  ) {
    filter.addEventListener("input", onFilter);
  }

  show(all: Row[], selected: string | undefined): void {
    this.filter.hidden = all.length < FILTER_FROM;
    const wanted = this.filter.hidden ? "" : this.filter.value.trim().toLowerCase();
    const found = all.filter(({ vehicle }) => vehicle.name.toLowerCase().includes(wanted));
    const shown = found.slice(0, ROWS);
    const names = new Set(shown.map(({ vehicle }) => vehicle.name));
    for (const [name, { item }] of this.rows) {
      if (names.has(name)) continue;
      item.remove();
      this.rows.delete(name);
    }
    shown.forEach((row, i) => {
      const { item, button, speed, age } = this.rows.get(row.vehicle.name) ?? this.add(row.vehicle);
      if (this.list.children[i] !== item) this.list.insertBefore(item, this.list.children[i] ?? null);
      item.classList.toggle("stale", row.stale);
      button.setAttribute("aria-pressed", String(row.vehicle.name === selected));
      setText(speed, speedText(row.vehicle.report.speed));
      setText(age, row.stale ? `stale · ${ageText(row.age)}` : ageText(row.age));
    });
    setText(this.more, `${found.length - shown.length} more: type to filter`);
    if (found.length > shown.length) this.list.append(this.more);
    else this.more.remove();
  }

  private add({ name, index }: Vehicle) {
    const item = make("li", "row");
    item.style.setProperty("--colour", `var(--vehicle-${index % 8})`);
    const button = make("button", "pick");
    button.type = "button";
    button.addEventListener("click", () => this.onSelect(name));
    const speed = make("span", "speed");
    const age = make("span", "age");
    button.append(make("span", "swatch"), make("span", "who", name), speed, age);
    item.append(button);
    const row = { item, button, speed, age };
    this.rows.set(name, row);
    return row;
  }
}

/** The card of the chosen vehicle. */
export class Details {
  private readonly portrait = make("div", "portrait");
  private readonly driver = make("p", "driver");
  private readonly vehicle = make("h2");
  private readonly facts = make("p", "facts");
  private readonly note = make("p", "note");
  private readonly followButton = make("button", "follow");

  constructor(
    private readonly card: HTMLElement,
    onFollow: () => void,
    onClose: () => void,
  ) {
    const close = make("button", "close", "×");
    close.type = this.followButton.type = "button";
    close.setAttribute("aria-label", "Show the whole fleet");
    close.addEventListener("click", onClose);
    this.followButton.addEventListener("click", onFollow);
    const text = make("div", "about");
    text.append(this.vehicle, this.driver, this.facts, this.note, this.followButton);
    card.append(this.portrait, text, close);
  }

  hide(): void {
    this.card.hidden = true;
  }

  /** The vehicle's own line; `row` is undefined for a vehicle that nobody has reported. */
  show(name: string, row: Row | undefined, following: boolean, note: string): void {
    this.card.hidden = false;
    this.card.style.setProperty("--colour", row ? `var(--vehicle-${row.vehicle.index % 8})` : "var(--quiet)");
    setText(this.vehicle, name);
    setText(this.facts, row ? facts(row) : "not reported by anyone yet");
    setText(this.note, note);
    this.note.hidden = note === "";
    this.followButton.hidden = row === undefined;
    this.followButton.setAttribute("aria-pressed", String(following));
    setText(this.followButton, following ? "Following" : "Follow");
  }

  showDriver(state: DriverState): void {
    this.portrait.replaceChildren(make("span", "initials", state.state === "known" ? initials(state.driver.name) : "?"));
    setText(this.driver, driverText(state));
    if (state.state !== "known" || state.driver.photo === "") return;
    const photo = make("img");
    photo.alt = `Portrait of ${state.driver.name}`;
    // Until it has loaded, and for ever when it cannot, the initials stay.
    photo.addEventListener("load", () => this.portrait.replaceChildren(photo));
    photo.src = state.driver.photo;
  }
}

function facts({ vehicle, age, stale }: Row): string {
  const { speed } = vehicle.report;
  const when = stale ? `stale: last report ${ageText(age)}` : `reported ${ageText(age)}`;
  return `${speed === null ? "speed unknown" : speedText(speed)} · ${when}`;
}

function driverText(state: DriverState): string {
  switch (state.state) {
    case "loading":
      return "asking for the driver…";
    case "nobody":
      return "no driver";
    case "known":
      return state.driver.name;
    case "failed":
      return `driver unavailable: ${state.reason}`;
  }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// Unchanged text is left alone: a screen reader repeats what is written anew.
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

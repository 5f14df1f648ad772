import type { Vehicle } from "./fleet";
import { driverText, qualityText } from "./status";
import { ageText, initials, speedText } from "./text";
import { vehicleVariable } from "./theme";
import type { Seen } from "./watch";
import type { Driver } from "./wire";

/** Largest number of rows drawn; the filter finds the others. */
const ROWS = 200;
/** Number of vehicles from which the filter is shown. */
const FILTER_FROM = 12;

export interface Row {
  vehicle: Vehicle;
  age: number;
  stale: boolean;
}

/** The list of vehicles. It keeps rows and changes their text, so that the focus is not lost. */
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
      setText(age, whenText(row));
    });
    setText(this.more, `${found.length - shown.length} more: type to filter`);
    if (found.length > shown.length) this.list.append(this.more);
    else this.more.remove();
  }

  /** Moves the focus to a vehicle, or to the first one if the list does not show it. */
  focus(name: string): void {
    const first = this.rows.values().next().value;
    (this.rows.get(name) ?? first)?.button.focus();
  }

  private add({ name, index }: Vehicle) {
    const item = make("li", "row");
    item.style.setProperty("--colour", vehicleVariable(index));
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

/** The content of the panel of the chosen vehicle. */
export interface Choice {
  name: string;
  /** Undefined for a vehicle without a position. */
  row: Row | undefined;
  /** Whether the positions are fresh; then a vehicle without a position is unknown. */
  fresh: boolean;
  following: boolean;
  driver: Seen<Driver | null>;
  note: string;
  now: number;
}

/** The panel of the chosen vehicle. */
export class Details {
  private readonly portrait = make("div", "portrait");
  private readonly driver = make("p", "driver");
  private readonly quality = make("p", "quality");
  private readonly vehicle = make("h2");
  private readonly facts = make("p", "facts");
  private readonly note = make("p", "note");
  private readonly followButton = make("button", "follow");
  private shown: Seen<Driver | null> | undefined;

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
    this.vehicle.id = "chosen";
    const text = make("div", "about");
    text.append(this.vehicle, this.driver, this.quality, this.facts, this.note, this.followButton);
    card.append(this.portrait, text, close);
  }

  hide(): void {
    this.card.hidden = true;
  }

  focus(): void {
    this.card.focus();
  }

  holdsFocus(): boolean {
    return this.card.contains(document.activeElement);
  }

  show({ name, row, fresh, following, driver, note, now }: Choice): void {
    this.card.hidden = false;
    this.card.style.setProperty("--colour", row ? vehicleVariable(row.vehicle.index) : "var(--quiet)");
    this.card.dataset["driver"] = driver.state;
    setText(this.vehicle, name);
    setText(this.driver, driverText(driver));
    setText(this.quality, qualityText(driver, now));
    this.quality.hidden = this.quality.textContent === "";
    setText(this.facts, row ? facts(row) : fresh ? "not reported by anyone yet" : "position unknown");
    this.facts.classList.toggle("stale", row?.stale ?? false);
    setText(this.note, note);
    this.note.hidden = note === "";
    this.followButton.hidden = row === undefined;
    this.followButton.setAttribute("aria-pressed", String(following));
    setText(this.followButton, following ? "Following" : "Follow");
    if (driver !== this.shown) this.showPortrait(driver);
    this.shown = driver;
  }

  // After each answer: a photo that could not be loaded is tried again.
  private showPortrait({ value }: Seen<Driver | null>): void {
    const src = value?.photo ?? "";
    const alt = value ? `Portrait of ${value.name}` : "";
    const there = this.portrait.querySelector("img");
    if (src !== "" && there?.getAttribute("src") === src && there.alt === alt) return;
    this.portrait.replaceChildren(make("span", "initials", value ? initials(value.name) : "?"));
    if (src === "") return;
    const photo = make("img");
    photo.alt = alt;
    // Until it has loaded the initials stay.
    photo.addEventListener("load", () => this.shown?.value?.photo === src && this.portrait.replaceChildren(photo));
    photo.src = src;
  }
}

function facts(row: Row): string {
  const { speed } = row.vehicle.report;
  return `${speed === null ? "speed unknown" : speedText(speed)} · ${row.stale ? whenText(row) : `reported ${ageText(row.age)}`}`;
}

/** The age of a row's position and speed. */
function whenText({ vehicle, age, stale }: Row): string {
  if (!vehicle.named) return `no longer reported · ${ageText(age)}`;
  return stale ? `stale · ${ageText(age)}` : ageText(age);
}

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// Unchanged text is left alone: a screen reader reads changed text again.
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

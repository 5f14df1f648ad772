export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Record<string, string | number> = {}): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

// Unchanged text is left alone: a screen reader reads changed text again.
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a name, which is wrapped after a hyphen, a dot or a slash. */
export function setName(element: Element, name: string): void {
  if (element.textContent === name) return;
  element.replaceChildren(...segments(name).flatMap((segment, i) => (i === 0 ? [segment] : [make("wbr"), segment])));
}

/** The parts of a name between which it may be wrapped: not before a number. */
export function segments(name: string): string[] {
  return name.split(/(?<=[-./])(?![-./\d]|$)/);
}

export function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

let labels = 0;

/** A label and its control in a row. */
export function field(text: string, control: HTMLElement): HTMLElement {
  const row = make("div", "field");
  const label = make("label", "", text);
  control.id ||= `control-${labels++}`;
  label.htmlFor = control.id;
  row.append(label, control);
  return row;
}

export function button(text: string, onClick: () => void, className = "button"): HTMLButtonElement {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

/** A command with a button that copies it. */
export class CommandLine {
  readonly element = make("div", "command");
  private readonly code = make("code");
  private readonly copy: HTMLButtonElement;

  constructor(command: string, announce: (text: string) => void) {
    this.copy = button("Copy", () => {
      void navigator.clipboard.writeText(this.code.textContent ?? "").then(() => announce("Command copied"));
    }, "copy");
    this.code.tabIndex = 0;
    this.element.append(this.code, this.copy);
    this.set(command);
  }

  set(command: string): void {
    setText(this.code, command);
    this.copy.setAttribute("aria-label", `Copy: ${command}`);
    this.element.hidden = command === "";
  }
}

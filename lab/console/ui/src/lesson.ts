import { check, lessons } from "./api";
import { perform, result } from "./controls";
import { button, CommandLine, make } from "./dom";
import type { CheckResult, Lesson, Lessons, Promised } from "./wire";

/** The panel of the open scenario: its README, and its promises. */
export class LessonPanel {
  constructor(
    private readonly panel: HTMLElement,
    private readonly announce: (text: string) => void,
  ) {}

  /** Reads the lesson again. */
  async load(): Promise<Lessons> {
    const all = await lessons();
    this.show(all.open);
    return all;
  }

  private show(open: Lesson | null): void {
    if (open === null) {
      this.panel.replaceChildren(make("h2", "", "No lesson is open"), make("p", "", "The manifests in force are no scenario. Start one with fleetman up --mesh SCENARIO, or apply one under Load."));
      return;
    }
    const promises = make("section", "promises");
    promises.append(make("h2", "", "Promises"));
    open.promises.forEach((promise, i) => promises.append(this.promise(promise, i)));
    const text = make("article", "lesson");
    text.append(...readme(open.html));
    this.panel.replaceChildren(...(open.promises.length > 0 ? [promises] : []), text);
  }

  private promise(promise: Promised, number: number): HTMLElement {
    const item = make("div", "promise");
    item.append(make("p", "", promise.promise));
    if (promise.instead) {
      item.append(make("p", "note", `Not on this fleet: ${promise.instead}.`), new CommandLine(promise.command, this.announce).element);
      return item;
    }
    const findings = make("ul", "findings");
    const fresh = make("div");
    fresh.append(make("p", "note", "What happened before may be the reason: each ejection of a pod lasts longer than the one before, for example. This checks with a new fleet, after the end of this one:"), new CommandLine(promise.command, this.announce).element);
    fresh.hidden = true;
    const run = button(promise.seconds > 0 ? `Check (${Math.ceil(promise.seconds)} s or more)` : "Check", () => {
      run.disabled = true;
      findings.replaceChildren();
      fresh.hidden = true;
      void perform(item, async () => {
        const found = await check(number);
        findings.replaceChildren(...listed(found));
        fresh.hidden = found.holds;
        return found.holds ? "The promise holds." : "The promise does not hold on this fleet.";
      }, this.announce).then(() => (run.disabled = false));
    });
    item.append(run, result(), findings, fresh);
    return item;
  }
}

function listed({ findings }: CheckResult): HTMLElement[] {
  return (findings ?? []).map(({ requests, holds, expected, saw }) => {
    const item = make("li", holds ? "holds" : "broken");
    item.append(make("strong", "", holds ? "holds" : "broken"), ` ${requests}: ${expected}; saw ${saw}`);
    return item;
  });
}

/** The server's HTML of a README. Its relative links lead to files that this page does not have: they become text. */
function readme(html: string): Element[] {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const link of parsed.querySelectorAll("a")) {
    if (!/^https?:\/\//.test(link.getAttribute("href") ?? "")) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const code of parsed.querySelectorAll<HTMLElement>("pre")) code.tabIndex = 0;
  // The document's title is that of the panel.
  for (const heading of [...parsed.querySelectorAll("h2, h3")].reverse()) rename(heading, heading.tagName === "H2" ? "h3" : "h4");
  const title = parsed.querySelector("h1");
  if (title) rename(title, "h2");
  return [...parsed.body.children].map((element) => document.importNode(element, true));
}

function rename(element: Element, tag: string): void {
  const other = element.ownerDocument.createElement(tag);
  other.append(...element.childNodes);
  element.replaceWith(other);
}

// @ts-check
"use strict";
// The page is whole without this script. It adds reading a second of a run, leaving out parts of the pictures,
// the lists of events, the download of the JSON and, while a comparison runs, its newer runs.
//
// Types are those of lab/report: `npm run typecheck` in services/webapp/ui checks them.

/** @typedef {{at: number, who: string, what: string, detail?: string}} Happening */
/** @typedef {{at: number, requests: number, good: number, degraded: number, attempts: number}} Step */
/** @typedef {{from: number, requests: number[], good: number[], degraded: number[], attempts?: number[]}} Curve */
/** @typedef {{timeline: Happening[], curve: Curve}} Run */
/** @typedef {{arm: string, runs: Run[]}} Arm */
/** @typedef {{arms: Arm[]}} Fault */
/** @typedef {{groups?: {faults: Fault[] | null}[]}} Comparisons */

(() => {
  const svgNS = "http://www.w3.org/2000/svg";

  /** @type {<T extends Element>(selector: string, within?: ParentNode) => NodeListOf<T>} */
  const every = (selector, within = document) => within.querySelectorAll(selector);
  /** @param {string} id */
  const byID = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  /** @type {(value: number, digits: number) => string} */
  const round = (value, digits) => String(Number(value.toFixed(digits)));
  /** @param {Happening} e */
  const said = (e) => `${round(e.at, 3)} s: ${e.who}: ${e.what}${e.detail ? ", " + e.detail : ""}`;

  let text = "";
  /** @type {Comparisons} */
  let report = {};

  // at returns the run of a picture, by its place: group/fault/arm/run.
  /** @param {string} place */
  const at = (place) => {
    const [g, f, a, r] = /** @type {[number, number, number, number]} */ (place.split("/").map(Number));
    const fault = /** @type {Fault} */ (report.groups?.[g]?.faults?.[f]);
    const arm = /** @type {Arm} */ (fault.arms[a]);
    return { fault, arm, run: /** @type {Run} */ (arm.runs[r]) };
  };

  /** @type {(run: Run) => Step[]} */
  const steps = ({ curve }) =>
    curve.requests.map((requests, i) => ({
      at: curve.from + i + 1,
      requests,
      good: curve.good[i] ?? 0,
      degraded: curve.degraded[i] ?? 0,
      attempts: curve.attempts?.[i] ?? 0,
    }));

  // read describes one second of a run.
  /** @type {(of: {run: Run, arm: Arm}, second: Step) => string[]} */
  const read = ({ run, arm }, second) => {
    const failed = second.requests - second.good - second.degraded;
    const lines = [
      `${arm.arm}, ${round(second.at - 1, 1)} to ${round(second.at, 1)} s`,
      `${second.requests} requests: ${second.good} good, ${second.degraded} degraded, ${failed} failed`,
    ];
    if (second.attempts > 0) lines.push(`${round(second.attempts, 2)} attempts per request`);
    const events = run.timeline.filter((e) => e.at >= second.at - 1 && e.at < second.at);
    for (const e of events.slice(0, 6)) lines.push(said(e));
    if (events.length > 6) lines.push(`and ${events.length - 6} events more`);
    return lines;
  };

  // Pictures of one seed share an axis: the cursor is in all of them.
  /** @type {(picture: Element, percent: number | null) => void} */
  const cursors = (picture, percent) => {
    for (const other of every(".picture > svg", /** @type {Element} */ (picture.closest(".runs")))) {
      let line = other.querySelector(":scope > .cursor");
      if (percent === null) {
        line?.remove();
        continue;
      }
      if (!line) {
        line = document.createElementNS(svgNS, "line");
        line.setAttribute("class", "cursor");
        line.setAttribute("y1", "14");
        line.setAttribute("y2", String(Number(other.getAttribute("height")) - 16));
        other.append(line);
      }
      line.setAttribute("x1", percent + "%");
      line.setAttribute("x2", percent + "%");
    }
  };

  // readable lets the pointer and the keyboard read a picture second by second.
  /** @param {HTMLElement} picture */
  const readable = (picture) => {
    const tip = byID("tip");
    const shown = at(picture.dataset["at"] ?? "");
    const curve = steps(shown.run);
    const curves = shown.fault.arms.flatMap((arm) => arm.runs.map((run) => run.curve)).filter((c) => c.requests.length > 0);
    const from = Math.min(...curves.map((c) => c.from));
    const until = Math.max(...curves.map((c) => c.from + c.requests.length));
    const last = curve.length - 1;
    let step = 0;

    /** @param {number} n */
    const second = (n) => /** @type {Step} */ (curve[Math.min(Math.max(n, 0), last)]);
    /** @type {(wanted: number, x: number, y: number) => void} */
    const show = (wanted, x, y) => {
      step = Math.min(Math.max(wanted, 0), last);
      const lines = read(shown, second(step));
      picture.setAttribute("aria-valuenow", String(step));
      picture.setAttribute("aria-valuetext", lines.join("; "));
      cursors(picture, (100 * (second(step).at - 0.5 - from)) / (until - from));
      tip.textContent = lines.join("\n");
      tip.hidden = false;
      tip.style.left = Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(8, Math.min(y + 14, innerHeight - tip.offsetHeight - 8)) + "px";
    };
    const hide = () => {
      tip.hidden = true;
      cursors(picture, null);
    };

    for (const [name, value] of Object.entries({
      role: "slider",
      tabindex: "0",
      "aria-valuemin": "0",
      "aria-valuemax": String(last),
      "aria-valuenow": "0",
      "aria-valuetext": read(shown, second(0)).join("; "),
    })) {
      picture.setAttribute(name, value);
    }
    picture.addEventListener("pointermove", (e) => {
      const { left, width } = picture.getBoundingClientRect();
      const seconds = from + ((e.clientX - left) / width) * (until - from);
      show(Math.floor(seconds - second(0).at + 1), e.clientX, e.clientY);
    });
    picture.addEventListener("pointerleave", hide);
    picture.addEventListener("blur", hide);
    picture.addEventListener("keydown", (e) => {
      /** @type {Record<string, number>} */
      const keys = { ArrowLeft: step - 1, ArrowDown: step - 1, ArrowRight: step + 1, ArrowUp: step + 1, PageDown: step - 5, PageUp: step + 5, Home: 0, End: last };
      const to = keys[e.key];
      if (e.key === "Escape") hide();
      if (to === undefined) return;
      e.preventDefault();
      const { left, width, bottom } = picture.getBoundingClientRect();
      show(to, left + (width * (second(to).at - from)) / (until - from), bottom - 30);
    });
  };

  // What is left out of the pictures: kinds of parts, arms, and bars whose name has not the text.
  const left = { kind: new Set(), arm: new Set(), lane: "" };

  // layOut moves the parts of a picture that are shown to below each other.
  /** @param {SVGElement} picture */
  const layOut = (picture) => {
    let y = 0;
    for (const part of every(":scope > .part", picture)) {
      const { kind, height } = /** @type {SVGElement} */ (part).dataset;
      const bars = part.querySelector(".lane") && !part.querySelector("text")?.textContent?.includes(left.lane);
      const hidden = left.kind.has(kind) || !!bars;
      part.toggleAttribute("hidden", hidden);
      part.setAttribute("transform", `translate(0 ${y})`);
      if (!hidden) y += Number(height);
    }
    picture.querySelector(":scope > .ticks")?.setAttribute("transform", `translate(0 ${y})`);
    picture.querySelector(":scope > .window")?.setAttribute("height", String(Math.max(y - 12, 0)));
    picture.setAttribute("height", String(y + 18));
  };

  const filter = () => {
    for (const plot of every("article.plot")) /** @type {HTMLElement} */ (plot).hidden = left.arm.has(/** @type {HTMLElement} */ (plot).dataset["arm"]);
    for (const picture of every(".plot .picture > svg")) layOut(/** @type {SVGElement} */ (picture));
  };

  const filterable = () => {
    const fields = document.getElementById("filter");
    if (!fields) return;
    fields.hidden = false;
    for (const input of every("input", fields)) {
      const field = /** @type {HTMLInputElement} */ (input);
      const set = field.name === "kind" ? left.kind : left.arm;
      if (field.type === "search") field.value = left.lane;
      else field.checked = !set.has(field.value);
      field.addEventListener("input", () => {
        if (field.type === "search") left.lane = field.value;
        else if (field.checked) set.delete(field.value);
        else set.add(field.value);
        filter();
      });
    }
    if (left.kind.size + left.arm.size > 0 || left.lane) filter();
  };

  // start makes what is in the page's main part react.
  const start = () => {
    text = byID("data").textContent ?? "";
    report = JSON.parse(text);
    for (const picture of every(".picture[data-at]")) readable(/** @type {HTMLElement} */ (picture));
    for (const element of every("details.events")) {
      const details = /** @type {HTMLDetailsElement} */ (element);
      const { run } = at(details.dataset["at"] ?? "");
      const summary = /** @type {Element} */ (details.querySelector("summary"));
      summary.textContent = run.timeline.length === 1 ? "1 event" : `${run.timeline.length} events`;
      details.addEventListener("toggle", () => {
        if (details.querySelector("ol")) return;
        const list = document.createElement("ol");
        for (const e of run.timeline) list.append(Object.assign(document.createElement("li"), { textContent: said(e) }));
        details.append(list);
      });
    }
    filterable();
    const download = byID("download");
    download.hidden = false;
    download.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = "report.json";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  };
  start();

  // A link to something that is folded up opens it; on paper all is open.
  const reveal = () => {
    const target = document.querySelector(":target");
    for (let e = target?.closest("details"); e; e = e.parentElement?.closest("details")) e.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  /** @type {HTMLDetailsElement[]} */
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll(/** @type {"details"} */ ("details:not([open], .events)"))];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });

  // While the comparison runs, the page is fetched again, and what is new replaces what there is.
  const progress = document.getElementById("progress");
  if (!progress) return;
  /** @param {Element} details */
  const name = (details) => (details.closest("[id]")?.id ?? "") + details.querySelector("summary")?.textContent;
  /** @param {Document} next */
  const replace = (next) => {
    const open = new Set([...every("details[open]")].map(name));
    for (const part of ["h1", "header nav", "main"]) {
      const [old, replacement] = [document.querySelector(part), next.querySelector(part)];
      if (old && replacement) old.replaceWith(replacement);
    }
    byID("data").textContent = next.getElementById("data")?.textContent ?? "{}";
    for (const details of every("details")) {
      if (open.has(name(details))) /** @type {HTMLDetailsElement} */ (details).open = true;
    }
    byID("tip").hidden = true;
    start();
  };
  const refresh = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-cache" });
      const version = answer.headers.get("ETag") ?? "";
      if (!answer.ok) {
        progress.textContent = await answer.text();
      } else if (version !== progress.dataset["version"]) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        progress.textContent = next.getElementById("progress")?.textContent ?? "";
        progress.dataset["version"] = version;
        replace(next);
      }
    } catch {
      progress.textContent = "fleetman report --serve has ended: the page no longer grows.";
      delete progress.dataset["version"];
    }
  };
  setInterval(refresh, 2000);
})();

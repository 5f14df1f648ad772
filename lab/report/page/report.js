"use strict";
// The page is whole without this script. It adds reading a second of a run, the lists of events, and the
// download of the JSON.
(() => {
  const text = document.getElementById("data").textContent;
  const report = JSON.parse(text);
  const tip = document.getElementById("tip");
  const svgNS = "http://www.w3.org/2000/svg";

  // at returns the run of a picture, by its place: group/fault/arm/run.
  const at = (place) => {
    const [g, f, a, r] = place.split("/").map(Number);
    const fault = report.groups[g].faults[f];
    return { fault, arm: fault.arms[a], run: fault.arms[a].runs[r] };
  };
  const round = (value, digits) => String(Number(value.toFixed(digits)));

  const download = document.getElementById("download");
  download.hidden = false;
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // read describes one second of a run.
  const read = ({ run, arm }, step) => {
    const second = run.curve[step];
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
  const said = (e) => `${round(e.at, 3)} s: ${e.who}: ${e.what}${e.detail ? ", " + e.detail : ""}`;

  // Pictures of one seed share an axis: the cursor is in all of them.
  const cursors = (picture, percent) => {
    for (const other of picture.closest(".runs").querySelectorAll(".picture > svg")) {
      let line = other.querySelector(":scope > .cursor");
      if (percent === null) {
        line?.remove();
        continue;
      }
      if (!line) {
        line = document.createElementNS(svgNS, "line");
        line.setAttribute("class", "cursor");
        line.setAttribute("y1", "14");
        line.setAttribute("y2", String(other.height.baseVal.value - 16));
        other.append(line);
      }
      line.setAttribute("x1", percent + "%");
      line.setAttribute("x2", percent + "%");
    }
  };

  for (const picture of document.querySelectorAll(".picture[data-at]")) {
    const shown = at(picture.dataset.at);
    const runs = shown.fault.arms.flatMap((arm) => arm.runs).filter((run) => run.curve.length > 0);
    const from = Math.min(...runs.map((run) => run.curve[0].at)) - 1;
    const until = Math.max(...runs.map((run) => run.curve.at(-1).at));
    const last = shown.run.curve.length - 1;
    let step = 0;

    const show = (wanted, x, y) => {
      step = Math.min(Math.max(wanted, 0), last);
      const lines = read(shown, step);
      picture.setAttribute("aria-valuenow", String(step));
      picture.setAttribute("aria-valuetext", lines.join("; "));
      cursors(picture, (100 * (shown.run.curve[step].at - 0.5 - from)) / (until - from));
      tip.textContent = lines.join("\n");
      tip.hidden = false;
      const width = document.documentElement.clientWidth;
      tip.style.left = Math.max(8, Math.min(x + 14, width - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(8, Math.min(y + 14, innerHeight - tip.offsetHeight - 8)) + "px";
    };
    const hide = () => {
      tip.hidden = true;
      cursors(picture, null);
    };
    const box = () => picture.getBoundingClientRect();

    picture.setAttribute("role", "slider");
    picture.setAttribute("tabindex", "0");
    picture.setAttribute("aria-valuemin", "0");
    picture.setAttribute("aria-valuemax", String(last));
    picture.setAttribute("aria-valuenow", "0");
    picture.setAttribute("aria-valuetext", read(shown, 0).join("; "));
    picture.addEventListener("pointermove", (e) => {
      const { left, width } = box();
      const seconds = from + ((e.clientX - left) / width) * (until - from);
      show(Math.floor(seconds - shown.run.curve[0].at + 1), e.clientX, e.clientY);
    });
    picture.addEventListener("pointerleave", hide);
    picture.addEventListener("blur", hide);
    picture.addEventListener("keydown", (e) => {
      const to = { ArrowLeft: step - 1, ArrowDown: step - 1, ArrowRight: step + 1, ArrowUp: step + 1, PageDown: step - 5, PageUp: step + 5, Home: 0, End: last }[e.key];
      if (e.key === "Escape") hide();
      if (to === undefined) return;
      e.preventDefault();
      const { left, width, bottom } = box();
      const position = (shown.run.curve[Math.min(Math.max(to, 0), last)].at - from) / (until - from);
      show(to, left + width * position, bottom - 30);
    });
  }

  for (const details of document.querySelectorAll("details.events")) {
    const { run } = at(details.dataset.at);
    details.querySelector("summary").textContent = run.timeline.length === 1 ? "1 event" : `${run.timeline.length} events`;
    details.addEventListener("toggle", () => {
      if (details.querySelector("ol")) return;
      const list = document.createElement("ol");
      for (const e of run.timeline) list.append(Object.assign(document.createElement("li"), { textContent: said(e) }));
      details.append(list);
    });
  }

  // A link to something that is folded up opens it; on paper all is open.
  const reveal = () => {
    const target = document.querySelector(":target");
    for (let e = target && target.closest("details"); e; e = e.parentElement.closest("details")) e.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open], .events)")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();

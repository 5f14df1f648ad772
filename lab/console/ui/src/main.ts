import "./style.css";
import { follow } from "./api";
import { runOn } from "./command";
import { Controls } from "./controls";
import { byId, setText } from "./dom";
import { Events } from "./events";
import { Graph, type Selection } from "./graph";
import { summary } from "./health";
import { LessonPanel } from "./lesson";
import { Strips } from "./strips";
import { Tabs } from "./tabs";
import { clockText } from "./text";
import { Traces } from "./traces";
import { Traffic } from "./traffic";
import type { State } from "./wire";

let state: State | undefined;
let selected: Selection | undefined;
let spokenHealth = "";
let manifests = "";

const tabs = new Tabs(byId("tabs"), byId("panels"), (id) => traces?.show(id === "traces"));
const graph = new Graph(byId("graph"), byId("canvas"), select);
const strips = new Strips(byId("strips"));
const lesson = new LessonPanel(tabs.add("lesson", "Lesson"), announce);
const controls = new Controls(tabs.add("selected", "Selected"), announce, select);
const traffic = new Traffic(tabs.add("load", "Load"), announce, () => void loadLesson());
const traces = new Traces(tabs.add("traces", "Traces"), announce);
const events = new Events(tabs.add("events", "Events"));

function announce(text: string): void {
  byId("announcer").textContent = text;
}

function select(selection: Selection): void {
  selected = selection;
  history.replaceState(null, "", `#${new URLSearchParams({ ...selection }).toString()}`);
  tabs.show("selected");
  render();
}

/** Returns the selection in the page's address. */
function linked(): Selection | undefined {
  const query = new URLSearchParams(location.hash.slice(1));
  const node = query.get("node");
  const pod = query.get("pod");
  return node === null ? undefined : pod === null ? { node } : { node, pod };
}

function render(): void {
  if (state === undefined) return;
  runOn(state.flags ?? []);
  traces.disable(state.cannot?.["trace"]);
  graph.show(state, selected);
  controls.show(state, selected);
  traffic.show(state);
  byId("empty").hidden = (state.nodes ?? []).length > 0;
  const paths = (state.manifests ?? []).map((path) => path.replace(/^.*\/(k8s\/)/, "$1")).join(" ");
  setText(byId("what"), `${paths}${state.mesh ? " with a mesh" : ""}`);
  const { text, health } = summary(state.nodes ?? []);
  const badge = byId("summary");
  badge.hidden = false;
  badge.dataset["health"] = health;
  setText(badge, text);
  if (text !== spokenHealth) {
    if (spokenHealth !== "") announce(text);
    spokenHealth = text;
  }
}

async function loadLesson(): Promise<void> {
  try {
    traffic.showLessons(await lesson.load());
  } catch (error) {
    announce(error instanceof Error ? error.message : String(error));
  }
}

function take(next: State): void {
  state = next;
  byId("banner").hidden = true;
  // Another command may have applied manifests.
  const paths = (next.manifests ?? []).join(" ");
  if (paths !== manifests) {
    manifests = paths;
    void loadLesson();
  }
  strips.add(next.point, next.events);
  events.add(next.events);
  render();
}

selected = linked();
tabs.show(selected === undefined ? "lesson" : "selected");
follow({
  opened(opening) {
    strips.open(opening.points ?? [], opening.events ?? []);
    events.open(opening.events ?? []);
    if (opening.state) {
      state = opening.state;
      render();
    }
  },
  changed: take,
  failed(problem) {
    const banner = byId("banner");
    if (banner.hidden) announce(problem);
    banner.hidden = false;
    setText(banner, `The fleet cannot be read: ${problem}`);
  },
  lost(since) {
    const banner = byId("banner");
    banner.hidden = false;
    setText(banner, `The fleet has ended, or its launcher does not respond since ${clockText(new Date(since))}. The page waits for its return.`);
    announce("The fleet has ended. The page waits for its return.");
    document.body.classList.add("lost");
  },
});

import type { Node, Pod } from "./wire";

/** How a pod does: `bad` receives requests and fails them, or is not ready; `marked` has a fault, or callers avoid it. */
export type Health = "good" | "marked" | "bad";

/** Share of failed requests from which a pod is bad. */
const BAD_SHARE = 0.05;

export function health(pod: Pod): Health {
  if (!pod.ready || pod.received.errors >= BAD_SHARE) return "bad";
  return (pod.blocks ?? []).length > 0 || (pod.faults ?? "") !== "" ? "marked" : "good";
}

/** Returns the reasons in words, "" for a good pod. */
export function healthText(pod: Pod): string {
  const reasons: string[] = [];
  if (!pod.ready) reasons.push(pod.why ? `not ready: ${pod.why}` : `not ready: ${pod.state}`);
  if (pod.faults) reasons.push(`faults: ${pod.faults}`);
  return reasons.join("; ");
}

/** Returns what the graph shows of all pods, in one line. */
export function summary(nodes: Node[]): { text: string; health: Health } {
  const pods = nodes.flatMap((node) => node.pods);
  const bad = pods.filter((pod) => !pod.ready).length;
  const blocked = pods.filter((pod) => (pod.blocks ?? []).length > 0).length;
  const faulty = pods.filter((pod) => pod.faults).length;
  const parts = [`${pods.length - bad} of ${pods.length} pods ready`];
  if (faulty > 0) parts.push(`${faulty} with faults`);
  if (blocked > 0) parts.push(`${blocked} avoided by callers`);
  return { text: parts.join(" · "), health: bad > 0 ? "bad" : faulty + blocked > 0 ? "marked" : "good" };
}

import type { Change, CheckResult, Lessons, Opening, State } from "./wire";

const token = document.querySelector<HTMLMetaElement>('meta[name="console-token"]')?.content ?? "";

/** Sends a change and returns the description of its effect. */
export async function change(body: Change): Promise<string> {
  return ((await post("/api/change", body)) as { did: string }).did;
}

export async function setLoad(rate: number, mix: Record<string, number>): Promise<void> {
  await post("/api/load", { rate, mix });
}

export async function check(promise: number): Promise<CheckResult> {
  return (await post(`/api/check?promise=${promise}`, {})) as CheckResult;
}

/** Sends one request with a trace, and returns the trace's ID. */
export async function traceOne(stream: string): Promise<string> {
  return ((await post("/api/trace", { stream })) as { id: string }).id;
}

export async function lessons(): Promise<Lessons> {
  return (await request("/api/lessons", {})) as Lessons;
}

export async function get(path: string): Promise<unknown> {
  return request(path, {});
}

function post(path: string, body: unknown): Promise<unknown> {
  return request(path, { method: "POST", headers: { "Content-Type": "application/json", "X-Console-Token": token }, body: JSON.stringify(body) });
}

async function request(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, cache: "no-store" });
  } catch {
    throw new Error("the launcher does not respond");
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  const { error } = (answer ?? {}) as { error?: string };
  throw new Error(error ?? `status ${response.status}`);
}

/** Milliseconds until a stream that the browser has given up is opened again. */
const RETRY = 2_000;

export interface Listener {
  opened(opening: Opening): void;
  changed(state: State): void;
  /** The launcher cannot read the fleet. */
  failed(problem: string): void;
  /** The launcher does not respond, since this time. */
  lost(since: number): void;
}

/** Follows the fleet. After an outage the page is loaded again: the new launcher has another token. */
export function follow(listener: Listener): void {
  let lost: number | undefined;
  const open = () => {
    const source = new EventSource("/api/stream");
    source.addEventListener("open", () => lost !== undefined && location.reload());
    source.addEventListener("opening", (event) => listener.opened(JSON.parse((event as MessageEvent<string>).data) as Opening));
    source.addEventListener("state", (event) => listener.changed(JSON.parse((event as MessageEvent<string>).data) as State));
    source.addEventListener("problem", (event) => listener.failed((JSON.parse((event as MessageEvent<string>).data) as { error: string }).error));
    source.addEventListener("error", () => {
      lost ??= Date.now();
      listener.lost(lost);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, RETRY);
    });
  };
  open();
}

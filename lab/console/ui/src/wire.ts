// The messages of the server: see lab/console/state.go.

export interface Flow {
  /** Requests per second. */
  rate: number;
  /** Share of the requests that failed. */
  errors: number;
  /** Seconds; 0 without requests. */
  p50: number;
  p99: number;
}

/** A breaker that is not closed, or an ejection. */
export interface Block {
  by: "library" | "mesh";
  /** The calling pod, or the gateway. */
  in: string;
  state: "open" | "half-open" | "ejected";
  since?: string;
  until?: string;
  cause?: string;
  times?: number;
}

export interface Pod {
  name: string;
  deployment: string;
  image: string;
  variant?: string;
  ready: boolean;
  state: string;
  why?: string;
  restarts: number;
  started?: string;
  serves: boolean;
  faults?: string;
  proxied: boolean;
  library: boolean;
  received: Flow;
  blocks?: Block[];
}

export interface Node {
  id: string;
  kind: "service" | "gateway" | "external";
  pods: Pod[];
}

export interface Edge extends Flow {
  from: string;
  to: string;
  retries: number;
  meshRetries: number;
  tls?: "mutual" | "mixed" | "plain";
  blocks?: Block[];
}

export interface Point {
  time: string;
  of: string;
  good: number;
  degraded: number;
  failed: number;
  calls: number;
  attempts: number;
}

export interface FleetEvent {
  time: string;
  pod: string;
  kind: string;
  detail?: string;
}

export interface Load {
  rate: number;
  mix: Record<string, number>;
  target?: string;
  problem?: string;
  sent: number;
  good: number;
  degraded: number;
  failed: number;
  p50: number;
  p99: number;
}

export interface State {
  /** Flags that select the fleet in commands. */
  flags?: string[];
  /** A reason for each control that the fleet does not have: a kind of change, or trace. */
  cannot?: Record<string, string>;
  time: string;
  since: string;
  manifests: string[] | null;
  mesh: boolean;
  nodes: Node[] | null;
  edges: Edge[] | null;
  point: Point;
  load: Load;
  events: FleetEvent[];
}

export interface Opening {
  points: Point[] | null;
  events: FleetEvent[] | null;
  state?: State;
}

export interface Promised {
  promise: string;
  seconds: number;
  command: string;
  instead?: string;
}

export interface Lesson {
  name: string;
  title: string;
  html: string;
  promises: Promised[];
}

export interface Lessons {
  scenarios: { name: string; title: string }[];
  open: Lesson | null;
}

export interface CheckResult {
  holds: boolean;
  findings: { requests: string; holds: boolean; expected: string; saw: string }[] | null;
}

/** A change of the fleet: see lab/console/source.go. */
export type Change =
  | { do: "fault"; pod: string; rules: string }
  | { do: "kill"; pod: string; signal: "TERM" | "KILL" }
  | { do: "pause"; pod: string }
  | { do: "set"; deployment: string; name: string; value: string }
  | { do: "scale"; deployment: string; replicas: number }
  | { do: "apply"; scenario: string };

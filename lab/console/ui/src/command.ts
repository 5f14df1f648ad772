import type { Change, Load } from "./wire";

/** Returns text as one argument of a shell. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

let place: readonly string[] = [];

/** Sets the flags that select the fleet in commands. */
export function runOn(flags: readonly string[]): void {
  place = flags;
}

/** Returns the command that makes the same change. */
export function command(change: Change): string {
  return [bare(change), ...place.map(quote)].join(" ");
}

function bare(change: Change): string {
  switch (change.do) {
    case "fault":
      return change.rules.trim() === "" ? `fleetman fault ${quote(change.pod)} --clear` : `fleetman fault ${quote(change.pod)} ${quote(change.rules)}`;
    case "kill":
      return change.signal === "TERM" ? `fleetman kill ${quote(change.pod)}` : `fleetman kill --signal ${change.signal} ${quote(change.pod)}`;
    case "pause":
      return `fleetman kill --signal STOP ${quote(change.pod)}; sleep 5; fleetman kill --signal CONT ${quote(change.pod)}`;
    case "set":
      return `fleetman set ${quote(change.deployment)} ${quote(`${change.name}=${change.value}`)}`;
    case "scale":
      return `fleetman set ${quote(change.deployment)} --replicas ${change.replicas}`;
    case "apply":
      return `fleetman apply ${quote(change.scenario)}`;
  }
}

const PATHS: Record<string, string> = { positions: "/vehicles/", driver: "/vehicles/driver/City%20Truck", history: "/history/City%20Truck" };

/** Returns a shell loop that sends about the same load: of the streams in the mix, in turn. */
export function loadCommand(rate: number, mix: Record<string, number>, load: Load): string {
  if (rate === 0) return "";
  const target = load.target ?? "http://127.0.0.1:30080/api";
  const paths = Object.entries(mix).flatMap(([name, share]) => (share > 0 && PATHS[name] !== undefined ? [quote(target + PATHS[name])] : []));
  return `while sleep ${Number((1 / rate).toPrecision(2))}; do curl -s -o /dev/null -m 10 $(shuf -n1 -e ${paths.join(" ")}) & done`;
}

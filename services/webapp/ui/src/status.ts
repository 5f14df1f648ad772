import type { Condition, Part, State } from "./condition";
import { clockText, count, durationText, lastKnownText } from "./text";
import type { Driver } from "./wire";
import type { Seen } from "./watch";

/** Returns the header's summary. Vehicles are live while all reports are on time; `late` has the others. */
export function badge(vehicles: number, late: { worstAge: number }[], state: State, asOf: number): string {
  if (vehicles === 0) return "";
  switch (state) {
    case "fresh":
      return `${count(vehicles, "vehicle")} live`;
    case "late":
      return `${late.length} of ${vehicles} late, up to ${durationText(Math.max(...late.map(({ worstAge }) => worstAge)))}`;
    default:
      return `${count(vehicles, "vehicle")} as of ${clockText(new Date(asOf))}`;
  }
}

const PART_NAMES: Record<Part, string> = { positions: "Positions", driver: "Driver", trail: "Trail" };

/**
 * Returns the banner above the map: a line for each degraded part, the longest degraded first; "" while all are
 * fresh. `asOf` has the time of each part's last known value, `late` the vehicles whose reports are late.
 */
export function banner(degraded: Condition[], asOf: Partial<Record<Part, number | undefined>>, late: { worstAge: number }[], unreadable: number): string {
  const lines = degraded.map(({ part, state, since, reason }) => {
    const begin = (what: string) => `${PART_NAMES[part]} ${what} since ${clockText(new Date(since))}`;
    const known = asOf[part];
    switch (state) {
      case "failed":
        return `${begin("unavailable")}: ${reason}`;
      case "late":
        return `${begin("late")}: ${count(late.length, "vehicle")}, up to ${durationText(Math.max(0, ...late.map(({ worstAge }) => worstAge)))}`;
      default:
        return `${begin("degraded")}: ${known === undefined ? "none known" : `last known at ${clockText(new Date(known))}`}`;
    }
  });
  const current = degraded.every(({ part, state }) => part !== "positions" || state === "late");
  if (unreadable > 0 && current) lines.push(`${count(unreadable, "report")} in the last answer could not be read`);
  return lines.join("\n");
}

export function driverText({ state, value }: Seen<Driver | null>): string {
  if (value !== undefined) return value?.name ?? "no driver";
  return { loading: "loading driver…", failed: "driver unavailable" }[state as string] ?? "driver unknown";
}

/** Returns the quality of a degraded value, with its age; "" for a fresh one. */
export function qualityText({ state, value, asOf, reason }: Seen<unknown>, now: number): string {
  if (state === "fresh" || state === "loading") return "";
  const known = value === undefined ? "" : lastKnownText(now - (asOf ?? now));
  return [known || (state === "placeholder" ? "placeholder" : ""), reason].filter((text) => text !== "").join(" · ");
}

/** Returns a sentence for a screen reader. It depends on the state, not on an age. */
export function positionsSpoken(state: State): string {
  switch (state) {
    case "fresh":
      return "Positions are live";
    case "late":
      return "Some positions are late";
    case "last-known":
      return "Positions are the last known";
    case "placeholder":
    case "failed":
      return "Positions are unavailable";
  }
}

export function driverSpoken(seen: Seen<Driver | null>): string {
  if (seen.state === "loading") return "";
  const text = driverText(seen);
  const named = seen.value ? `Driver: ${text}` : text;
  return seen.state === "fresh" || seen.value === undefined ? named : `${named}, last known`;
}

export function trailSpoken({ state }: Seen<unknown>): string {
  return state === "fresh" || state === "loading" ? "" : state === "last-known" ? "Trail is the last known" : "Trail is unavailable";
}

/** Returns the quality of the trail, "" for a fresh one. */
export function trailText(seen: Seen<unknown>, now: number): string {
  const quality = qualityText(seen, now);
  if (quality === "") return "";
  return seen.value === undefined ? `trail unavailable: ${quality}` : `trail ${quality}`;
}

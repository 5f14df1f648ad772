import type { Condition, State } from "./condition";
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

/** Returns the banner above the map, "" while the positions are fresh. */
export function banner(positions: Condition, asOf: number | undefined, unreadable: number): string {
  const since = clockText(new Date(positions.since));
  const known = asOf === undefined ? "none known" : `last known at ${clockText(new Date(asOf))}`;
  switch (positions.state) {
    case "failed":
      return `Positions unavailable since ${since}: ${positions.reason}`;
    case "last-known":
    case "placeholder":
      return `Positions degraded since ${since}: ${known}`;
    case "fresh":
    case "late":
      return unreadable > 0 ? `${count(unreadable, "report")} in the last answer could not be read` : "";
  }
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

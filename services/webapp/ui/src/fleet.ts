import { next, standing, type Motion } from "./motion";
import type { Report } from "./wire";

/** Age in milliseconds from which a report is stale. Without a fault the next one arrives after at most 2.5 s. */
export const STALE_AFTER = 4_000;
/** Milliseconds without a stale report after which a vehicle is live again, so that it is not live between two late reports. */
export const LIVE_AFTER = 10_000;
/** Age in milliseconds from which a vehicle is removed if the API no longer returns it. */
export const GONE_AFTER = 300_000;
/** Milliseconds. A smaller difference of clocks counts as none, because the Date header has whole seconds. */
const CLOCKS_AGREE = 2_000;

export interface Vehicle {
  name: string;
  /** Counts up from 0 in the order of first sight; the colour follows from it. */
  index: number;
  report: Report;
  motion: Motion;
  /** Whether the latest answer contains the vehicle. */
  named: boolean;
  /** When the vehicle was last observed stale, in milliseconds of the page's clock; undefined if it is live. */
  staleAt: number | undefined;
  /** The greatest age of its report since it was last live, in milliseconds. */
  worstAge: number;
}

/** All known vehicles, by name, and the difference to the server's clock. */
export class Fleet {
  readonly vehicles = new Map<string, Vehicle>();
  private seen = 0;
  private clockAhead = 0;

  /** Adds the reports of one answer and returns the vehicles that have a new report. */
  update(reports: Report[], now: number, serverTime?: number): Vehicle[] {
    if (serverTime !== undefined) this.clockAhead = clockAhead(serverTime, now);
    const moved = [...reports].sort(byName).flatMap((report) => this.take(report, now) ?? []);
    const named = new Set(reports.map((report) => report.name));
    for (const vehicle of this.vehicles.values()) {
      vehicle.named = named.has(vehicle.name);
      if (!vehicle.named && this.age(vehicle.report, now) > GONE_AFTER) this.vehicles.delete(vehicle.name);
    }
    return moved;
  }

  private take(report: Report, now: number): Vehicle | undefined {
    const known = this.vehicles.get(report.name);
    if (known === undefined) {
      const vehicle = { name: report.name, index: this.seen++, report, motion: standing(report), named: true, staleAt: undefined, worstAge: 0 };
      this.vehicles.set(report.name, vehicle);
      return vehicle;
    }
    if (report.time === known.report.time && report.lat === known.report.lat && report.lng === known.report.lng) {
      known.report = report;
      return undefined;
    }
    known.motion = next(known.motion, report, report.time - known.report.time, now);
    known.report = report;
    return known;
  }

  /** Milliseconds since the report, by the server's clock, never negative. */
  age(report: Report, now: number): number {
    return Math.max(0, now + this.clockAhead - report.time);
  }

  isStale(vehicle: Vehicle, now: number): boolean {
    return !vehicle.named || this.age(vehicle.report, now) > STALE_AFTER;
  }

  /** Updates which vehicles are stale and returns those that are not live. Must be called at least once per second. */
  observe(now: number): Vehicle[] {
    for (const vehicle of this.vehicles.values()) {
      if (this.isStale(vehicle, now)) {
        vehicle.staleAt = now;
        vehicle.worstAge = Math.max(vehicle.worstAge, this.age(vehicle.report, now));
      } else if (vehicle.staleAt !== undefined && now - vehicle.staleAt > LIVE_AFTER) {
        vehicle.staleAt = undefined;
        vehicle.worstAge = 0;
      }
    }
    return [...this.vehicles.values()].filter(({ staleAt }) => staleAt !== undefined);
  }

  sorted(): Vehicle[] {
    return [...this.vehicles.values()].sort(byName);
  }
}

/** Returns the milliseconds to add to the page's clock to get the server's. */
export function clockAhead(serverTime: number, now: number): number {
  const difference = serverTime - now;
  return Math.abs(difference) < CLOCKS_AGREE ? 0 : difference;
}

// City Truck 9 before City Truck 10.
const names = new Intl.Collator("en", { numeric: true });

function byName(a: { name: string }, b: { name: string }): number {
  return names.compare(a.name, b.name);
}

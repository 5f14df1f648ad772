// Decoders of the API's answers. Bad entries of an array are omitted and counted.

export interface Point {
  lat: number;
  lng: number;
}

export interface Report extends Point {
  name: string;
  /** Milliseconds since 1970, by the server's clock. */
  time: number;
  /** Miles per hour, null while unknown. */
  speed: number | null;
}

export interface Driver {
  name: string;
  /** Address of the portrait, "" if there is none that a page may load. */
  photo: string;
}

export interface Decoded<T> {
  good: T[];
  bad: number;
}

/** The source of a degraded answer; `age` is in milliseconds. */
export type Fallback = { kind: "last-known"; age: number } | { kind: "placeholder" };

/** Decodes the X-Fallback header: "last-known; age=12s" or "placeholder". Any other value counts as a placeholder. Returns undefined without the header. */
export function decodeFallback(header: string | null): Fallback | undefined {
  if (header === null || header.trim() === "") return undefined;
  const [, age] = /last-known\s*;\s*age=(\d+)s/.exec(header) ?? [];
  return age === undefined ? { kind: "placeholder" } : { kind: "last-known", age: Number(age) * 1000 };
}

export function decodeReports(body: unknown): Decoded<Report> {
  return each(body, report);
}

export function decodeHistory(body: unknown): Decoded<Point> {
  return each(body, (value) => (isRecord(value) ? point(value) : undefined));
}

export function decodeDriver(body: unknown): Driver | undefined {
  if (!isRecord(body) || typeof body["name"] !== "string" || body["name"] === "") return undefined;
  const photo = body["photo"];
  return { name: body["name"], photo: typeof photo === "string" && /^(https?:\/\/|\/)/.test(photo) ? ownPortrait(photo) : "" };
}

/** The default of PHOTO_BASE_URL in staff-service, a public host. */
const PUBLISHED = "https://rac-istio-course-images.s3.amazonaws.com/";

/** Replaces a published photo by the fleet's own portrait: the page requests nothing from other hosts. */
function ownPortrait(photo: string): string {
  return photo.startsWith(PUBLISHED) ? `/api/photos/${encodeURIComponent(photo.slice(PUBLISHED.length))}` : photo;
}

/** Returns the message of an error of the services, undefined for anything else. */
export function decodeError(body: unknown): string | undefined {
  if (!isRecord(body) || typeof body["message"] !== "string") return undefined;
  return body["message"] || undefined;
}

/** Decodes an RFC 3339 time, whose offset may have no colon (+0000). Date rejects that form in some browsers. */
export function decodeTime(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  const time = Date.parse(value.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(time) ? undefined : time;
}

function each<T>(body: unknown, decode: (value: unknown) => T | undefined): Decoded<T> {
  if (!Array.isArray(body)) throw new Error("must be a JSON array");
  const good = body.map(decode).filter((value) => value !== undefined);
  return { good, bad: body.length - good.length };
}

function report(value: unknown): Report | undefined {
  if (!isRecord(value)) return undefined;
  const { name, speed } = value;
  const at = point(value);
  const time = decodeTime(value["timestamp"]);
  if (typeof name !== "string" || name === "" || at === undefined || time === undefined) return undefined;
  return { name, ...at, time, speed: typeof speed === "number" && Number.isFinite(speed) ? speed : null };
}

function point(value: Record<string, unknown>): Point | undefined {
  const { lat, lng } = value;
  if (typeof lat !== "number" || typeof lng !== "number") return undefined;
  // Written so that NaN fails too.
  if (!(Math.abs(lat) <= 90 && Math.abs(lng) <= 180)) return undefined;
  return { lat, lng };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

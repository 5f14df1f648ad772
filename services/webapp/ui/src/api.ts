import { decodeDriver, decodeError, decodeHistory, decodeReports, type Decoded, type Driver, type Point, type Report } from "./wire";

/** Longer than a slow gateway answers in a good run, short enough that a stall is told to the user. */
const TIMEOUT = 10_000;

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

export interface Positions extends Decoded<Report> {
  /** The server's clock at the answer in ms since 1970, undefined when it did not say. */
  serverTime: number | undefined;
}

export async function positions(): Promise<Positions> {
  const { body, date } = await get("/api/vehicles/");
  return { ...shaped("/api/vehicles/", () => decodeReports(body)), serverTime: date };
}

export async function history(name: string): Promise<Point[]> {
  const path = `/api/history/${encodeURIComponent(name)}`;
  const { body } = await get(path);
  return shaped(path, () => decodeHistory(body)).good;
}

/** The vehicle's driver, undefined when nobody drives it. */
export async function driver(name: string): Promise<Driver | undefined> {
  try {
    const { body } = await get(`/api/vehicles/driver/${encodeURIComponent(name)}`);
    return decodeDriver(body);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

async function get(path: string): Promise<{ body: unknown; date: number | undefined }> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    text = await response.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(late ? `no answer within ${TIMEOUT / 1000} s` : "the server cannot be reached");
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    if (response.ok) throw new ApiError("the answer is not JSON", response.status);
  }
  if (!response.ok) throw new ApiError(decodeError(body) ?? `status ${response.status}`, response.status);
  const date = Date.parse(response.headers.get("Date") ?? "");
  return { body, date: Number.isNaN(date) ? undefined : date };
}

function shaped<T>(path: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new ApiError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

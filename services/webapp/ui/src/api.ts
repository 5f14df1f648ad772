import { decodeDriver, decodeError, decodeFallback, decodeHistory, decodeReports, type Decoded, type Driver, type Fallback, type Point, type Report } from "./wire";

/** Milliseconds: longer than the slowest answer without a fault, short enough to show a user that calls hang. */
const TIMEOUT = 10_000;

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

export interface Answer<T> {
  value: T;
  /** The source of a degraded value, undefined for a fresh one. */
  fallback: Fallback | undefined;
  /** The server's clock at the answer in ms since 1970, undefined without a Date header. */
  serverTime: number | undefined;
}

export function positions(): Promise<Answer<Decoded<Report>>> {
  return get("/api/vehicles/", decodeReports);
}

export function history(name: string): Promise<Answer<Point[]>> {
  return get(`/api/history/${encodeURIComponent(name)}`, (body) => decodeHistory(body).good);
}

/** Returns the vehicle's driver, null if it has none. */
export async function driver(name: string): Promise<Answer<Driver | null>> {
  try {
    return await get(`/api/vehicles/driver/${encodeURIComponent(name)}`, (body) => decodeDriver(body) ?? null);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { value: null, fallback: undefined, serverTime: undefined };
    throw error;
  }
}

async function get<T>(path: string, decode: (body: unknown) => T): Promise<Answer<T>> {
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
  return {
    value: shaped(path, () => decode(body)),
    fallback: decodeFallback(response.headers.get("X-Fallback")),
    serverTime: Number.isNaN(date) ? undefined : date,
  };
}

function shaped<T>(path: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new ApiError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Where the page is: `base` is what stands before /vehicle/NAME ("" or "/experimental"). */
export interface Place {
  base: string;
  vehicle: string | undefined;
}

export function parse(path: string): Place {
  const [, base = "", encoded] = /^(.*?)\/vehicle\/([^/]+)\/?$/.exec(path) ?? [];
  if (encoded === undefined) return { base: path.replace(/\/+$/, ""), vehicle: undefined };
  return { base, vehicle: decode(encoded) };
}

export function format({ base, vehicle }: Place): string {
  return vehicle === undefined ? base || "/" : `${base}/vehicle/${encodeURIComponent(vehicle)}`;
}

// A % that encodes nothing is part of the name.
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

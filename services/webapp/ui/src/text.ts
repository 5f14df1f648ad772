export function speedText(speed: number | null): string {
  return speed === null ? "unknown" : `${Math.round(speed)} mph`;
}

/** "now", "12 s ago", "3 min ago", "2 h ago". */
export function ageText(age: number): string {
  const seconds = Math.floor(age / 1000);
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/** "last known, 12 s ago". */
export function lastKnownText(age: number): string {
  const text = ageText(age);
  return `last known, ${text === "now" ? "just now" : text}`;
}

export function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

export function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

export function clockText(time: Date): string {
  return time.toTimeString().slice(0, 8);
}

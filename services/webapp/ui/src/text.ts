export function speedText(speed: number | null): string {
  return speed === null ? "unknown" : `${Math.round(speed)} mph`;
}

/** "now", "12 s ago", "3 min ago", "2 h ago". */
export function ageText(age: number): string {
  return age < 2_000 ? "now" : `${durationText(age)} ago`;
}

/** "12 s", "3 min", "2 h". */
export function durationText(duration: number): string {
  const seconds = Math.floor(duration / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
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

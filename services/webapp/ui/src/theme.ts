/** Returns a colour of style.css by the name of its custom property, for drawing on a canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function onThemeChange(then: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", then);
}

const COLOURS = 8;

/** Returns the CSS colour of the vehicle with this index. */
export function vehicleVariable(index: number): string {
  return `var(--vehicle-${index % COLOURS})`;
}

export function vehicleColour(index: number): string {
  return colour(`vehicle-${index % COLOURS}`);
}

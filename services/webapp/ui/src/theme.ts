/** A colour of style.css by its custom property, for what is drawn on canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function onThemeChange(then: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", then);
}

const COLOURS = 8;

/** The CSS colour of the vehicle that was seen as number `index`. */
export function vehicleVariable(index: number): string {
  return `var(--vehicle-${index % COLOURS})`;
}

export function vehicleColour(index: number): string {
  return colour(`vehicle-${index % COLOURS}`);
}

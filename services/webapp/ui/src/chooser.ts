import L from "leaflet";
import type { Vehicle } from "./fleet";
import { make } from "./panel";
import { count } from "./text";
import { vehicleVariable } from "./theme";

/** A popup with the names of the vehicles at one spot of the map, to choose one. */
export class Chooser {
  private popup: L.Popup | undefined;
  private opener: HTMLElement | undefined;

  constructor(
    private readonly map: L.Map,
    private readonly onSelect: (name: string) => void,
  ) {}

  open(at: L.LatLng, vehicles: Vehicle[], opener: HTMLElement): void {
    const content = make("div", "chooser");
    content.setAttribute("role", "group");
    content.setAttribute("aria-label", `${count(vehicles.length, "vehicle")} here`);
    content.append(make("p", "", `${count(vehicles.length, "vehicle")} here`), this.names(vehicles));
    this.opener = opener;
    this.popup = L.popup({ maxHeight: 260, minWidth: 200, offset: [0, -8] }).setLatLng(at).setContent(content).openOn(this.map);
    content.querySelector("button")?.focus();
  }

  /** Closes the popup and returns the focus to the element that opened it. Returns false if it is not open. */
  close(): boolean {
    if (!this.popup?.isOpen()) return false;
    this.popup.close();
    this.opener?.focus();
    return true;
  }

  private names(vehicles: Vehicle[]): HTMLElement {
    const list = make("ul", "list");
    for (const { name, index } of vehicles) {
      const button = make("button", "pick");
      button.type = "button";
      button.style.setProperty("--colour", vehicleVariable(index));
      button.append(make("span", "swatch"), make("span", "who", name));
      button.addEventListener("click", () => {
        this.popup?.close();
        this.onSelect(name);
      });
      const item = make("li");
      item.append(button);
      list.append(item);
    }
    return list;
  }
}

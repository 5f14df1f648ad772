import { expect, it } from "vitest";
import { command, loadCommand, runOn } from "./command";
import type { Load } from "./wire";

it.each([
  [{ do: "fault", pod: "staff-service-0", rules: "status=502,rate=0.5" }, "fleetman fault staff-service-0 status=502,rate=0.5"],
  [{ do: "fault", pod: "staff-service-0", rules: "delay=0s..5s;status=502" }, "fleetman fault staff-service-0 'delay=0s..5s;status=502'"],
  [{ do: "fault", pod: "a-0", rules: "header=X:it's" }, `fleetman fault a-0 'header=X:it'\\''s'`],
  [{ do: "fault", pod: "a-0", rules: " " }, "fleetman fault a-0 --clear"],
  [{ do: "kill", pod: "a-0", signal: "TERM" }, "fleetman kill a-0"],
  [{ do: "kill", pod: "outside/a-0", signal: "KILL" }, "fleetman kill --signal KILL outside/a-0"],
  [{ do: "pause", pod: "a-0" }, "fleetman kill --signal STOP a-0; sleep 5; fleetman kill --signal CONT a-0"],
  [{ do: "set", deployment: "staff-service", name: "VARIANT", value: "bad" }, "fleetman set staff-service VARIANT=bad"],
  [{ do: "scale", deployment: "staff-service", replicas: 3 }, "fleetman set staff-service --replicas 3"],
  [{ do: "apply", scenario: "resilience/mesh" }, "fleetman apply resilience/mesh"],
] as const)("%o", (change, want) => expect(command(change)).toBe(want));

it("names the cluster", () => {
  runOn(["--context", "kind kind", "--namespace", "team"]);
  expect(command({ do: "kill", pod: "a-0", signal: "TERM" })).toBe("fleetman kill a-0 --context 'kind kind' --namespace team");
  runOn([]);
});

it("has a shell loop for the load", () => {
  const load = { target: "http://127.0.0.1:30080/api" } as Load;
  expect(loadCommand(0, { driver: 1 }, load)).toBe("");
  expect(loadCommand(40, { driver: 8, positions: 1, history: 0 }, load)).toBe(
    "while sleep 0.025; do curl -s -o /dev/null -m 10 $(shuf -n1 -e http://127.0.0.1:30080/api/vehicles/driver/City%20Truck http://127.0.0.1:30080/api/vehicles/) & done",
  );
});

/** Faults by name: rules in the grammar of `fleetman fault --help`. */
export const PRESETS: { name: string; rules: string }[] = [
  { name: "bad replica: up to 5 s late, half of it 502", rules: "delay=0s..5s;status=502,rate=0.5" },
  { name: "every answer 2 s late", rules: "delay=2s" },
  { name: "half of the answers 503", rules: "status=503,rate=0.5" },
  { name: "every answer 500, at once", rules: "status=500" },
  { name: "no answer", rules: "hang" },
  { name: "connections reset", rules: "reset" },
  { name: "answers cut short", rules: "truncate" },
  { name: "answers at 20 bytes a second", rules: "slow=20" },
  { name: "at most 10 requests a second", rules: "capacity=10,queue=5" },
  { name: "crash at one request in five", rules: "crash,rate=0.2" },
];

/** The variants of a program: see the contract's table. */
export const VARIANTS: Record<string, string[]> = {
  "staff-service": ["standard", "placeholder", "bad", "fail-fast"],
  webapp: ["standard", "experimental"],
};

/** Values of RESILIENCE. */
export const RESILIENCE = ["off", "library"];

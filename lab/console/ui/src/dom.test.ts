import { expect, it } from "vitest";
import { segments } from "./dom";

it.each([
  ["istio-ingressgateway", ["istio-", "ingressgateway"]],
  ["monitoring.example.com", ["monitoring.", "example.", "com"]],
  ["webapp", ["webapp"]],
  ["a--b", ["a--", "b"]],
  ["position-simulator-0", ["position-", "simulator-0"]],
  ["", [""]],
])("wraps %j after hyphens and dots", (name, want) => expect(segments(name)).toEqual(want));

import { describe, expect, it } from "vitest";
import { decodeDriver, decodeError, decodeFallback, decodeHistory, decodeReports, decodeTime } from "./wire";

const good = { name: "City Truck", lat: 53.372627338394, lng: -1.4846392348, timestamp: "2023-11-13T05:31:33.279+0000", speed: 7.477 };

describe("decodeReports", () => {
  it("decodes the contract's example", () => {
    expect(decodeReports([good])).toEqual({
      good: [{ name: "City Truck", lat: 53.372627338394, lng: -1.4846392348, time: Date.UTC(2023, 10, 13, 5, 31, 33, 279), speed: 7.477 }],
      bad: 0,
    });
  });

  it.each([
    ["null", null],
    ["a string", "x"],
    ["an array", []],
    ["no name", { ...good, name: undefined }],
    ["an empty name", { ...good, name: "" }],
    ["a name that is no string", { ...good, name: 7 }],
    ["a latitude over 90", { ...good, lat: 90.1 }],
    ["a latitude that is a string", { ...good, lat: "53" }],
    ["no longitude", { ...good, lng: null }],
    ["NaN", { ...good, lng: NaN }],
    ["no time", { ...good, timestamp: undefined }],
    ["a time from nowhere", { ...good, timestamp: "yesterday" }],
  ])("leaves out %s and keeps the rest", (_, entry) => {
    const { good: kept, bad } = decodeReports([entry, good]);
    expect(kept.map(({ name }) => name)).toEqual(["City Truck"]);
    expect(bad).toBe(1);
  });

  it.each([
    [null, null],
    [undefined, null],
    ["fast", null],
    [Infinity, null],
    [0, 0],
  ])("takes speed %s as %s", (speed, want) => {
    expect(decodeReports([{ ...good, speed }]).good[0]?.speed).toBe(want);
  });

  it.each([[{}], [null], ["[]"]])("refuses %j, which is no array", (body) => {
    expect(() => decodeReports(body)).toThrow("must be a JSON array");
  });
});

describe("decodeTime", () => {
  it.each(["2023-11-13T05:31:33.279+0000", "2023-11-13T05:31:33.279Z", "2023-11-13T06:31:33.279+01:00", "2023-11-13T00:31:33.279-0500"])("reads %s", (text) => {
    expect(decodeTime(text)).toBe(Date.UTC(2023, 10, 13, 5, 31, 33, 279));
  });
});

describe("decodeHistory", () => {
  it("keeps the order and omits entries that are not points", () => {
    const body = [{ lat: 1, lng: 2 }, { lat: 1 }, 5, { lat: 3, lng: 4, speed: 1 }];
    expect(decodeHistory(body)).toEqual({ good: [{ lat: 1, lng: 2 }, { lat: 3, lng: 4 }], bad: 2 });
  });
});

describe("decodeDriver", () => {
  it.each([
    [{ name: "Pam Parry", photo: "https://example.org/1.jpg" }, { name: "Pam Parry", photo: "https://example.org/1.jpg" }],
    [{ name: "Pam Parry", photo: "https://rac-istio-course-images.s3.amazonaws.com/1.jpg" }, { name: "Pam Parry", photo: "/api/photos/1.jpg" }],
    [{ name: "Pam Parry", photo: "/photos/1.jpg" }, { name: "Pam Parry", photo: "/photos/1.jpg" }],
    [{ name: "Pam Parry", photo: "javascript:alert(1)" }, { name: "Pam Parry", photo: "" }],
    [{ name: "Pam Parry" }, { name: "Pam Parry", photo: "" }],
    [{ name: null, photo: null }, undefined],
    ["Pam Parry", undefined],
  ])("reads %j", (body, want) => {
    expect(decodeDriver(body)).toEqual(want);
  });
});

describe("decodeError", () => {
  it.each([
    [{ status: 500, message: "status 502 reading staff-service" }, "status 502 reading staff-service"],
    [{ message: "" }, undefined],
    [{ message: 3 }, undefined],
    [undefined, undefined],
  ])("reads %j", (body, want) => {
    expect(decodeError(body)).toBe(want);
  });
});

describe("decodeFallback", () => {
  it.each([
    [null, undefined],
    ["", undefined],
    ["last-known; age=12s", { kind: "last-known", age: 12_000 }],
    ["last-known; age=0s", { kind: "last-known", age: 0 }],
    ["placeholder", { kind: "placeholder" }],
    // An unknown kind or age is a degraded answer, too.
    ["last-known", { kind: "placeholder" }],
    ["cached", { kind: "placeholder" }],
  ])("reads %j", (header, want) => {
    expect(decodeFallback(header)).toEqual(want);
  });
});

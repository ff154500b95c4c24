import { describe, expect, it } from "vitest";
import { readSensor, type Sensor } from "./sensor";
import { durationMs, fieldFor, keyFor, readWindows, thresholdsOf, windowsFor, type WindowPlan } from "./window";

const WIRE = {
  pipelines: [
    {
      name: "air-quality",
      feeds: ["air"],
      windows: [
        { name: "zone", by: ["zone"], size: "15m", slide: "15m", fields: ["pm25_mean"] },
        { name: "pm25_1h", by: ["sensor"], size: "1h", slide: "1h", fields: ["pm25_max", "pm25_mean"] },
        { name: "channel", by: ["channel"], size: "1h", slide: "1h", fields: ["pm25_mean"] },
      ],
      rules: [{ name: "air-high", when: "pm25_mean > 37 AND hum < 90", title: { es: "Alto" } }],
    },
    { name: "river", feeds: ["river"], windows: [{ name: "level", by: ["sensor"], size: "10m", fields: ["level_max"] }] },
  ],
};

function sensor(feed: string): Sensor {
  const read = readSensor({ name: "s-1", feed, tags: { zone: "comuna-07" } });
  if (read === null) throw new Error("the sensor of the test has no name");
  return read;
}

const windows = readWindows(WIRE);
const named = (name: string): WindowPlan => {
  const found = windows.find((window) => window.name === name);
  if (found === undefined) throw new Error(`no window ${name}`);
  return found;
};

describe("windows of a sensor", () => {
  it("its_own_come_before_those_of_its_zone_and_unknown_keys_are_left_out", () => {
    expect(windowsFor(windows, sensor("air"), "pm25").map(({ name }) => name)).toEqual(["pm25_1h", "zone"]);
  });

  it("another_feed_or_quantity_has_none", () => {
    expect(windowsFor(windows, sensor("noise"), "pm25")).toEqual([]);
    expect(windowsFor(windows, sensor("air"), "temp")).toEqual([]);
  });

  it("the_mean_is_preferred_and_units_in_names_do_not_hide_a_field", () => {
    expect(fieldFor(named("pm25_1h"), "pm25")).toBe("pm25_mean");
    expect(fieldFor(named("level"), "level_cm")).toBe("level_max");
  });

  it("asks_by_sensor_or_by_tag", () => {
    expect(keyFor(named("pm25_1h"), sensor("air"))).toEqual({ sensor: "s-1" });
    expect(keyFor(named("zone"), sensor("air"))).toEqual({ "key.zone": "comuna-07" });
  });
});

describe("thresholds", () => {
  it("are_the_limits_on_the_drawn_field_only", () => {
    expect(thresholdsOf(named("pm25_1h"), "pm25").map(({ value }) => value)).toEqual([37]);
  });
});

describe("durations", () => {
  it("are_read_with_their_unit", () => {
    expect(durationMs("90s")).toBe(90_000);
    expect(durationMs("1d")).toBe(86_400_000);
    expect(durationMs("soon")).toBeNull();
  });
});

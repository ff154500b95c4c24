import { describe, expect, it } from "vitest";
import { dotsOf } from "./dot";
import { scaleFor } from "./scale";
import { eventClockOffsetMs, isStale, readLiveReadings, readSensor, withLive, type Sensor } from "./sensor";

const WIRE = {
  id: 7,
  name: "aire-00042",
  feed: "air",
  tags: { zone: "comuna-07" },
  latitude: 6.25,
  longitude: -75.56,
  last_event_at: "2026-03-01T12:00:00Z",
  last_arrived_at: "2026-03-01T12:00:01Z",
  readings: [{ quantity: "pm25", unit: "ug/m3", value: 23.4, event_at: "2026-03-01T12:00:00Z" }],
};

function sensor(changes: Record<string, unknown> = {}): Sensor {
  const read = readSensor({ ...WIRE, ...changes });
  if (read === null) throw new Error("the sensor of the test has no name");
  return read;
}

describe("reading", () => {
  it("keeps_what_the_service_tells", () => {
    expect(sensor()).toMatchObject({ name: "aire-00042", tags: { zone: "comuna-07" }, place: { latitude: 6.25, longitude: -75.56 } });
    expect(sensor().readings.get("pm25")?.value).toBe(23.4);
  });

  it("null_means_no_data_and_not_zero", () => {
    const read = sensor({ latitude: null, readings: [{ quantity: "pm25", value: null }] });
    expect(read.place).toBeNull();
    expect(read.readings.size).toBe(0);
  });
});

describe("live readings", () => {
  const live = (value: number, at: string) => {
    const read = readLiveReadings({ sensor: "aire-00042", event_at: at, readings: [{ quantity: "pm25", unit: "ug/m3", value }] });
    if (read === null) throw new Error("the reading of the test is not one");
    return read;
  };

  it("a_newer_reading_replaces_an_older_one_and_never_the_reverse", () => {
    const newer = withLive(sensor(), live(30, "2026-03-01T12:00:10Z"), 0);
    expect(newer.readings.get("pm25")?.value).toBe(30);
    const late = withLive(newer, live(10, "2026-03-01T11:00:00Z"), 0);
    expect(late.readings.get("pm25")?.value).toBe(30);
  });

  it("keeps_the_place_when_the_stream_does_not_tell_it", () => {
    expect(withLive(sensor(), live(30, "2026-03-01T12:00:10Z"), 0).place).not.toBeNull();
  });
});

describe("clock", () => {
  it("ordinary_delays_are_no_offset", () => {
    expect(eventClockOffsetMs([sensor()])).toBe(0);
  });

  it("a_recorded_day_is_an_offset_and_one_bad_device_is_not", () => {
    const recorded = sensor({ last_arrived_at: "2026-11-01T12:00:00Z" });
    expect(eventClockOffsetMs([recorded, recorded, sensor()])).toBeLessThan(-86_400_000);
    expect(eventClockOffsetMs([sensor(), sensor(), recorded])).toBe(0);
  });
});

describe("dots", () => {
  const now = Date.parse("2026-03-01T12:05:00Z");
  const scale = scaleFor("pm25", "ug/m3", [23.4]);

  it("carry_colour_and_category_while_data_is_recent", () => {
    const [dot] = dotsOf([sensor()], "pm25", scale, new Map([["aire-00042", "critical"]]), now);
    expect(dot).toMatchObject({ colour: "#FFFF00", category: "acceptable", ring: "critical", stale: false });
  });

  it("are_hollow_when_nothing_came_for_a_quarter_of_an_hour", () => {
    const later = now + 20 * 60_000;
    expect(isStale(sensor(), later)).toBe(true);
    expect(dotsOf([sensor()], "pm25", scale, new Map(), later)[0]).toMatchObject({ colour: null, stale: true });
  });

  it("leave_out_other_quantities_but_never_an_alert", () => {
    expect(dotsOf([sensor()], "noise", scale, new Map(), now)).toHaveLength(0);
    expect(dotsOf([sensor()], "noise", scale, new Map([["aire-00042", "info"]]), now)).toHaveLength(1);
  });
});

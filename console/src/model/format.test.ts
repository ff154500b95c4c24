import { describe, expect, it } from "vitest";
import {
  formatAgo, formatClock, formatCount, formatDateTime, formatDuration, formatNumber, formatTick, formatValue, formatZone,
} from "./format";

const BOGOTA = "America/Bogota";
/** Spaces of any width count as one: engines differ in which they use. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, " ");

describe("numbers in es-CO", () => {
  it("uses_a_comma_for_decimals_and_a_point_for_thousands", () => {
    expect(formatNumber(23.44, "es")).toBe("23,4");
    expect(formatNumber(0.071, "es")).toBe("0,07");
    expect(formatNumber(1234567.891, "es")).toBe("1.234.568");
    expect(formatCount(1234, "es")).toBe("1.234");
  });

  it("uses_english_marks_in_english", () => {
    expect(formatNumber(23.44, "en")).toBe("23.4");
    expect(formatCount(1234, "en")).toBe("1,234");
  });

  it("writes_units_as_on_paper_and_none_for_counts", () => {
    expect(plain(formatValue(23.4, "ug/m3", "es"))).toBe("23,4 µg/m³");
    expect(formatValue(12, "count", "es")).toBe("12");
    expect(plain(formatValue(312, "cm", "es"))).toBe("312 cm");
  });
});

describe("times in America/Bogota", () => {
  const lateEvening = Date.parse("2026-11-22T04:05:09Z");

  it("writes_date_and_time_as_in_colombia", () => {
    expect(plain(formatDateTime(lateEvening, "es", BOGOTA))).toBe("21/11/26, 11:05 p. m.");
    expect(plain(formatClock(lateEvening, "es", BOGOTA))).toBe("11:05:09 p. m.");
  });

  it("follows_the_time_zone_database_in_1992", () => {
    const duringDaylightTime = Date.parse("1992-08-01T12:00:00Z");
    expect(plain(formatDateTime(duringDaylightTime, "es", BOGOTA))).toContain("8:00");
  });

  it("marks_midnight_by_its_day", () => {
    expect(formatTick(Date.parse("2026-11-22T05:00:00Z"), "es", BOGOTA, 1_800_000)).toContain("22");
    expect(formatTick(lateEvening, "es", BOGOTA, 1_800_000)).toBe("23:05");
  });

  it("says_how_long_ago_and_leaves_old_times_to_the_date", () => {
    expect(plain(formatAgo(0, 5 * 60_000, "es") ?? "")).toBe("hace 5 min");
    expect(formatAgo(0, 20_000, "es")).toBe("ahora");
    expect(formatAgo(0, 3 * 86_400_000, "es")).toBeNull();
  });
});

describe("names", () => {
  it("makes_configured_words_readable", () => {
    expect(plain(formatDuration("30m"))).toBe("30 min");
    expect(formatDuration("soon")).toBe("soon");
    expect(formatZone("comuna-07")).toBe("Comuna 07");
  });
});

import { describe, expect, it } from "vitest";
import { forget, insert, readAggregates, readReadings, summary, withGaps, type Series } from "./history";

const at = (second: number): string => new Date(second * 1000).toISOString();
const series = (...times: number[]): Series => ({ times: [...times], values: times.map((time) => time * 2) });

describe("readings", () => {
  it("come_out_in_time_order_without_rows_that_hold_no_number", () => {
    const { series: read, truncated } = readReadings({
      rows: [{ time: at(2), value: 2 }, { time: at(1), value: 1 }, { time: at(3), value: null }, { time: "?", value: 4 }],
      truncated: true,
    });
    expect(read).toEqual({ times: [1, 2], values: [1, 2] });
    expect(truncated).toBe(true);
  });

  it("an_answer_of_another_shape_is_an_empty_history", () => {
    expect(readReadings(null).series.times).toHaveLength(0);
  });
});

describe("aggregates", () => {
  const wire = {
    rows: [
      { time: at(0), end: at(10), fields: { pm25_mean: 5 } },
      { time: at(10), end: at(20), fields: { pm25_mean: null } },
      { time: at(20), end: at(30), fields: { pm25_mean: 7 } },
    ],
  };

  it("stand_at_the_start_of_their_window_and_the_last_lasts_to_its_end", () => {
    expect(readAggregates(wire, "pm25_mean", "time").series).toEqual({ times: [0, 10, 20, 30], values: [5, null, 7, 7] });
  });

  it("stand_at_the_end_of_windows_that_overlap", () => {
    expect(readAggregates(wire, "pm25_mean", "end").series).toEqual({ times: [10, 20, 30], values: [5, null, 7] });
  });
});

describe("live series", () => {
  it("a_late_reading_finds_its_place_and_a_repeated_time_is_replaced", () => {
    const kept = series(1, 3);
    insert(kept, 2000, 9);
    insert(kept, 3000, 8);
    expect(kept).toEqual({ times: [1, 2, 3], values: [2, 9, 8] });
  });

  it("forgets_what_left_the_period", () => {
    const kept = series(1, 2, 3);
    forget(kept, 2000);
    expect(kept.times).toEqual([2, 3]);
    forget(kept, 9000);
    expect(kept.times).toEqual([]);
  });

  it("a_long_silence_is_a_gap", () => {
    expect(withGaps(series(0, 1, 2, 3, 60)).values).toContain(null);
    expect(withGaps(series(0, 1, 2, 3, 5)).values).not.toContain(null);
  });

  it("sums_up_lowest_highest_and_last", () => {
    expect(summary({ times: [1, 2, 3], values: [5, null, 3] })).toEqual({ lowest: 3, highest: 5, last: 3, lastAtMs: 3000 });
    expect(summary(series())).toBeNull();
  });
});

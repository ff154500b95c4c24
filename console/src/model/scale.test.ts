import { describe, expect, it } from "vitest";
import ica from "../norms/ica.json";
import { bandIndex, bandOf, scaleFor } from "./scale";

describe("air quality index, Resolución 2254 de 2017, arts. 19 and 20 (secondary copy)", () => {
  const scale = scaleFor("pm25", "ug/m3", []);
  const category = (value: number) => bandOf(scale, value)?.category;

  it("keeps_the_upper_cut_point_in_its_category", () => {
    expect([12, 37, 55, 150, 250, 400].map(category)).toEqual([
      "good", "acceptable", "sensitive", "harmful", "very_harmful", "hazardous",
    ]);
  });

  it("rounds_half_up_before_look_up_so_that_no_value_falls_in_a_gap", () => {
    expect(category(12.49)).toBe("good");
    expect(category(12.5)).toBe("acceptable");
  });

  it("calls_everything_beyond_the_table_hazardous", () => {
    expect(category(900)).toBe("hazardous");
  });

  it("is_not_used_for_another_unit_or_quantity", () => {
    expect(scaleFor("pm25", "ppm", [1, 2]).kind).toBe("ramp");
    expect(scaleFor("noise", "dB(A)", [1, 2]).kind).toBe("ramp");
  });

  it("says_that_its_figures_are_not_verified", () => {
    expect(ica.verified_against_official_text).toBe(false);
    expect(ica.source).not.toBe("");
  });
});

describe("ramp", () => {
  it("splits_the_values_on_screen_at_round_numbers", () => {
    const scale = scaleFor("noise", "dB(A)", [51.2, 78.9, 60]);
    expect(scale.bands.map((band) => band.upTo)).toEqual([60, 70, 80, 90, Infinity]);
    expect(bandIndex(scale, 51.2)).toBe(0);
  });

  it("has_one_band_without_values_and_with_a_single_one", () => {
    expect(scaleFor("noise", "", []).bands).toHaveLength(1);
    expect(scaleFor("noise", "", [5, 5]).bands).toHaveLength(1);
  });

  it("covers_negative_and_small_values", () => {
    const scale = scaleFor("temp", "Cel", [-0.004, 0.001]);
    expect(bandIndex(scale, -0.004)).toBe(0);
    expect(bandIndex(scale, 0.001)).toBeGreaterThan(2);
  });
});

import { describe, expect, it } from "vitest";
import { readQuantities } from "../model/quantity";
import { readStatus } from "../model/status";
import { address, ApiFailure, get, getAll, retryAfterMs, type Fetch } from "./client";

const answering = (status: number, body: string): Fetch => async () => new Response(body, { status });
const failure = async (use: Fetch): Promise<unknown> => get("status", {}, undefined, use).catch((error: unknown) => error);

describe("requests", () => {
  it("addresses_are_relative_and_leave_out_what_is_null", () => {
    expect(address("sensors", { feed: null, "tag.zone": "comuna-01", limit: 5 })).toBe("api/v1/sensors?tag.zone=comuna-01&limit=5");
    expect(address("status")).toBe("api/v1/status");
  });

  it("every_page_of_a_list_is_fetched", async () => {
    const pages: Fetch = async (asked) =>
      Response.json(asked.includes("after=") ? { sensors: [3], next: null } : { sensors: [1, 2], next: "x" });
    expect(await getAll("sensors", "sensors", undefined, pages)).toEqual([1, 2, 3]);
  });
});

describe("failures", () => {
  it("no_answer_is_unreachable", async () => {
    const gone: Fetch = () => Promise.reject(new TypeError("connection refused"));
    expect(await failure(gone)).toMatchObject({ kind: "unreachable", httpStatus: 0 });
  });

  it("an_error_of_the_service_keeps_its_remedy", async () => {
    const refused = await failure(answering(400, '{"error":{"code":"bad_request","message":"m","remedy":"do this"}}'));
    expect(refused).toBeInstanceOf(ApiFailure);
    expect(refused).toMatchObject({ kind: "refused", httpStatus: 400, message: "m", remedy: "do this" });
  });

  it("a_proxy_without_service_behind_it_is_unreachable", async () => {
    expect(await failure(answering(502, "<html>"))).toMatchObject({ kind: "unreachable", httpStatus: 502 });
  });

  it("an_answer_that_is_not_json_is_garbled", async () => {
    expect(await failure(answering(200, "<html>"))).toMatchObject({ kind: "garbled" });
  });

  it("tries_are_spaced_out_up_to_half_a_minute", () => {
    expect([1, 2, 3, 9].map(retryAfterMs)).toEqual([2000, 4000, 8000, 30_000]);
  });
});

describe("mapping", () => {
  it("status_keeps_null_where_there_is_no_data", () => {
    expect(readStatus({ events_per_second: null, sensors: 80, zone: "America/Bogota" })).toMatchObject({
      eventsPerSecond: null, sensors: 80, zone: "America/Bogota",
    });
  });

  it("a_quantity_of_two_feeds_is_listed_once", () => {
    const pm25 = { name: "pm25", unit: "ug/m3", label: { es: "PM2,5" } };
    const feeds = { feeds: [{ name: "air", quantities: [pm25] }, { name: "lorawan", quantities: [pm25, { name: "hum" }] }] };
    expect(readQuantities(feeds).map(({ name }) => name)).toEqual(["pm25", "hum"]);
  });
});

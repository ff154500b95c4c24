import { describe, expect, it } from "vitest";
import { firing, gravestBy, isNewer, readAlert, resolved, type Alert } from "./alert";

function alert(id: string, severity: string, state: string, at: string, key: Record<string, string> = {}): Alert {
  const times = { raised_at: at, decided_at: at, resolved_at: state === "resolved" ? at : null };
  const read = readAlert({ id, severity, state, key, ...times });
  if (read === null) throw new Error("the alert of the test has no id");
  return read;
}

const EARLY = "2026-03-01T12:00:00Z";
const LATE = "2026-03-01T13:00:00Z";

describe("order", () => {
  const all = [
    alert("a", "info", "firing", LATE),
    alert("b", "critical", "firing", EARLY),
    alert("c", "warning", "firing", EARLY),
    alert("d", "warning", "firing", LATE),
    alert("e", "critical", "resolved", EARLY),
    alert("f", "info", "resolved", LATE),
    alert("g", "critical", "pending", LATE),
  ];

  it("shows_the_gravest_first_then_the_newest", () => {
    expect(firing(all).map(({ id }) => id)).toEqual(["b", "d", "c", "a"]);
  });

  it("shows_what_ended_last_first_and_leaves_pending_out", () => {
    expect(resolved(all).map(({ id }) => id)).toEqual(["f", "e"]);
  });
});

describe("marks on the map", () => {
  it("a_sensor_wears_its_gravest_firing_alert", () => {
    const marks = gravestBy(
      [
        alert("a", "warning", "firing", LATE, { sensor: "rio-01" }),
        alert("b", "critical", "firing", EARLY, { sensor: "rio-01" }),
        alert("c", "critical", "resolved", LATE, { sensor: "rio-02" }),
        alert("d", "info", "firing", LATE, { zone: "comuna-01" }),
      ],
      "sensor",
    );
    expect([...marks]).toEqual([["rio-01", "critical"]]);
  });
});

describe("reading", () => {
  it("an_unknown_severity_counts_as_a_warning", () => {
    expect(readAlert({ id: "x", severity: "apocalyptic" })?.severity).toBe("warning");
  });

  it("an_alert_without_id_is_left_out", () => {
    expect(readAlert({ severity: "info" })).toBeNull();
    expect(readAlert("text")).toBeNull();
  });

  it("keeps_the_history_with_its_times", () => {
    const read = readAlert({ id: "x", transitions: [{ from: "pending", to: "firing", at: EARLY, decided_at: LATE, cause: "met" }] });
    expect(read?.transitions).toEqual([
      { from: "pending", to: "firing", atMs: Date.parse(EARLY), decidedAtMs: Date.parse(LATE), cause: "met" },
    ]);
  });

  it("an_older_decision_never_replaces_a_newer_one", () => {
    const [known, next] = [alert("a", "info", "resolved", LATE), alert("a", "info", "firing", EARLY)];
    expect(isNewer(next, known)).toBe(false);
    expect(isNewer(known, next)).toBe(true);
    expect(isNewer(next, undefined)).toBe(true);
  });
});

// Requests to the service: JSON in, a value or an `ApiFailure` out. Addresses are relative to the page.

import { list, record, text } from "../model/wire";

/** What went wrong: no answer at all, an answer that refuses, or one that is not JSON. */
export type FailureKind = "unreachable" | "refused" | "garbled";

/** A request that brought nothing. */
export class ApiFailure extends Error {
  readonly kind: FailureKind;
  /** HTTP status, 0 without an answer. */
  readonly httpStatus: number;
  /** What the service says to do, in its own words; "" if it says nothing. */
  readonly remedy: string;

  constructor(kind: FailureKind, httpStatus: number, message: string, remedy = "") {
    super(message);
    this.name = "ApiFailure";
    this.kind = kind;
    this.httpStatus = httpStatus;
    this.remedy = remedy;
  }
}

/** The query of a request; null and undefined members are left out. */
export type Query = Readonly<Record<string, string | number | null | undefined>>;

/** A `fetch` to use; tests bring their own. */
export type Fetch = (address: string, options: RequestInit) => Promise<Response>;

const ANSWER_WITHIN_MS = 15_000;
const PAGE_ROWS = 500;
const PAGES_MAX = 40;

/** The address of an API path with its query, relative to the page. */
export function address(path: string, query: Query = {}): string {
  const members = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) members.set(name, String(value));
  }
  const asked = members.toString();
  return `api/v1/${path}${asked === "" ? "" : `?${asked}`}`;
}

/**
 * Gets one JSON document.
 *
 * Throws `ApiFailure` for every failure but an abort by `signal`, which throws what `fetch` throws.
 */
export async function get(path: string, query: Query = {}, signal?: AbortSignal, use: Fetch = fetch): Promise<unknown> {
  const limit = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  let response: Response;
  try {
    response = await use(address(path, query), { signal: either, headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiFailure("unreachable", 0, String(error));
  }
  if (!response.ok) throw await refusal(response);
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiFailure("garbled", response.status, String(error));
  }
}

/** Gets every page of a list that goes on with `next`, the items of member `member`. */
export async function getAll(path: string, member: string, signal?: AbortSignal, use: Fetch = fetch): Promise<unknown[]> {
  const items: unknown[] = [];
  let after: string | number | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const body = record(await get(path, { limit: PAGE_ROWS, after }, signal, use));
    items.push(...list(body[member]));
    const next: unknown = body["next"];
    if (typeof next !== "string" && typeof next !== "number") break;
    after = next;
  }
  return items;
}

/** How long to wait before the next try, ms: 2 s, doubled with every failure, at most 30 s. */
export function retryAfterMs(failures: number): number {
  return Math.min(30_000, 2_000 * 2 ** Math.max(0, failures - 1));
}

async function refusal(response: Response): Promise<ApiFailure> {
  let said: unknown;
  try {
    said = await response.json();
  } catch {
    said = null;
  }
  const error = record(record(said)["error"]);
  // A proxy in front of the service answers 502 to 504 while the service is down.
  const down = response.status >= 502 && response.status <= 504;
  return new ApiFailure(
    down ? "unreachable" : "refused",
    response.status,
    text(error["message"], response.statusText),
    text(error["remedy"]),
  );
}

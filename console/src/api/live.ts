// The live stream over server-sent events: opens it, notices when it is cut or silent, and opens it again.
// After every reopening the owner is told, because what happened meanwhile must be asked for.

import { retryAfterMs } from "./client";

/**
 * How the live stream is: `silent` is open without news, although the service sends its status each second;
 * `off` is never opened, because the page's address says `?live=off`.
 */
export type Link = "connecting" | "open" | "silent" | "lost" | "off";

/** What the owner of the stream wants to hear. */
export interface LiveListener {
  onLink(link: Link): void;
  /** The stream is open again after it was cut. */
  onReopened(): void;
  /** One event: its name and its data, parsed. */
  onEvent(name: LiveEvent, data: unknown): void;
}

/** The events of the stream. */
export type LiveEvent = "reading" | "alert" | "status";

const EVENTS: readonly LiveEvent[] = ["reading", "alert", "status"];
const SILENT_AFTER_MS = 8_000;
const REOPEN_AFTER_SILENCE_MS = 30_000;

/** One live stream. `open` starts it; `close` ends it for good. */
export class Live {
  #source: EventSource | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #failures = 0;
  #wasOpen = false;
  #heardAtMs = 0;
  readonly #address: string;
  readonly #listener: LiveListener;

  constructor(address: string, listener: LiveListener) {
    this.#address = address;
    this.#listener = listener;
  }

  /** Opens the stream and keeps it open. */
  open(): void {
    this.#listener.onLink("connecting");
    this.#watch = setInterval(() => this.#check(), 2_000);
    this.#connect();
  }

  /** Closes the stream. */
  close(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    this.#source?.close();
    this.#source = null;
  }

  #connect(): void {
    this.#source?.close();
    const source = new EventSource(this.#address);
    this.#source = source;
    source.onopen = () => this.#opened();
    source.onerror = () => this.#cut(source);
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#hear(name, event));
  }

  #opened(): void {
    this.#heardAtMs = Date.now();
    this.#failures = 0;
    this.#listener.onLink("open");
    if (this.#wasOpen) this.#listener.onReopened();
    this.#wasOpen = true;
  }

  #hear(name: LiveEvent, event: MessageEvent): void {
    const wasSilent = Date.now() - this.#heardAtMs > SILENT_AFTER_MS;
    this.#heardAtMs = Date.now();
    if (wasSilent) this.#listener.onLink("open");
    let data: unknown;
    try {
      data = JSON.parse(String(event.data));
    } catch {
      // One event that cannot be read is no reason to lose the stream.
      return;
    }
    this.#listener.onEvent(name, data);
  }

  #cut(source: EventSource): void {
    this.#listener.onLink(this.#wasOpen ? "lost" : "connecting");
    // A cut connection is reopened by the browser, with Last-Event-ID; after an HTTP error it gives up.
    if (source.readyState === EventSource.CLOSED) this.#again();
  }

  #again(): void {
    clearTimeout(this.#retry);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), retryAfterMs(this.#failures));
  }

  #check(): void {
    if (this.#source?.readyState !== EventSource.OPEN) return;
    const silentMs = Date.now() - this.#heardAtMs;
    if (silentMs > REOPEN_AFTER_SILENCE_MS) {
      this.#listener.onLink("lost");
      this.#connect();
    } else if (silentMs > SILENT_AFTER_MS) this.#listener.onLink("silent");
  }
}

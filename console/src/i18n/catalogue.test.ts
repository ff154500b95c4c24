// Holds the rule that no text of the page stands outside the catalogues, and that both languages say everything.

import { parse } from "svelte/compiler";
import { describe, expect, it } from "vitest";
import { en } from "./en";
import { es } from "./es";
import { translated } from "./language.svelte";

const SOURCES = import.meta.glob<string>("../**/*.svelte", { eager: true, query: "?raw", import: "default" });
const READ_ALOUD = ["aria-label", "title", "alt", "placeholder", "label"];

interface Node {
  type?: string;
  name?: string;
  data?: string;
  [member: string]: unknown;
}

/** Every piece of literal text in a component's markup that a person would see or hear. */
function textsIn(node: unknown, found: string[] = []): string[] {
  if (Array.isArray(node)) node.forEach((child) => textsIn(child, found));
  else if (typeof node === "object" && node !== null) {
    const { type, name, data, ...members } = node as Node;
    if (type === "StyleDirective") return found;
    if (type === "Attribute" && !READ_ALOUD.includes(name ?? "")) return found;
    if (type === "Text" && /\p{L}/u.test(data ?? "")) found.push(data ?? "");
    Object.values(members).forEach((member) => textsIn(member, found));
  }
  return found;
}

function keysOf(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, member]) => keysOf(member, `${path}.${key}`));
}

describe("catalogues", () => {
  it("components_hold_no_text_of_their_own", () => {
    expect(Object.keys(SOURCES).length).toBeGreaterThan(8);
    for (const [path, source] of Object.entries(SOURCES)) {
      const { fragment } = parse(source, { modern: true });
      expect(textsIn(fragment), path).toEqual([]);
    }
  });

  it("both_languages_have_the_same_keys_and_no_empty_text", () => {
    expect(keysOf(en)).toEqual(keysOf(es));
    const blank = (value: unknown): boolean =>
      value === "" || (typeof value === "object" && value !== null && Object.values(value).some(blank));
    expect(blank(es)).toBe(false);
    expect(blank(en)).toBe(false);
  });
});

describe("texts of the service", () => {
  it("fall_back_to_spanish_then_to_any_language", () => {
    expect(translated({ es: "hola", en: "hello" }, "en")).toBe("hello");
    expect(translated({ es: "hola" }, "en")).toBe("hola");
    expect(translated({ qu: "rimaykullayki" }, "en")).toBe("rimaykullayki");
    expect(translated({}, "es")).toBe("");
  });
});

// The language of the page: `?lang=` wins, then what the person chose last time, then Spanish.

import { en } from "./en";
import { es, type Catalogue } from "./es";

/** A language the console speaks. */
export type LanguageCode = "es" | "en";

/** A text that comes from the service in one or more languages. */
export type Translated = Readonly<Record<string, string>>;

const STORED_AS = "sereno.language";
const CATALOGUES: Readonly<Record<LanguageCode, Catalogue>> = { es, en };

/** Tells whether `code` is a language the console speaks. */
export function isLanguage(code: string | null): code is LanguageCode {
  return code === "es" || code === "en";
}

/** Picks the text in `code`, else in Spanish, else in any language; "" if there is none. */
export function translated(text: Translated, code: LanguageCode): string {
  return text[code] ?? text["es"] ?? Object.values(text)[0] ?? "";
}

class Language {
  #code = $state<LanguageCode>("es");

  /** The language in use. */
  get code(): LanguageCode {
    return this.#code;
  }

  /** The catalogue of the language in use. */
  get texts(): Catalogue {
    return CATALOGUES[this.#code];
  }

  /** Takes the language from the address or from the last visit. */
  start(search: string): void {
    const asked = new URLSearchParams(search).get("lang");
    const kept = remembered();
    if (isLanguage(asked)) this.#code = asked;
    else if (isLanguage(kept)) this.#code = kept;
    document.documentElement.lang = this.#code;
  }

  /** Switches the page to `code` and remembers it on this computer. */
  choose(code: LanguageCode): void {
    this.#code = code;
    document.documentElement.lang = code;
    try {
      localStorage.setItem(STORED_AS, code);
    } catch {
      // Storage can be off by policy: the choice then lasts until the page closes.
    }
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}

/** The one language of the page. */
export const language = new Language();

// delete-guard: a `delete_…` tool runs only with `confirm: true`, tools that speak of a hidden word are not listed, and
// readings of each server are counted.

import type * as CallGate from "witgate:policy/call-gate";
import { definition } from "witgate:policy/catalog";
import type * as Inventory from "witgate:policy/inventory";
import type * as ListFilter from "witgate:policy/list-filter";
import type * as Settings from "witgate:policy/settings";
import { get } from "witgate:policy/store";
import type { Denial, Item } from "witgate:policy/types";

// Of ASCII letters only: `toLowerCase` alone makes a k of the Kelvin sign.
const lower = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

let hide: string | undefined;

export const settings = {
  configure(json) {
    const { hide: word, ...others }: Record<string, unknown> = JSON.parse(json);
    for (const key of Object.keys(others)) throw `unknown key \`${key}\`; there is \`hide\``;
    if (word === undefined) return;
    if (typeof word !== "string" || word === "") throw "`hide` must be a word";
    hide = lower(word);
  },
} satisfies typeof Settings;

const unconfirmed: CallGate.Verdict = {
  tag: "deny",
  val: {
    code: "confirm_required",
    reason: "Deleting needs the argument `confirm` to be true",
    remedy: "Ask the person, then call again with `confirm` set to true",
    labels: [],
  },
};

export const callGate = {
  check(_context, { item, arguments: json }) {
    const deletes = item.kind.tag === "tool" && lower(item.name).startsWith("delete_");
    const confirmed = !deletes || JSON.parse(json ?? "null")?.confirm === true;
    return confirmed ? { tag: "allow" } : unconfirmed;
  },
} satisfies typeof CallGate;

export const listFilter = {
  filter: (_context, items) => items.map(withheld),
} satisfies typeof ListFilter;

function withheld({ kind, digest }: Item): Denial | null {
  if (hide === undefined || kind.tag !== "tool") return null;
  let description: unknown;
  try {
    description = JSON.parse(definition(digest) ?? "")?.description;
  } catch {
    return { code: "no_definition", reason: "Its definition cannot be read", labels: [] };
  }
  if (typeof description !== "string" || !lower(description).includes(hide)) return null;
  return { code: "hidden_word", reason: "Its description has a word that the operator hides", labels: [] };
}

export const inventory = {
  observe(server) {
    const key = `sighting/readings/${server.name}`;
    const before = get(key) ?? "";
    const readings = /^\d+$/.test(before) ? Number(before) : 0;
    return [{ key, value: String(readings + 1), labels: [] }];
  },
} satisfies typeof Inventory;

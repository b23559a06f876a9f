// delete-guard: a `delete_…` tool runs only with `confirm: true`, tools that speak of a hidden word are not listed, and
// readings of each server are counted.

import { definition } from "witgate:policy/catalog";
import { get } from "witgate:policy/store";

// Of ASCII letters only: `toLowerCase` alone makes a k of the Kelvin sign.
const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
const denial = (code, reason, remedy = null) => ({ code, reason, remedy, labels: [] });

let hide;

export const settings = {
  configure(json) {
    const { hide: word, ...others } = JSON.parse(json);
    for (const key of Object.keys(others)) throw `unknown key \`${key}\`; there is \`hide\``;
    if (word === undefined) return;
    if (typeof word !== "string" || word === "") throw "`hide` must be a word";
    hide = lower(word);
  },
};

const unconfirmed = denial(
  "confirm_required",
  "Deleting needs the argument `confirm` to be true",
  "Ask the person, then call again with `confirm` set to true",
);

export const callGate = {
  check(_context, { item, arguments: json }) {
    const deletes = item.kind.tag === "tool" && lower(item.name).startsWith("delete_");
    const confirmed = !deletes || JSON.parse(json ?? "null")?.confirm === true;
    return confirmed ? { tag: "allow" } : { tag: "deny", val: unconfirmed };
  },
};

export const listFilter = {
  filter: (_context, items) => items.map(withheld),
};

function withheld({ kind, digest }) {
  if (hide === undefined || kind.tag !== "tool") return null;
  let description;
  try {
    description = JSON.parse(definition(digest) ?? "")?.description;
  } catch {
    return denial("no_definition", "Its definition cannot be read");
  }
  if (typeof description !== "string" || !lower(description).includes(hide)) return null;
  return denial("hidden_word", "Its description has a word that the operator hides");
}

export const inventory = {
  observe(server) {
    const key = `sighting/readings/${server.name}`;
    const before = get(key) ?? "";
    const readings = /^\d+$/.test(before) ? Number(before) : 0;
    return [{ key, value: String(readings + 1), labels: [] }];
  },
};

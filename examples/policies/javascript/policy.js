// delete-guard: a `delete_…` tool runs only with `confirm: true`, tools that speak of a hidden word are not listed, and
// readings of each server are counted.

import { definition } from "witgate:policy/catalog";
import { get } from "witgate:policy/store";

const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
const denial = (code, reason, remedy) => ({ code, reason, remedy, labels: [] });

let hide;

export const settings = {
  configure(json) {
    const { hide: word, ...others } = JSON.parse(json);
    for (const key of Object.keys(others)) throw `unknown key \`${key}\`; there is \`hide\``;
    if (word !== undefined && (typeof word !== "string" || word === "")) throw "`hide` must be a word";
    hide = word && lower(word);
  },
};

export const callGate = {
  check(_context, { item, arguments: json }) {
    if (item.kind.tag !== "tool" || !lower(item.name).startsWith("delete_")) return { tag: "allow" };
    if (JSON.parse(json ?? "null")?.confirm === true) return { tag: "allow" };
    const val = denial(
      "confirm_required",
      "Deleting needs the argument `confirm` to be true",
      "Ask the person, then call again with `confirm` set to true",
    );
    return { tag: "deny", val };
  },
};

export const listFilter = {
  filter: (_context, items) => items.map(withheld),
};

function withheld({ kind, digest }) {
  if (!hide || kind.tag !== "tool") return null;
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
    const value = String((/^\d+$/.test(before) ? Number(before) : 0) + 1);
    return [{ key, value, labels: [] }];
  },
};

// Misbehaves as the tool that is called says, or, where it filters, as a tool in the list says.

const labels = [];
const deny = (val) => ({ tag: "deny", val });

const misbehave = {
  // Takes too long.
  spin: () => { for (;;); },
  regex: () => /^(a+)+$/.test("a".repeat(64) + "b"),
  sort: () => [1, 2].sort(() => { for (;;); }),
  spin_while_read: () => deny({ get code() { for (;;); }, reason: "", labels }),
  spin_in_a_job: () => { Promise.resolve().then(misbehave.spin); return { tag: "allow" }; },

  // Takes too much.
  grow: () => { for (let all = []; ; ) all.push(new Uint8Array(1 << 16)); },
  grow_and_catch: () => { try { misbehave.grow(); } catch { return { tag: "allow" }; } },
  grow_text: () => { for (let text = "é"; ; ) text += text; },
  recurse: () => misbehave.recurse() + 1,
  nest: () => { let list = []; for (let i = 0; i < 1e6; i++) list = [list]; return JSON.stringify(list); },
  huge: () => deny({ code: "big", reason: "x".repeat(1 << 20), labels }),
  many: () => deny({ code: "many", reason: "", labels: Array(1 << 16).fill(["k", "v"]) }),

  // Gives up.
  throw: () => { throw new Error("on purpose"); },
  throw_text: () => { throw "on purpose"; },
  throw_verdict: () => { throw { tag: "allow" }; },
  reject: async () => { throw new Error("on purpose"); },

  // Answers what is no verdict.
  nothing: () => undefined,
  none: () => null,
  text: () => "allow",
  number: () => NaN,
  list: () => [{ tag: "allow" }],
  promise: async () => ({ tag: "allow" }),
  empty: () => ({}),
  unknown_tag: () => ({ tag: "permit" }),
  case_of_tag: () => ({ tag: "Allow" }),
  number_for_tag: () => ({ tag: 0 }),
  other: () => ({ tag: "other", val: "new" }),
  deny_without_denial: () => ({ tag: "deny" }),
  deny_null: () => deny(null),
  deny_text: () => deny("no"),
  missing_field: () => deny({ code: "half", labels }),
  missing_labels: () => deny({ code: "half", reason: "No labels" }),
  number_for_text: () => deny({ code: 3, reason: NaN, labels }),
  symbol_for_text: () => deny({ code: Symbol("code"), reason: "", labels }),
  text_for_list: () => deny({ code: "odd", reason: "", labels: "labels" }),
  wrong_pairs: () => deny({ code: "odd", reason: "", labels: [["k"]] }),
  throw_while_read: () => deny({ get code() { throw new Error("on purpose"); }, reason: "", labels }),
  bad_code: () => deny({ code: "\u001b[2J", reason: "", labels }),
  surrogate: () => deny({ code: "surrogate", reason: "half a \ud83d face", labels }),

  // Behaves, after a fashion.
  allow: () => ({ tag: "allow" }),
  poison: () => { Object.prototype.poisoned = true; return { tag: "allow" }; },
  is_it_poisoned: () => ({}.poisoned ? deny({ code: "poisoned", reason: "", labels }) : { tag: "allow" }),
  time: () => deny({ code: "time", reason: `${new Date().toISOString()}`, labels }),
  random: () => deny({ code: "random", reason: `${Math.random()}`, labels }),
};

export const callGate = {
  check: (_context, call) => misbehave[call.item.name](),
};

const filters = {
  short_list: () => [],
  long_list: (items) => [...items.map(() => null), null],
  no_list: () => null,
  list_of_numbers: (items) => items.map((_, index) => index),
  list_of_booleans: (items) => items.map(() => false),
  // No misbehaviour: undefined is an option without a value, as null is.
  list_with_holes: (items) => Array(items.length),
};

export const listFilter = {
  filter(_context, items) {
    const wanted = items.find(({ name }) => Object.hasOwn(filters, name));
    return wanted ? filters[wanted.name](items) : items.map(() => null);
  },
};

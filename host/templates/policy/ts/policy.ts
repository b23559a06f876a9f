// {{name}}: no tool may be called whose name has a word that the operator denies.

import type * as CallGate from "witgate:policy/call-gate";
import type * as Settings from "witgate:policy/settings";

// In lower case; without it nothing is denied. Every message meets a fresh instance: nothing that is kept here outlives
// one.
let word: string | undefined;

// Called first, once in every instance, with the settings as JSON. What is thrown is shown to the operator: say what to
// write.
export const settings = {
  configure(json) {
    const given: Record<string, unknown> = JSON.parse(json);
    for (const key of Object.keys(given)) {
      if (key !== "word") throw `unknown key \`${key}\`: the only key is \`word\``;
    }
    if (given.word === undefined) return;
    if (typeof given.word !== "string" || given.word === "") throw "`word` must be a word, such as \"delete\"";
    word = given.word.toLowerCase();
  },
} satisfies typeof Settings;

// May this call run?
export const callGate = {
  check(_context, call) {
    if (call.item.kind.tag !== "tool" || word === undefined || !call.item.name.toLowerCase().includes(word)) {
      return { tag: "allow" };
    }
    return {
      tag: "deny",
      val: {
        code: "word_denied",
        reason: "The tool's name has a word that the operator denies",
        remedy: "Ask the operator, or use another tool",
        labels: [],
      },
    };
  },
} satisfies typeof CallGate;

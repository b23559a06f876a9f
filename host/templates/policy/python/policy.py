"""{{name}}: no tool may be called whose name has a word that the operator denies."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.call_gate import Verdict, Verdict_Allow, Verdict_Deny
from wit_world.imports.types import Call, Context, Denial, ItemKind_Tool

# In lower case; without it nothing is denied. Every message meets a fresh instance: nothing that is kept here outlives
# one.
word: str | None = None


class Settings(exports.Settings):
    def configure(self, settings_json: str) -> None:
        """Called first, once in every instance. An `Err` is shown to the operator: say what to write."""
        global word
        settings = json.loads(settings_json)
        for key in settings:
            if key != "word":
                raise Err(f"unknown key `{key}`: the only key is `word`")
        if "word" in settings:
            given = settings["word"]
            if not isinstance(given, str) or not given:
                raise Err('`word` must be a word, such as "delete"')
            word = given.lower()


class CallGate(exports.CallGate):
    def check(self, context: Context, call: Call) -> Verdict:
        """May this call run?"""
        if not isinstance(call.item.kind, ItemKind_Tool) or word is None or word not in call.item.name.lower():
            return Verdict_Allow()
        return Verdict_Deny(
            Denial(
                code="word_denied",
                reason="The tool's name has a word that the operator denies",
                remedy="Ask the operator, or use another tool",
                labels=[],
            )
        )

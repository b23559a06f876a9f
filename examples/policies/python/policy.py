"""delete-guard: a `delete_…` tool runs only with `confirm: true`, tools that speak of a hidden word are not listed, and
readings of each server are counted."""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.call_gate import Verdict_Allow, Verdict_Deny
from wit_world.imports import catalog, store
from wit_world.imports.types import Change, Denial, ItemKind_Tool

ASCII_CASELESS = re.ASCII | re.IGNORECASE
DELETE = re.compile("delete_", ASCII_CASELESS)
UNCONFIRMED = Denial(
    "confirm_required",
    "Deleting needs the argument `confirm` to be true",
    "Ask the person, then call again with `confirm` set to true",
    [],
)
HIDDEN = Denial("hidden_word", "Its description has a word that the operator hides", None, [])
UNKNOWN = Denial("no_definition", "Its definition cannot be read", None, [])

hide = None


class Settings(exports.Settings):
    def configure(self, settings_json):
        global hide
        settings = json.loads(settings_json)
        for key in sorted(settings.keys() - {"hide"}):
            raise Err(f"unknown key `{key}`; there is `hide`")
        if "hide" in settings:
            word = settings["hide"]
            if not isinstance(word, str) or not word:
                raise Err("`hide` must be a word")
            hide = re.compile(re.escape(word), ASCII_CASELESS)


class CallGate(exports.CallGate):
    def check(self, context, call):
        if not isinstance(call.item.kind, ItemKind_Tool) or not DELETE.match(call.item.name):
            return Verdict_Allow()
        arguments = json.loads(call.arguments or "null")
        if isinstance(arguments, dict) and arguments.get("confirm") is True:
            return Verdict_Allow()
        return Verdict_Deny(UNCONFIRMED)


class ListFilter(exports.ListFilter):
    def filter(self, context, items):
        return [withheld(item) for item in items]


def withheld(item):
    if hide is None or not isinstance(item.kind, ItemKind_Tool):
        return None
    try:
        definition = json.loads(catalog.definition(item.digest) or "")
    except ValueError:
        return UNKNOWN
    description = definition.get("description") if isinstance(definition, dict) else None
    return HIDDEN if isinstance(description, str) and hide.search(description) else None


class Inventory(exports.Inventory):
    def observe(self, server, catalogue, now_ms):
        key = f"sighting/readings/{server.name}"
        before = store.get(key) or ""
        readings = int(before) if before.isdecimal() else 0
        return [Change(key, str(readings + 1), [])]

"""Joins the interfaces that jco wrote into one file, as componentize-qjs takes and gives them.

That is: a module's name without a version, so that a newer contract needs no edit in a policy; a number where jco would
have a bigint; and null where an option has nothing.
"""

import re
import sys
from pathlib import Path

print("// The types of witgate:policy. Generated from wit/ by policies/types/generate; not meant to be edited.")
for file in sorted(Path(sys.argv[1]).glob("*.d.ts")):
    text = file.read_text()
    text = re.sub(r"^/// <reference .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"'(witgate:policy/[a-z-]+)@[0-9.]+'", r"'\1'", text)
    text = text.replace("bigint", "number").replace(" | undefined", " | null")
    text = re.sub(r"^( *\w+\?: [^,\n]+),$", r"\1 | null,", text, flags=re.MULTILINE)
    print("\n" + re.sub(r" +$", "", text, flags=re.MULTILINE).rstrip())

"""The steps by the inspector's command line.      inspector.py MODULES URL http STEP..."""

import json
import pathlib
import subprocess
import sys

METHODS = {
    "list": ["tools/list"],
    "call": ["tools/call", "--tool-name", "test_simple_text"],
    "error": ["tools/call", "--tool-name", "test_error_handling"],
}


def main() -> None:
    modules, url, transport, *steps = sys.argv[1:]
    program = pathlib.Path(modules) / "node_modules" / ".bin" / "mcp-inspector-cli"
    told = {"version": "legacy"}
    for step in steps:
        command = ["node", str(program), "--cli", url, "--transport", transport, "--method", *METHODS[step]]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        try:
            told[step] = json.loads(done.stdout)
        except ValueError:
            told[step] = f"FAILED exit {done.returncode}: {done.stderr[-500:]}"
    print(json.dumps(told))


main()

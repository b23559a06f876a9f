"""Stands between a client and its server and keeps every line, untouched.

    record.py SPEC      SPEC: a JSON file {"log": FILE, "command": [..], "env": {..}}

The log has one line for each line that passed: `>` what the client sent, `<` what it received, then the bytes. The
command stands in a file because some clients take a server's flags for their own.
"""

import json
import os
import subprocess
import sys
import threading


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    log = open(spec["log"], "ab", buffering=0)
    child = subprocess.Popen(
        spec["command"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, **spec["env"]},
    )

    def forth() -> None:
        for line in sys.stdin.buffer:
            log.write(b">" + line)
            child.stdin.write(line)
        child.stdin.close()

    threading.Thread(target=forth, daemon=True).start()
    for line in child.stdout:
        log.write(b"<" + line)
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())

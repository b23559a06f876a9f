"""What the client suites run as a client: the client fixture, with a gate in front of the server it is to use.

    client.py WITGATE PLACE CLIENT URL      PLACE: a folder for the gate's files
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from gate import Gate


def main() -> int:
    witgate, place, client, url = sys.argv[1:]
    here = pathlib.Path(tempfile.mkdtemp(dir=place, prefix="client-"))
    with Gate(pathlib.Path(witgate), here, [f"url = {json.dumps(url)}"]) as gate:
        return subprocess.run([client, gate.url], timeout=100).returncode


if __name__ == "__main__":
    sys.exit(main())

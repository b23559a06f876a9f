"""One session by the PyPI `mcp` client.

    session.py SPEC MODE STEPS      SPEC: as for record.py; MODE: `legacy` or `auto`; STEPS: a file with a JSON
array

A step is `["tools"]`, `["prompts"]`, `["resources"]`, `["templates"]`, `["call", NAME, ARGUMENTS]`,
`["prompt", NAME, ARGUMENTS]` or `["read", URI]`. Prints, as one JSON array, the protocol version and each step's
result as the client understood it.
"""

import asyncio
import json
import pathlib
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def step(client: Client, what: str, *arguments):
    match what:
        case "tools":
            return await client.list_tools()
        case "prompts":
            return await client.list_prompts()
        case "resources":
            return await client.list_resources()
        case "templates":
            return await client.list_resource_templates()
        case "call":
            return await client.call_tool(arguments[0], arguments[1])
        case "prompt":
            return await client.get_prompt(arguments[0], arguments[1])
        case "read":
            return await client.read_resource(arguments[0])
    raise ValueError(what)


async def main() -> None:
    spec, mode = sys.argv[1], sys.argv[2]
    steps = json.loads(pathlib.Path(sys.argv[3]).read_text())
    record = str(pathlib.Path(__file__).with_name("record.py"))
    server = StdioServerParameters(command=sys.executable, args=[record, spec])
    async with Client(stdio_client(server), mode=mode) as client:
        results = [client.protocol_version]
        for what in steps:
            result = await step(client, *what)
            results.append(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    print(json.dumps(results))


asyncio.run(main())

"""The steps by the PyPI `mcp` client 1.x.      python1.py URL legacy STEP..."""

import asyncio
import sys
import time

import steps
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client


async def elicited(_context, _params):
    return types.ElicitResult(action="accept", content=steps.ANSWER)


async def sampled(_context, _params):
    text = types.TextContent(type="text", text=steps.SAMPLE)
    return types.CreateMessageResult(role="assistant", content=text, model="none")


async def main(url: str, chosen: list[str]) -> None:
    changed = asyncio.Event()

    async def heard(message):
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            changed.set()

    async with streamable_http_client(url) as (read, write, _session_id):
        async with ClientSession(
            read, write, elicitation_callback=elicited, sampling_callback=sampled, message_handler=heard
        ) as session:
            version = (await session.initialize()).protocolVersion

            def text(result) -> str:
                return result.content[0].text

            async def names() -> list[str]:
                found, cursor = [], None
                while True:
                    page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
                    found += [tool.name for tool in page.tools]
                    cursor = page.nextCursor
                    if cursor is None:
                        return found

            async def run(step: str):
                match step:
                    case "list" | "pages":
                        return await names()
                    case "call":
                        return text(await session.call_tool("test_simple_text", {}))
                    case "error":
                        failed = await session.call_tool("test_error_handling", {})
                        return [failed.isError, text(failed)]
                    case "progress":
                        told = []

                        async def progress(done, total, _message):
                            told.append([done, total])

                        await session.call_tool("test_tool_with_progress", {}, progress_callback=progress)
                        return told
                    case "elicitation":
                        return text(await session.call_tool("test_elicitation", {"message": "Who?"}))
                    case "sampling":
                        return text(await session.call_tool("test_sampling", {"prompt": "Capital?"}))
                    case "change":
                        before = len(await names())
                        await session.call_tool("test_trigger_tool_change", {})
                        await asyncio.wait_for(changed.wait(), steps.PATIENCE)
                        return len(await names()) - before
                    case "hundred":
                        begun = time.monotonic()
                        calls = [session.call_tool("sleep", {"ms": 1000}) for _ in range(100)]
                        results = [text(result) for result in await asyncio.gather(*calls)]
                        steps.took("hundred", time.monotonic() - begun)
                        return results
                    case "large":
                        return len(text(await session.call_tool("large", {"bytes": 16 << 20})))
                raise ValueError(step)

            await steps.tell(version, chosen, run)


asyncio.run(main(sys.argv[1], sys.argv[3:]))

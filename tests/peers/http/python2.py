"""The steps by the PyPI `mcp` client 2.x.      python2.py URL MODE STEP...      MODE: legacy, auto or 2026-07-28"""

import asyncio
import sys
import time

import steps
from mcp import Client, types


async def elicited(_context, _params):
    return types.ElicitResult(action="accept", content=steps.ANSWER)


async def sampled(_context, _params):
    text = types.TextContent(type="text", text=steps.SAMPLE)
    return types.CreateMessageResult(role="assistant", content=text, model="none")


async def main(url: str, mode: str, chosen: list[str]) -> None:
    changed = asyncio.Event()

    async def heard(message):
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    connected = Client(
        url, mode=mode, elicitation_callback=elicited, sampling_callback=sampled, message_handler=heard, cache=None,
    )
    async with connected as client:
        modern = client.protocol_version >= "2026-07-28"

        def text(result) -> str:
            return result.content[0].text

        async def names() -> list[str]:
            found, cursor = [], None
            while True:
                page = await client.list_tools(cursor=cursor)
                found += [tool.name for tool in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    return found

        async def run(step: str):
            match step:
                case "list" | "pages":
                    return await names()
                case "call":
                    return text(await client.call_tool("test_simple_text", {}))
                case "error":
                    failed = await client.call_tool("test_error_handling", {})
                    return [failed.is_error, text(failed)]
                case "progress":
                    told = []

                    async def progress(done, total, _message):
                        told.append([done, total])

                    await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
                    return told
                case "elicitation":
                    tool = "test_input_required_result_elicitation" if modern else "test_elicitation"
                    return text(await client.call_tool(tool, {} if modern else {"message": "Who?"}))
                case "sampling":
                    tool = "test_input_required_result_sampling" if modern else "test_sampling"
                    return text(await client.call_tool(tool, {} if modern else {"prompt": "Capital?"}))
                case "change":
                    before = len(await names())
                    if modern:
                        async with client.listen(tools_list_changed=True) as listening:
                            await client.call_tool("test_trigger_tool_change", {})
                            await asyncio.wait_for(anext(listening), steps.PATIENCE)
                    else:
                        await client.call_tool("test_trigger_tool_change", {})
                        await asyncio.wait_for(changed.wait(), steps.PATIENCE)
                    return len(await names()) - before
                case "cancel":
                    begun = time.monotonic()
                    task = asyncio.create_task(client.call_tool("sleep", {"ms": 60_000}))
                    await asyncio.sleep(0.3)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    after = text(await client.call_tool("test_simple_text", {}))
                    return [after, time.monotonic() - begun < 30]
                case "hundred":
                    begun = time.monotonic()
                    calls = [client.call_tool("sleep", {"ms": 1000}) for _ in range(100)]
                    results = [text(result) for result in await asyncio.gather(*calls)]
                    steps.took("hundred", time.monotonic() - begun)
                    return results
                case "large":
                    return len(text(await client.call_tool("large", {"bytes": 16 << 20})))
            raise ValueError(step)

        await steps.tell(client.protocol_version, chosen, run)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))

"""A server made with the PyPI `mcp` 2.x, on a port of 127.0.0.1 that the system chose: prints the URL of its endpoint."""

import asyncio
import socket

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("peer", instructions="For comparison.")


@server.tool()
def test_simple_text() -> str:
    """Answers with text."""
    return "This is a simple text response for testing."


@server.tool()
def test_error_handling() -> str:
    """Always fails."""
    raise ValueError("This tool intentionally returns an error for testing")


@server.tool()
async def test_tool_with_progress(context: Context) -> str:
    """Reports its progress."""
    for done in (0, 50, 100):
        await context.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return "Done."


@server.tool()
async def sleep(ms: int) -> str:
    """Answers after some milliseconds."""
    await asyncio.sleep(ms / 1000)
    return f"Slept {ms} ms."


@server.tool(structured_output=False)
def large(bytes: int) -> str:
    """Answers with so many bytes of text."""
    return "x" * bytes


def main() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()

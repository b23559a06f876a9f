// The steps by an SDK in TypeScript: npm `@modelcontextprotocol/sdk` 1.x, or `@modelcontextprotocol/client` 2.x.
//
//     node client.mjs MODULES URL MODE STEP...      MODULES: where the packages are; MODE: sdk-1, legacy, auto or 2026-07-28

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, url, mode, ...steps] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/none.js`));
const load = name => import(pathToFileURL(require.resolve(name)));

const ANSWER = { name: 'Ada', username: 'ada', email: 'ada@example.org' };
const sampled = async () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'Paris' } });
const elicited = async () => ({ action: 'accept', content: ANSWER });
const info = { name: 'peer', version: '1.0.0' };
const capabilities = { sampling: {}, elicitation: {} };
const LONG = { timeout: 60_000 };

let changed;
const told = () => changed?.();
let client, transport;
if (mode === 'sdk-1') {
    const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const types = await load('@modelcontextprotocol/sdk/types.js');
    client = new Client(info, { capabilities });
    client.setRequestHandler(types.CreateMessageRequestSchema, sampled);
    client.setRequestHandler(types.ElicitRequestSchema, elicited);
    client.setNotificationHandler(types.ToolListChangedNotificationSchema, told);
    transport = new StreamableHTTPClientTransport(new URL(url));
} else {
    const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');
    const negotiation = mode === 'legacy' || mode === 'auto' ? mode : { pin: mode };
    client = new Client(info, { capabilities, versionNegotiation: { mode: negotiation } });
    client.setRequestHandler('sampling/createMessage', sampled);
    client.setRequestHandler('elicitation/create', elicited);
    client.setNotificationHandler('notifications/tools/list_changed', told);
    transport = new StreamableHTTPClientTransport(new URL(url));
}
await client.connect(transport);
const version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
const modern = version >= '2026-07-28';

// The signatures of the two differ in the place of the options only.
const call = (name, args, options = {}) => {
    const params = { name, arguments: args };
    return mode === 'sdk-1'
        ? client.callTool(params, undefined, { ...LONG, ...options })
        : client.callTool(params, { ...LONG, ...options });
};
const text = result => result.content[0].text;

async function names() {
    // 2.x follows the cursors itself when it is given no parameters.
    const found = [];
    let cursor;
    do {
        const page = await client.listTools(cursor === undefined ? undefined : { cursor });
        found.push(...page.tools.map(tool => tool.name));
        cursor = page.nextCursor;
    } while (cursor !== undefined);
    return found;
}

async function run(step) {
    switch (step) {
        case 'list':
        case 'pages':
            return names();
        case 'call':
            return text(await call('test_simple_text', {}));
        case 'error': {
            const failed = await call('test_error_handling', {});
            return [failed.isError, text(failed)];
        }
        case 'progress': {
            const seen = [];
            await call('test_tool_with_progress', {}, { onprogress: ({ progress, total }) => seen.push([progress, total]) });
            return seen;
        }
        case 'elicitation':
            return text(modern
                ? await call('test_input_required_result_elicitation', {})
                : await call('test_elicitation', { message: 'Who?' }));
        case 'sampling':
            return text(modern
                ? await call('test_input_required_result_sampling', {})
                : await call('test_sampling', { prompt: 'Capital?' }));
        case 'change': {
            const before = (await names()).length;
            const heard = new Promise((resolve, reject) => {
                changed = resolve;
                setTimeout(() => reject(new Error('nothing was told')), 20_000).unref();
            });
            const listening = modern ? await client.listen({ toolsListChanged: true }) : undefined;
            await call('test_trigger_tool_change', {});
            await heard;
            await listening?.close();
            return (await names()).length - before;
        }
        case 'cancel': {
            const begun = Date.now();
            const abort = new AbortController();
            const sleeping = call('sleep', { ms: 60_000 }, { signal: abort.signal }).catch(() => 'cancelled');
            await new Promise(resolve => setTimeout(resolve, 300));
            abort.abort();
            const how = await sleeping;
            return [how, text(await call('test_simple_text', {})), Date.now() - begun < 30_000];
        }
        case 'hundred': {
            const begun = Date.now();
            const results = await Promise.all(Array.from({ length: 100 }, () => call('sleep', { ms: 1000 })));
            console.error(`hundred: ${((Date.now() - begun) / 1000).toFixed(2)} s`);
            return results.map(text);
        }
        case 'large':
            return text(await call('large', { bytes: 16 << 20 })).length;
    }
    throw new Error(step);
}

const outcome = { version };
for (const step of steps) {
    try {
        outcome[step] = await run(step);
    } catch (error) {
        outcome[step] = `FAILED ${error?.name}: ${error?.message}`;
    }
}
console.log(JSON.stringify(outcome));
await client.close();
process.exit(0);

// The types of witgate:policy. Generated from wit/ by policies/types/generate; not meant to be edited.

declare module 'witgate:policy/call-gate' {
  export function check(context: Context, call: Call): Verdict;
  export type Context = import('witgate:policy/types').Context;
  export type Call = import('witgate:policy/types').Call;
  export type Denial = import('witgate:policy/types').Denial;
  export type Labels = import('witgate:policy/types').Labels;
  /**
   * The call may run once a person has said so.
   */
  export interface Hold {
    code: string,
    reason: string,
    labels: Labels,
  }
  export type Verdict = VerdictAllow | VerdictDeny | VerdictHold | VerdictOther;
  export interface VerdictAllow {
    tag: 'allow',
  }
  export interface VerdictDeny {
    tag: 'deny',
    val: Denial,
  }
  export interface VerdictHold {
    tag: 'hold',
    val: Hold,
  }
  /**
   * A verdict that this version of the contract does not know; the host takes it for a failure.
   */
  export interface VerdictOther {
    tag: 'other',
    val: string,
  }
}

declare module 'witgate:policy/catalog' {
  /**
   * The definition's bytes, as JSON text, current or earlier; none if the digest is unknown.
   */
  export function definition(digest: string): string | null;
}

declare module 'witgate:policy/client-request-gate' {
  export function admit(context: Context, request: ClientRequest): Admission;
  export type Context = import('witgate:policy/types').Context;
  export type Call = import('witgate:policy/types').Call;
  export type Denial = import('witgate:policy/types').Denial;
  export type Labels = import('witgate:policy/types').Labels;
  export interface ClientRequest {
    /**
     * `sampling/createMessage`, `elicitation/create` or `roots/list`.
     */
    method: string,
    /**
     * Of an elicitation: `form`, also where the server wrote none, or `url`.
     */
    mode?: string | null,
    /**
     * The request's `params`, as JSON text, as the server wrote them.
     */
    params?: string | null,
    /**
     * The call that it came with, if the host knows.
     */
    during?: Call | null,
    labels: Labels,
  }
  export type Admission = AdmissionAllow | AdmissionDeny | AdmissionOther;
  /**
   * The client may be asked.
   */
  export interface AdmissionAllow {
    tag: 'allow',
  }
  /**
   * The client is not asked; the server gets the answer of a person who declined, or none.
   */
  export interface AdmissionDeny {
    tag: 'deny',
    val: Denial,
  }
  /**
   * An answer that this version of the contract does not know; the host takes it for a failure.
   */
  export interface AdmissionOther {
    tag: 'other',
    val: string,
  }
}

declare module 'witgate:policy/clock' {
  /**
   * Milliseconds since the Unix epoch; the same value for the whole message. An evaluation that asks is not cached.
   */
  export function nowMs(): number;
}

declare module 'witgate:policy/discovery-surface' {
  /**
   * One answer for each item, in their order; none hides it. An item appears only if every policy that withholds it
   * surfaces it.
   */
  export function surface(context: Context, withheld: Array<Withheld>): Array<Locked | null>;
  export type Context = import('witgate:policy/types').Context;
  export type Item = import('witgate:policy/types').Item;
  export type Denial = import('witgate:policy/types').Denial;
  export type Labels = import('witgate:policy/types').Labels;
  /**
   * An item this policy withholds, and why it does.
   */
  export interface Withheld {
    item: Item,
    denial: Denial,
    labels: Labels,
  }
  /**
   * The item may be named to the agent, with nothing of its definition.
   */
  export interface Locked {
    /**
     * `pending_approval`, `changed`, `server_quarantined`, `server_disabled` or `blocked`.
     */
    status: string,
    /**
     * Names a command that exists.
     */
    remedy: string,
    labels: Labels,
  }
}

declare module 'witgate:policy/inventory' {
  /**
   * Runs before anything from that reading is served. The changes are applied whole, or, if what the hook read has
   * changed meanwhile, it is run again.
   */
  export function observe(server: Server, catalogue: Catalogue, nowMs: number): Array<Change>;
  export type Server = import('witgate:policy/types').Server;
  export type Item = import('witgate:policy/types').Item;
  export type ItemKind = import('witgate:policy/types').ItemKind;
  export type Labels = import('witgate:policy/types').Labels;
  export type Change = import('witgate:policy/types').Change;
  /**
   * What one server offers.
   */
  export interface Catalogue {
    /**
     * Over everything the catalogue holds; equal digests mean equal catalogues.
     */
    digest: string,
    /**
     * The kinds this reading read to the end, all pages. Items of other kinds stand as they were last read.
     */
    complete: Array<ItemKind>,
    items: Array<Item>,
    labels: Labels,
  }
}

declare module 'witgate:policy/list-filter' {
  /**
   * One answer for each item, in their order; none keeps the item.
   */
  export function filter(context: Context, items: Array<Item>): Array<Denial | null>;
  export type Context = import('witgate:policy/types').Context;
  export type Item = import('witgate:policy/types').Item;
  export type Denial = import('witgate:policy/types').Denial;
}

declare module 'witgate:policy/log' {
  export function message(level: Level, text: string): void;
  /**
   * # Variants
   *
   * ## `"debug"`
   *
   * ## `"info"`
   *
   * ## `"warn"`
   *
   * ## `"error"`
   */
  export type Level = 'debug' | 'info' | 'warn' | 'error';
}

declare module 'witgate:policy/metrics' {
  /**
   * Adds `by` to the policy's counter called `name`: lower-case letters, digits and `_`, 64 bytes at the most.
   *
   * Whoever watches the gate sees it under the policy's name, in `/metrics` and in `witgate policy list`. Nothing in
   * a policy can read it, so that no verdict depends on it. What is counted are evaluations: a verdict that the host
   * keeps and gives again is not counted again. A name that is not of this form, or one more than the host keeps of
   * one policy, counts nothing and is said in the log.
   */
  export function add(name: string, by: number): void;
}

declare module 'witgate:policy/result-gate' {
  /**
   * `outcome` is JSON text: the response's `result`, or `{"error": …}`. Each policy sees the one before's output.
   */
  export function inspect(context: Context, call: Call, outcome: string): Ruling;
  export type Context = import('witgate:policy/types').Context;
  export type Call = import('witgate:policy/types').Call;
  export type Denial = import('witgate:policy/types').Denial;
  export type Ruling = RulingPass | RulingReplace | RulingDeny | RulingOther;
  export interface RulingPass {
    tag: 'pass',
  }
  /**
   * The JSON text to send instead of the outcome; it must have the outcome's shape.
   */
  export interface RulingReplace {
    tag: 'replace',
    val: string,
  }
  /**
   * The call ran; its result is withheld.
   */
  export interface RulingDeny {
    tag: 'deny',
    val: Denial,
  }
  /**
   * A ruling that this version of the contract does not know; the host takes it for a failure.
   */
  export interface RulingOther {
    tag: 'other',
    val: string,
  }
}

declare module 'witgate:policy/review' {
  /**
   * Everything this policy keeps about one server, or about all.
   */
  export function entries(server: string | null): Array<Entry>;
  export function decide(decision: Decision): Decided;
  export type ItemKind = import('witgate:policy/types').ItemKind;
  export type Change = import('witgate:policy/types').Change;
  export type Labels = import('witgate:policy/types').Labels;
  /**
   * Something a person can decide about.
   */
  export interface Entry {
    /**
     * Unique within the policy, stable; the host puts a prefix of its own before it.
     */
    id: string,
    server: string,
    kind: ItemKind,
    name: string,
    /**
     * `approved`, `pending`, `changed`, `blocked`.
     */
    status: string,
    /**
     * Whether it waits for a person.
     */
    waiting: boolean,
    /**
     * Who brought it to this status: an operator's name, `auto-baseline`, `auto-approve-changes`, or empty.
     */
    by: string,
    /**
     * When it came to this status, milliseconds since the Unix epoch.
     */
    sinceMs: number,
    approvedDigests: Array<string>,
    /**
     * What observers show now; several if they differ, none if no observer shows the item.
     */
    currentDigests: Array<string>,
    /**
     * Whether an observer shows it.
     */
    present: boolean,
    labels: Labels,
  }
  /**
   * What the person asks for.
   */
  export type Action = ActionApprove | ActionApproveAlso | ActionRevoke | ActionBlock | ActionUnblock | ActionOther;
  /**
   * The expected digest becomes the approved one.
   */
  export interface ActionApprove {
    tag: 'approve',
  }
  /**
   * The expected digest is approved beside those that are.
   */
  export interface ActionApproveAlso {
    tag: 'approve-also',
  }
  /**
   * The expected digest is approved no longer.
   */
  export interface ActionRevoke {
    tag: 'revoke',
  }
  export interface ActionBlock {
    tag: 'block',
  }
  export interface ActionUnblock {
    tag: 'unblock',
  }
  /**
   * An action that is named, not fixed: see `wit/README.md` for those the host sends.
   */
  export interface ActionOther {
    tag: 'other',
    val: string,
  }
  /**
   * A person's word.
   */
  export interface Decision {
    entry: string,
    /**
     * The digest the person looked at; empty for actions that need none.
     */
    expectedDigest: string,
    action: Action,
    /**
     * Who decided.
     */
    actor: string,
    /**
     * Reserved: binds the word to something that only the person has.
     */
    proof?: string | null,
    nowMs: number,
    labels: Labels,
  }
  /**
   * What became of it.
   */
  export interface Decided {
    /**
     * The entry as it stands after the changes; none if it is gone.
     */
    entry?: Entry | null,
    changes: Array<Change>,
    labels: Labels,
  }
  export type Refusal = RefusalMovedOn | RefusalUnknownEntry | RefusalNotAllowed | RefusalOther;
  /**
   * No observer shows the expected digest any more.
   */
  export interface RefusalMovedOn {
    tag: 'moved-on',
  }
  export interface RefusalUnknownEntry {
    tag: 'unknown-entry',
  }
  export interface RefusalNotAllowed {
    tag: 'not-allowed',
  }
  export interface RefusalOther {
    tag: 'other',
    val: string,
  }
}

declare module 'witgate:policy/settings' {
  /**
   * Called first, once for every instance, before any other hook; no import may be called meanwhile. An error
   * refuses the policy: it is shown to the operator and the policy does not load.
   */
  export function configure(settingsJson: string): void;
}

declare module 'witgate:policy/store' {
  export function get(key: string): string | null;
  /**
   * Everything whose key begins with the prefix, in the order of keys.
   */
  export function scan(prefix: string): Array<[string, string]>;
}

declare module 'witgate:policy/types' {
  /**
   * Facts beside the fixed fields: (key, value), keys unique.
   */
  export type Labels = Array<[string, string]>;
  /**
   * What an item is. `resource-item` is a resource: `resource` is a word that WIT keeps for itself.
   */
  export type ItemKind = ItemKindTool | ItemKindPrompt | ItemKindResourceItem | ItemKindResourceTemplate | ItemKindSelfDescription | ItemKindOther;
  export interface ItemKindTool {
    tag: 'tool',
  }
  export interface ItemKindPrompt {
    tag: 'prompt',
  }
  export interface ItemKindResourceItem {
    tag: 'resource-item',
  }
  export interface ItemKindResourceTemplate {
    tag: 'resource-template',
  }
  /**
   * A server's `instructions` with its `serverInfo`, version left out, as one item.
   */
  export interface ItemKindSelfDescription {
    tag: 'self-description',
  }
  /**
   * A kind that this version of the contract does not know.
   */
  export interface ItemKindOther {
    tag: 'other',
    val: string,
  }
  /**
   * Anything a server offers by name. `name` is the tool's or prompt's name, a resource's URI in its RFC 3986
   * normal form, a template's text, and empty for the self-description.
   */
  export interface Item {
    kind: ItemKind,
    name: string,
    /**
     * The definition's digest, `1:` and 64 hexadecimal digits; empty when the item is only a URI that a template
     * matched or a result handed out.
     */
    digest: string,
    labels: Labels,
  }
  /**
   * Whether the operator lets a server speak at all.
   * # Variants
   *
   * ## `"trusted"`
   *
   * ## `"quarantined"`
   */
  export type Standing = 'trusted' | 'quarantined';
  /**
   * An upstream MCP server.
   */
  export interface Server {
    /**
     * The name the operator knows it by.
     */
    name: string,
    standing: Standing,
    labels: Labels,
  }
  /**
   * Who sent the message.
   */
  export interface Caller {
    /**
     * `local` on stdio; the authenticated principal over HTTP.
     */
    id: string,
    roles: Array<string>,
    labels: Labels,
  }
  /**
   * What every judging hook is told besides the thing to be judged.
   */
  export interface Context {
    server: Server,
    caller: Caller,
    labels: Labels,
  }
  /**
   * A refusal.
   */
  export interface Denial {
    /**
     * Stable and machine-readable: lower-case letters, digits and `_`.
     */
    code: string,
    /**
     * For people: one sentence.
     */
    reason: string,
    /**
     * What a person can do about it, if anything.
     */
    remedy?: string | null,
    labels: Labels,
  }
  /**
   * One change to the policy's own part of the store. Only hooks that record return any.
   *
   * Keys that begin with `sighting/` record what was seen. They never move the ledger's revision, so judging hooks
   * cannot read them: to those, such keys do not exist.
   */
  export interface Change {
    key: string,
    /**
     * The new value; none deletes the key.
     */
    value?: string | null,
    labels: Labels,
  }
  /**
   * A call of an item, with any method that reaches one: `tools/call`, `prompts/get`, `resources/read`,
   * `resources/subscribe`, `completion/complete`.
   */
  export interface Call {
    method: string,
    item: Item,
    /**
     * The URI asked for, in its RFC 3986 normal form, where a template matched it or a result handed it out.
     */
    target?: string | null,
    /**
     * The call's `arguments`, as JSON text, untouched.
     */
    arguments?: string | null,
    labels: Labels,
  }
}

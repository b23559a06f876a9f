// delete-guard: deleting needs a confirmation, and tools whose description has a word are hidden. The same rule is in
// every language's folder beside this one.
//
// Every message meets a fresh instance, so what a hook is given need not be freed. What a hook returns is freed by the
// bindings once the host has read it: it must be on the heap, so `text` copies.
#include <stdlib.h>

#include "bindings/delete_guard.h"
#include "json.h"

typedef delete_guard_string_t string;
typedef exports_witgate_policy_call_gate_denial_t denial;

// In lower case; empty hides nothing.
static string hide;

static void *room(size_t size) {
  void *made = calloc(1, size > 0 ? size : 1);
  if (made == NULL) abort();
  return made;
}

static string joined(const char *words, const void *more, size_t length) {
  string made = {room(strlen(words) + length), strlen(words) + length};
  memcpy(made.ptr, words, strlen(words));
  memcpy(made.ptr + strlen(words), more, length);
  return made;
}

static string text(const char *words) { return joined(words, "", 0); }

static uint8_t lower(uint8_t byte) { return byte >= 'A' && byte <= 'Z' ? byte | 32 : byte; }

// Whether `part`, in lower case, is in `whole` at `at`; letters of ASCII are the same in either case.
static bool is_at(string whole, size_t at, string part) {
  if (whole.len - at < part.len) return false;
  for (size_t i = 0; i < part.len; i++)
    if (lower(whole.ptr[at + i]) != part.ptr[i]) return false;
  return true;
}

static bool has(string whole, string part) {
  for (size_t at = 0; at + part.len <= whole.len; at++)
    if (is_at(whole, at, part)) return true;
  return false;
}

// What a JSON string says.
static string said(json_text value) {
  string out = {room(value.length), 0};
  out.len = json_unescape(value, (char *)out.ptr);
  return out;
}

// The member `name` of the object that `json` is. False if `json` is no JSON; `value` is empty if there is no such
// member.
static bool member(string json, const char *name, json_text *value) {
  json_object object = json_open(json.ptr, json.len);
  json_text key, found;
  value->length = 0;
  while (json_next(&object, &key, &found))
    if (json_key_is(key, name)) *value = found;
  return !object.broken;
}

bool exports_witgate_policy_settings_configure(string *json, string *error) {
  json_object object = json_open(json->ptr, json->len);
  json_text key, value;
  while (json_next(&object, &key, &value)) {
    if (!json_key_is(key, "hide")) {
      *error = joined("the only key is `hide`, not ", key.at, key.length);
      return false;
    }
    if (!json_is_string(value) || value.length == 2) {
      *error = text("`hide` must be a word, such as \"internal\"; leave it out to hide nothing");
      return false;
    }
    hide = said(value);
    for (size_t i = 0; i < hide.len; i++) hide.ptr[i] = lower(hide.ptr[i]);
  }
  if (object.broken || !object.is_object) *error = text("the settings are no JSON object");
  return object.is_object && !object.broken;
}

void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  (void)context;
  json_text confirm = {0};
  string prefix = {(uint8_t *)"delete_", 7};
  bool deletes = call->item.kind.tag == WITGATE_POLICY_TYPES_ITEM_KIND_TOOL && is_at(call->item.name, 0, prefix);
  bool confirmed = call->arguments.is_some && member(call->arguments.val, "confirm", &confirm) &&
                   json_is_word(confirm, "true");
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_ALLOW;
  if (!deletes || confirmed) return;

  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  verdict->val.deny = (denial){
      .code = text("confirm_required"),
      .reason = text("Deleting needs the argument `confirm` to be true"),
      .remedy = {true, text("Ask the person, then call again with `confirm` set to true")},
  };
}

typedef exports_witgate_policy_list_filter_option_denial_t answer;

static answer withheld(const char *code, const char *reason) {
  return (answer){true, {.code = text(code), .reason = text(reason)}};
}

// Why a tool is hidden, if it is. A list may be long, so its definitions are freed.
static answer hidden(string digest) {
  string definition = {0}, description = {0};
  json_text value = {0};
  bool read = witgate_policy_catalog_definition(&digest, &definition) && member(definition, "description", &value);
  if (json_is_string(value)) description = said(value);
  bool found = has(description, hide);
  delete_guard_string_free(&description);
  delete_guard_string_free(&definition);
  if (!read) return withheld("no_definition", "Its definition cannot be read");
  return found ? withheld("hidden_word", "Its description has a word that the operator hides") : (answer){0};
}

void exports_witgate_policy_list_filter_filter(exports_witgate_policy_list_filter_context_t *context,
                                               exports_witgate_policy_list_filter_list_item_t *items,
                                               exports_witgate_policy_list_filter_list_option_denial_t *answers) {
  (void)context;
  answers->len = items->len;
  answers->ptr = room(items->len * sizeof *answers->ptr);
  for (size_t i = 0; hide.len > 0 && i < items->len; i++)
    if (items->ptr[i].kind.tag == WITGATE_POLICY_TYPES_ITEM_KIND_TOOL) answers->ptr[i] = hidden(items->ptr[i].digest);
}

// One more than a decimal number; "1" if it is none.
static string one_more(string number) {
  uint64_t count = 0;
  for (size_t i = 0; i < number.len; i++) {
    uint8_t digit = number.ptr[i] - '0';
    if (digit > 9 || count > (UINT64_MAX - 10) / 10) {
      count = 0;
      break;
    }
    count = count * 10 + digit;
  }
  char digits[21] = "";
  char *first = digits + 20;
  for (count++; count > 0; count /= 10) *--first = '0' + count % 10;
  return text(first);
}

void exports_witgate_policy_inventory_observe(exports_witgate_policy_inventory_server_t *server,
                                              exports_witgate_policy_inventory_catalogue_t *catalogue, uint64_t now_ms,
                                              exports_witgate_policy_inventory_list_change_t *changes) {
  (void)catalogue, (void)now_ms;
  string key = joined("sighting/readings/", server->name.ptr, server->name.len), before;
  if (!witgate_policy_store_get(&key, &before)) before.len = 0;

  changes->len = 1;
  changes->ptr = room(sizeof *changes->ptr);
  *changes->ptr = (exports_witgate_policy_inventory_change_t){.key = key, .value = {true, one_more(before)}};
}

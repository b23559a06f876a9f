// {{name}}: no tool may be called whose name has a word that the operator denies.
//
// Every message meets a fresh instance, so what a hook is given need not be freed. What a hook returns is freed by the
// bindings once the host has read it: it must be on the heap.
#include <stdlib.h>

#include "bindings/policy.h"
#include "json.h"

typedef policy_string_t string;

// In lower case; empty denies nothing.
static string word;

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

static bool has_word(string name) {
  for (size_t at = 0; at + word.len <= name.len; at++) {
    size_t same = 0;
    while (same < word.len && lower(name.ptr[at + same]) == word.ptr[same]) same++;
    if (same == word.len) return true;
  }
  return false;
}

// `settings`: called first, once in every instance, with the settings as JSON. An error is shown to the operator: say
// what to write.
bool exports_witgate_policy_settings_configure(string *json, string *error) {
  json_object object = json_open(json->ptr, json->len);
  json_text key, value;
  while (json_next(&object, &key, &value)) {
    if (!json_key_is(key, "word")) {
      *error = joined("the only key is `word`, not ", key.at, key.length);
      return false;
    }
    if (!json_is_string(value) || value.length == 2) {
      *error = text("`word` must be a word, such as \"delete\"; leave it out to deny nothing");
      return false;
    }
    word.ptr = room(value.length);
    word.len = json_unescape(value, (char *)word.ptr);
    for (size_t i = 0; i < word.len; i++) word.ptr[i] = lower(word.ptr[i]);
  }
  if (object.is_object && !object.broken) return true;
  *error = text("the settings are no JSON object");
  return false;
}

// `call-gate`: may this call run?
void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  (void)context;
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_ALLOW;
  if (call->item.kind.tag != WITGATE_POLICY_TYPES_ITEM_KIND_TOOL || word.len == 0 || !has_word(call->item.name)) return;

  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  verdict->val.deny = (exports_witgate_policy_call_gate_denial_t){
      .code = text("word_denied"),
      .reason = text("The tool's name has a word that the operator denies"),
      .remedy = {true, text("Ask the operator, or use another tool")},
  };
}

// A policy that would send a request: `check` asks `wasi:http` for http://127.0.0.1:PORT/, where PORT is what follows
// `http:` in the tool's name, and denies with what came of it.
#include <stdio.h>
#include <string.h>

#include "http.h"

static int error_tag = -1;

static void request(const char *authority) {
  wasi_http_types_own_outgoing_request_t request =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  http_string_t text;
  http_string_dup(&text, authority);
  wasi_http_types_method_outgoing_request_set_authority(wasi_http_types_borrow_outgoing_request(request), &text);
  wasi_http_outgoing_handler_own_future_incoming_response_t response;
  wasi_http_outgoing_handler_error_code_t error;
  if (!wasi_http_outgoing_handler_handle(request, NULL, &response, &error)) error_tag = error.tag;
}

void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  char authority[64] = "127.0.0.1:";
  size_t before = strlen(authority);
  size_t length = call->item.name.len;
  if (length > 5 && length - 5 < sizeof authority - before) memcpy(authority + before, call->item.name.ptr + 5, length - 5);
  request(authority);

  char said[64];
  if (error_tag < 0)
    strcpy(said, "ok");
  else
    snprintf(said, sizeof said, "error %d", error_tag);
  memset(verdict, 0, sizeof *verdict);
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  http_string_dup(&verdict->val.deny.code, "tried");
  http_string_dup(&verdict->val.deny.reason, said);
  exports_witgate_policy_call_gate_context_free(context);
  exports_witgate_policy_call_gate_call_free(call);
}

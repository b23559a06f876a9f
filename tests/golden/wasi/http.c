// A policy that would send a request: `check` asks `wasi:http` for http://AUTHORITY/PATH, by what follows `http:` in the
// tool's name, waits for the answer, and denies with what came of it: the status and the body, or the number of the error.
// `tls:` asks by https.
#include <stdio.h>
#include <string.h>

#include "http.h"

static char said[2048];

static void body_of(wasi_http_types_own_incoming_response_t response) {
  wasi_http_types_own_incoming_body_t body;
  wasi_http_types_own_input_stream_t stream;
  if (!wasi_http_types_method_incoming_response_consume(wasi_http_types_borrow_incoming_response(response), &body)) return;
  if (!wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) return;
  http_list_u8_t bytes;
  wasi_io_streams_stream_error_t error;
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(stream), 1024, &bytes,
                                                           &error)) {
    size_t before = strlen(said);
    size_t length = bytes.len < sizeof said - before - 1 ? bytes.len : sizeof said - before - 1;
    memcpy(said + before, bytes.ptr, length);
    said[before + length] = 0;
  }
  // The end of the body is told like an error: any other is one.
  if (error.tag != WASI_IO_STREAMS_STREAM_ERROR_CLOSED) strcat(said, " broken off");
}

static void request(const char *where, uint8_t scheme_tag) {
  char authority[256] = "", path[256] = "/";
  const char *slash = strchr(where, '/');
  size_t length = slash == NULL ? strlen(where) : (size_t)(slash - where);
  if (length < sizeof authority) memcpy(authority, where, length);
  if (slash != NULL && strlen(slash) < sizeof path) strcpy(path, slash);

  wasi_http_types_own_outgoing_request_t own =
      wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t request = wasi_http_types_borrow_outgoing_request(own);
  http_string_t text;
  http_string_dup(&text, authority);
  wasi_http_types_method_outgoing_request_set_authority(request, &text);
  http_string_dup(&text, path);
  wasi_http_types_method_outgoing_request_set_path_with_query(request, &text);
  wasi_http_types_scheme_t scheme = {.tag = scheme_tag};
  wasi_http_types_method_outgoing_request_set_scheme(request, &scheme);

  wasi_http_outgoing_handler_own_future_incoming_response_t future;
  wasi_http_outgoing_handler_error_code_t refused;
  if (!wasi_http_outgoing_handler_handle(own, NULL, &future, &refused)) {
    snprintf(said, sizeof said, "refused %d", refused.tag);
    return;
  }
  wasi_http_types_borrow_future_incoming_response_t waiting = wasi_http_types_borrow_future_incoming_response(future);
  wasi_io_poll_own_pollable_t ready = wasi_http_types_method_future_incoming_response_subscribe(waiting);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(ready));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t answer;
  if (!wasi_http_types_method_future_incoming_response_get(waiting, &answer) || answer.is_err) {
    strcpy(said, "nothing");
  } else if (answer.val.ok.is_err) {
    snprintf(said, sizeof said, "error %d", answer.val.ok.val.err.tag);
  } else {
    wasi_http_types_own_incoming_response_t response = answer.val.ok.val.ok;
    int status = wasi_http_types_method_incoming_response_status(wasi_http_types_borrow_incoming_response(response));
    snprintf(said, sizeof said, "%d ", status);
    body_of(response);
  }
}

void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  char what[512] = "";
  size_t length = call->item.name.len < sizeof what - 1 ? call->item.name.len : sizeof what - 1;
  memcpy(what, call->item.name.ptr, length);
  if (strncmp(what, "http:", 5) == 0)
    request(what + 5, WASI_HTTP_TYPES_SCHEME_HTTP);
  else if (strncmp(what, "tls:", 4) == 0)
    request(what + 4, WASI_HTTP_TYPES_SCHEME_HTTPS);
  else
    strcpy(said, "nothing tried");

  memset(verdict, 0, sizeof *verdict);
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  http_string_dup(&verdict->val.deny.code, "tried");
  http_string_dup(&verdict->val.deny.reason, said);
  exports_witgate_policy_call_gate_context_free(context);
  exports_witgate_policy_call_gate_call_free(call);
}

// A policy that tries to reach the network, straight through WASI 0.2: a C library over preview1 has no sockets.
//
// `check` denies every call; the tool's name says what is tried, the reason says what came of it: `ok`, or the step that
// failed and with which error.
//
//   tcp:PORT      connects to 127.0.0.1           listen        listens on 127.0.0.1, at a port the system chooses
//   udp:PORT      sends a byte to 127.0.0.1       resolve:NAME  asks for a name's addresses
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sockets.h"

static char said[256];

static const char *const ERRORS[] = {
    "unknown",         "access-denied",        "not-supported",      "invalid-argument",   "out-of-memory",
    "timeout",         "concurrency-conflict", "not-in-progress",    "would-block",        "invalid-state",
    "new-socket-limit", "address-not-bindable", "address-in-use",    "remote-unreachable", "connection-refused",
    "connection-reset", "connection-aborted",  "datagram-too-large", "name-unresolvable",
    "temporary-resolver-failure", "permanent-resolver-failure",
};

// What came of one step; whether the next can be taken.
static bool step(const char *name, bool done, uint8_t error) {
  strcpy(said, done ? "ok" : name);
  if (!done) {
    strcat(said, ": ");
    strcat(said, error < sizeof ERRORS / sizeof *ERRORS ? ERRORS[error] : "?");
  }
  return done;
}

static wasi_sockets_network_ip_socket_address_t local(int port) {
  wasi_sockets_network_ip_socket_address_t address = {.tag = WASI_SOCKETS_NETWORK_IP_SOCKET_ADDRESS_IPV4};
  address.val.ipv4.port = (uint16_t)port;
  address.val.ipv4.address.f0 = 127;
  address.val.ipv4.address.f3 = 1;
  return address;
}

static wasi_sockets_network_borrow_network_t network(void) {
  return wasi_sockets_network_borrow_network(wasi_sockets_instance_network_instance_network());
}

static void wait_for(wasi_io_poll_own_pollable_t pollable) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
}

static bool tcp_socket(wasi_sockets_tcp_borrow_tcp_socket_t *socket) {
  wasi_sockets_tcp_own_tcp_socket_t own;
  uint8_t error = 0;
  bool done = wasi_sockets_tcp_create_socket_create_tcp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &own, &error);
  if (done) *socket = wasi_sockets_tcp_borrow_tcp_socket(own);
  return step("create", done, error);
}

static void connect_tcp(int port) {
  wasi_sockets_tcp_borrow_tcp_socket_t socket;
  wasi_sockets_network_ip_socket_address_t address = local(port);
  wasi_sockets_tcp_tuple2_own_input_stream_own_output_stream_t streams;
  uint8_t error = 0;
  if (!tcp_socket(&socket)) return;
  bool done = wasi_sockets_tcp_method_tcp_socket_start_connect(socket, network(), &address, &error);
  if (!step("start-connect", done, error)) return;
  wait_for(wasi_sockets_tcp_method_tcp_socket_subscribe(socket));
  done = wasi_sockets_tcp_method_tcp_socket_finish_connect(socket, &streams, &error);
  step("finish-connect", done, error);
}

static void listen_tcp(void) {
  wasi_sockets_tcp_borrow_tcp_socket_t socket;
  wasi_sockets_network_ip_socket_address_t address = local(0);
  uint8_t error = 0;
  if (!tcp_socket(&socket)) return;
  bool done = wasi_sockets_tcp_method_tcp_socket_start_bind(socket, network(), &address, &error);
  if (!step("start-bind", done, error)) return;
  done = wasi_sockets_tcp_method_tcp_socket_finish_bind(socket, &error);
  if (!step("finish-bind", done, error)) return;
  done = wasi_sockets_tcp_method_tcp_socket_start_listen(socket, &error);
  step("start-listen", done, error);
}

static void send_udp(int port) {
  wasi_sockets_udp_own_udp_socket_t own;
  wasi_sockets_network_ip_socket_address_t address = local(port);
  wasi_sockets_network_ip_socket_address_t any = local(0);
  wasi_sockets_udp_tuple2_own_incoming_datagram_stream_own_outgoing_datagram_stream_t streams;
  uint8_t byte = 'x', error = 0;
  uint64_t sent = 0;
  bool done = wasi_sockets_udp_create_socket_create_udp_socket(WASI_SOCKETS_NETWORK_IP_ADDRESS_FAMILY_IPV4, &own, &error);
  if (!step("create", done, error)) return;
  wasi_sockets_udp_borrow_udp_socket_t socket = wasi_sockets_udp_borrow_udp_socket(own);
  done = wasi_sockets_udp_method_udp_socket_start_bind(socket, network(), &any, &error);
  if (!step("start-bind", done, error)) return;
  done = wasi_sockets_udp_method_udp_socket_finish_bind(socket, &error);
  if (!step("finish-bind", done, error)) return;
  done = wasi_sockets_udp_method_udp_socket_stream(socket, &address, &streams, &error);
  if (!step("stream", done, error)) return;
  wasi_sockets_udp_outgoing_datagram_t datagram = {.data = {&byte, 1}};
  wasi_sockets_udp_list_outgoing_datagram_t datagrams = {&datagram, 1};
  wasi_sockets_udp_borrow_outgoing_datagram_stream_t out = wasi_sockets_udp_borrow_outgoing_datagram_stream(streams.f1);
  done = wasi_sockets_udp_method_outgoing_datagram_stream_check_send(out, &sent, &error);
  if (!step("check-send", done, error)) return;
  done = wasi_sockets_udp_method_outgoing_datagram_stream_send(out, &datagrams, &sent, &error);
  step("send", done, error);
}

static void resolve(const char *text) {
  wasi_sockets_ip_name_lookup_own_resolve_address_stream_t own;
  wasi_sockets_ip_name_lookup_option_ip_address_t address;
  sockets_string_t name;
  uint8_t error = 0;
  sockets_string_dup(&name, text);
  bool done = wasi_sockets_ip_name_lookup_resolve_addresses(network(), &name, &own, &error);
  if (!step("resolve", done, error)) return;
  wasi_sockets_ip_name_lookup_borrow_resolve_address_stream_t stream =
      wasi_sockets_ip_name_lookup_borrow_resolve_address_stream(own);
  wait_for(wasi_sockets_ip_name_lookup_method_resolve_address_stream_subscribe(stream));
  done = wasi_sockets_ip_name_lookup_method_resolve_address_stream_resolve_next_address(stream, &address, &error);
  step("next", done, error);
}

void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  char what[256] = "";
  size_t length = call->item.name.len < sizeof what - 1 ? call->item.name.len : sizeof what - 1;
  memcpy(what, call->item.name.ptr, length);
  if (strncmp(what, "tcp:", 4) == 0)
    connect_tcp(atoi(what + 4));
  else if (strncmp(what, "udp:", 4) == 0)
    send_udp(atoi(what + 4));
  else if (strncmp(what, "resolve:", 8) == 0)
    resolve(what + 8);
  else if (strcmp(what, "listen") == 0)
    listen_tcp();
  else
    strcpy(said, "nothing tried");

  memset(verdict, 0, sizeof *verdict);
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  sockets_string_dup(&verdict->val.deny.code, "tried");
  sockets_string_dup(&verdict->val.deny.reason, said);
  exports_witgate_policy_call_gate_context_free(context);
  exports_witgate_policy_call_gate_call_free(call);
}

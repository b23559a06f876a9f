// A policy that is an ordinary C program: it asks the C library for what a policy does not get.
//
// `check` denies every call; the tool's name says what is tried, the reason says what came of it.
//
//   wall      the wall clock, nanoseconds                 args      how many arguments the program has, and them
//   mono      the monotonic clock, nanoseconds            env       every environment variable
//   elapsed   nanoseconds between two readings of it      dirs      how many folders are open for it, and their names
//   random    16 random bytes, in hexadecimal             stdin     what a read of the standard input gives
//   stdout    writes a line there                         open:P    opens the file P to read
//   stderr    writes a line there                         make:P    opens the file P to write
//   sleep:N   sleeps N milliseconds                       list:P    reads the folder P
//   exit:N    ends the program with the code N            abort     ends it with a trap
//   spin      never returns                               poll      waits for the standard input, 10 ms at most
//
// What is not asked for is not touched. `setup` tells what was found before `main`: constructors run when the instance
// is made, and there, too, a clock may be read.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <stdarg.h>
#include <unistd.h>
#include <wasi/api.h>

#include "libc.h"

extern char **environ;

static char said[4096];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
  size_t before = strlen(said);
  va_list rest;
  va_start(rest, format);
  vsnprintf(said + before, sizeof said - before, format, rest);
  va_end(rest);
}

static int64_t nanoseconds(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) return -1;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t at_setup = -2;

__attribute__((constructor)) static void setup(void) { at_setup = nanoseconds(CLOCK_REALTIME); }

static void say_error(int result) {
  if (result >= 0)
    say("ok");
  else
    say("error: %s", strerror(errno));
}

static void write_line(int file) {
  const char line[] = "a line from the policy\n";
  say_error((int)write(file, line, sizeof line - 1));
}

static void folders(void) {
  int count = 0;
  char names[1024] = "";
  for (__wasi_fd_t fd = 3; fd < 64; fd++) {
    __wasi_prestat_t stat;
    if (__wasi_fd_prestat_get(fd, &stat) != 0) break;
    char name[256] = "";
    size_t length = stat.u.dir.pr_name_len < 255 ? stat.u.dir.pr_name_len : 255;
    if (__wasi_fd_prestat_dir_name(fd, (uint8_t *)name, length) != 0) break;
    snprintf(names + strlen(names), sizeof names - strlen(names), " %s", name);
    count++;
  }
  say("%d%s", count, names);
}

static void list(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) {
    say_error(-1);
    return;
  }
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) say("%s ", entry->d_name);
  closedir(folder);
}

static void arguments(void) {
  size_t count = 0, bytes = 0;
  if (__wasi_args_sizes_get(&count, &bytes) != 0) {
    say("error");
    return;
  }
  say("%zu", count);
}

static void random_bytes(void) {
  unsigned char bytes[16] = {0};
  if (getentropy(bytes, sizeof bytes) != 0) {
    say_error(-1);
    return;
  }
  for (size_t i = 0; i < sizeof bytes; i++) say("%02x", bytes[i]);
}

static void try(const char *what) {
  const char *rest = strchr(what, ':');
  rest = rest == NULL ? "" : rest + 1;
#define IS(word) (strncmp(what, word, sizeof word - 1) == 0)
  if (IS("wall")) {
    say("%" PRId64, nanoseconds(CLOCK_REALTIME));
  } else if (IS("mono")) {
    say("%" PRId64, nanoseconds(CLOCK_MONOTONIC));
  } else if (IS("elapsed")) {
    int64_t before = nanoseconds(CLOCK_MONOTONIC);
    say("%" PRId64, nanoseconds(CLOCK_MONOTONIC) - before);
  } else if (IS("setup")) {
    say("%" PRId64, at_setup);
  } else if (IS("random")) {
    random_bytes();
  } else if (IS("stdout")) {
    write_line(1);
  } else if (IS("stderr")) {
    write_line(2);
  } else if (IS("stdin")) {
    char byte;
    ssize_t got = read(0, &byte, 1);
    if (got < 0)
      say_error(-1);
    else
      say("%zd bytes", got);
  } else if (IS("sleep:")) {
    struct timespec span = {atoi(rest) / 1000, atoi(rest) % 1000 * 1000000L};
    say_error(nanosleep(&span, NULL));
  } else if (IS("poll")) {
    struct pollfd file = {.fd = 0, .events = POLLIN};
    int ready = poll(&file, 1, 10);
    if (ready < 0)
      say_error(-1);
    else
      say("%d ready", ready);
  } else if (IS("exit:")) {
    _Exit(atoi(rest));
  } else if (IS("abort")) {
    abort();
  } else if (IS("spin")) {
    for (volatile int on = 1; on;) {
    }
  } else if (IS("args")) {
    arguments();
  } else if (IS("env")) {
    int count = 0;
    for (char **one = environ; one != NULL && *one != NULL; one++) count++;
    say("%d", count);
    for (char **one = environ; one != NULL && *one != NULL; one++) say(" %s", *one);
  } else if (IS("dirs")) {
    folders();
  } else if (IS("open:")) {
    say_error(open(rest, O_RDONLY));
  } else if (IS("make:")) {
    say_error(open(rest, O_WRONLY | O_CREAT, 0600));
  } else if (IS("list:")) {
    list(rest);
  } else {
    say("nothing tried");
  }
}

void exports_witgate_policy_call_gate_check(exports_witgate_policy_call_gate_context_t *context,
                                            exports_witgate_policy_call_gate_call_t *call,
                                            exports_witgate_policy_call_gate_verdict_t *verdict) {
  char what[256] = "";
  size_t length = call->item.name.len < sizeof what - 1 ? call->item.name.len : sizeof what - 1;
  memcpy(what, call->item.name.ptr, length);
  try(what);

  memset(verdict, 0, sizeof *verdict);
  verdict->tag = EXPORTS_WITGATE_POLICY_CALL_GATE_VERDICT_DENY;
  libc_string_dup(&verdict->val.deny.code, "tried");
  libc_string_dup(&verdict->val.deny.reason, said);
  exports_witgate_policy_call_gate_context_free(context);
  exports_witgate_policy_call_gate_call_free(call);
}

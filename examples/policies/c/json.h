// Reads the members of a JSON object, in place: strict (RFC 8259), no allocation.
//
//   json_object object = json_open(text, length);
//   json_text key, value;
//   while (json_next(&object, &key, &value)) { … }
//   if (object.broken) …  // some of it was no JSON; nothing that was read counts
//
// `key` and `value` point into the text, as written: `json_is_string` and `json_unescape` read what a string says.
// A text that is JSON but no object has no members.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JSON_DEPTH 128  // arrays and objects within each other; deeper is taken for broken

typedef struct {
  const char *at;
  size_t length;
} json_text;

typedef struct {
  const char *at, *end;
  bool is_object, first, done, broken;
} json_object;

static inline void json_space(json_object *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static inline bool json_take(json_object *in, char byte) {
  if (in->at == in->end || *in->at != byte) return false;
  in->at++;
  return true;
}

// Four hexadecimal digits, or -1.
static inline int json_hex(const char *at, const char *end) {
  int value = 0;
  if (end - at < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char digit = at[i];
    if (digit >= '0' && digit <= '9')
      value = value * 16 + digit - '0';
    else if ((digit | 32) >= 'a' && (digit | 32) <= 'f')
      value = value * 16 + (digit | 32) - 'a' + 10;
    else
      return -1;
  }
  return value;
}

// The code point of the escape `u…` at `*at`, both halves of a pair; moves past it. -1 if it is none.
static inline int json_code_point(const char **at, const char *end) {
  int high = json_hex(*at + 1, end);
  if (high < 0 || (high >= 0xDC00 && high < 0xE000)) return -1;
  *at += 5;
  if (high < 0xD800 || high >= 0xE000) return high;
  if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return -1;
  int low = json_hex(*at + 2, end);
  if (low < 0xDC00 || low >= 0xE000) return -1;
  *at += 6;
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static inline bool json_string(json_object *in) {
  if (!json_take(in, '"')) return false;
  while (in->at < in->end) {
    unsigned char byte = (unsigned char)*in->at;
    if (byte < 0x20) return false;
    if (byte == '\\') {
      if (++in->at == in->end) return false;
      if (*in->at == 'u') {
        if (json_code_point(&in->at, in->end) < 0) return false;
        continue;
      }
      if (*in->at == '\0' || strchr("\"\\/bfnrt", *in->at) == NULL) return false;
    }
    in->at++;
    if (byte == '"') return true;
  }
  return false;
}

static inline bool json_digits(json_object *in) {
  const char *before = in->at;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
  return in->at > before;
}

static inline bool json_number(json_object *in) {
  json_take(in, '-');
  if (!json_take(in, '0') && !json_digits(in)) return false;
  if (json_take(in, '.') && !json_digits(in)) return false;
  if (!json_take(in, 'e') && !json_take(in, 'E')) return true;
  if (!json_take(in, '+')) json_take(in, '-');
  return json_digits(in);
}

static inline bool json_word(json_object *in, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) return false;
  in->at += length;
  return true;
}

// Moves past one value.
static inline bool json_value(json_object *in, int depth) {
  if (in->at == in->end || depth > JSON_DEPTH) return false;
  char open = *in->at;
  if (open == '"') return json_string(in);
  if (open == 't') return json_word(in, "true");
  if (open == 'f') return json_word(in, "false");
  if (open == 'n') return json_word(in, "null");
  if (open != '{' && open != '[') return json_number(in);

  char close = open == '{' ? '}' : ']';
  in->at++;
  json_space(in);
  if (json_take(in, close)) return true;
  do {
    json_space(in);
    if (open == '{') {
      if (!json_string(in)) return false;
      json_space(in);
      if (!json_take(in, ':')) return false;
      json_space(in);
    }
    if (!json_value(in, depth + 1)) return false;
    json_space(in);
  } while (json_take(in, ','));
  return json_take(in, close);
}

// The end: nothing but white space may follow.
static inline void json_close(json_object *in) {
  in->done = true;
  json_space(in);
  if (in->at != in->end) in->broken = true;
}

static inline json_object json_open(const void *text, size_t length) {
  json_object in = {.at = text, .end = (const char *)text + length, .first = true};
  json_space(&in);
  in.is_object = json_take(&in, '{');
  if (!in.is_object) {
    in.broken = !json_value(&in, 1);
    json_close(&in);
  }
  return in;
}

// The next member; false at the end, and where the text is broken.
static inline bool json_next(json_object *in, json_text *key, json_text *value) {
  if (in->done || in->broken) return false;
  json_space(in);
  if (json_take(in, '}')) {
    json_close(in);
    return false;
  }
  bool good = in->first || json_take(in, ',');
  in->first = false;
  json_space(in);
  key->at = in->at;
  good = good && json_string(in);
  key->length = (size_t)(in->at - key->at);
  json_space(in);
  good = good && json_take(in, ':');
  json_space(in);
  value->at = in->at;
  good = good && json_value(in, 1);
  value->length = (size_t)(in->at - value->at);
  in->broken = !good;
  return good;
}

static inline bool json_is_string(json_text value) { return value.length > 0 && *value.at == '"'; }

// Whether a value is this word: `true`, `false` or `null`.
static inline bool json_is_word(json_text value, const char *word) {
  return value.length == strlen(word) && memcmp(value.at, word, value.length) == 0;
}

// What a string says, in UTF-8; returns its length. `out` has room for the string's length.
static inline size_t json_unescape(json_text string, char *out) {
  const char *at = string.at + 1, *end = string.at + string.length - 1;
  char *to = out;
  while (at < end) {
    if (*at != '\\') {
      *to++ = *at++;
      continue;
    }
    at++;
    if (*at != 'u') {
      const char *from = "\"\\/bfnrt", *made = "\"\\/\b\f\n\r\t";
      *to++ = made[strchr(from, *at++) - from];
      continue;
    }
    int point = json_code_point(&at, end);
    if (point < 0x80) {
      *to++ = (char)point;
      continue;
    }
    int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const int leads[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(leads[more] | point >> 6 * more);
    while (more-- > 0) *to++ = (char)(0x80 | (point >> 6 * more & 0x3F));
  }
  return (size_t)(to - out);
}

// Whether a key is `name`, however it is written.
static inline bool json_key_is(json_text key, const char *name) {
  if (key.length > 2 + 6 * strlen(name)) return false;  // an escape writes one byte in six at most
  char said[key.length];
  size_t length = json_unescape(key, said);
  return length == strlen(name) && memcmp(said, name, length) == 0;
}

#endif

/* The named functions. Each gets its arguments evaluated, and NULLs only when it asks. */
#include "sift.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct value as_text(struct session *session, struct value value)
{
    if (value.kind == KIND_TEXT) {
        return value;
    }
    struct text text;
    text_init(&text, &session->arena);
    value_print(&text, value);
    const char *bytes = text_end(&text);
    return value_text(bytes, text.length);
}

static double number(struct session *session, const char *name, struct value value)
{
    if (!value_is_number(value)) {
        fail(session, "%s() takes a number, not %s", name, kind_name(value.kind));
    }
    return value_as_real(value);
}

static struct value case_changed(struct session *session, struct value value, int change(int))
{
    struct value text = as_text(session, value);
    char *copy = arena_text(&session->arena, text.as.bytes, text.length);
    for (size_t i = 0; i < text.length; i++) {
        copy[i] = (char)change((unsigned char)copy[i]);
    }
    return value_text(copy, text.length);
}

static struct value call_upper(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return case_changed(session, args[0], toupper);
}

static struct value call_lower(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return case_changed(session, args[0], tolower);
}

/* Counts characters, not bytes: the continuation bytes of UTF-8 are left out. */
static struct value call_length(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    struct value text = as_text(session, args[0]);
    int64_t characters = 0;
    for (size_t i = 0; i < text.length; i++) {
        characters += ((unsigned char)text.as.bytes[i] & 0xc0) != 0x80;
    }
    return value_int(characters);
}

static struct value call_trim(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    struct value text = as_text(session, args[0]);
    while (text.length > 0 && isspace((unsigned char)text.as.bytes[0])) {
        text.as.bytes += 1;
        text.length -= 1;
    }
    while (text.length > 0 && isspace((unsigned char)text.as.bytes[text.length - 1])) {
        text.length -= 1;
    }
    return text;
}

static struct value call_substr(struct session *session, const struct value *args, size_t count)
{
    struct value text = as_text(session, args[0]);
    int64_t start = (int64_t)number(session, "substr", args[1]);
    int64_t length = (int64_t)text.length;
    start = start < 0 ? length + start : start - 1;
    if (start < 0) {
        start = 0;
    }
    if (start > length) {
        start = length;
    }
    int64_t wanted = count == 3 ? (int64_t)number(session, "substr", args[2]) : length;
    if (wanted < 0) {
        wanted = 0;
    }
    if (wanted > length - start) {
        wanted = length - start;
    }
    return value_text(text.as.bytes + start, (size_t)wanted);
}

static struct value call_replace(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    struct value text = as_text(session, args[0]);
    struct value from = as_text(session, args[1]);
    struct value to = as_text(session, args[2]);
    if (from.length == 0) {
        return text;
    }
    struct text out;
    text_init(&out, &session->arena);
    size_t at = 0;
    while (at < text.length) {
        bool here = text.length - at >= from.length &&
                    memcmp(text.as.bytes + at, from.as.bytes, from.length) == 0;
        if (here) {
            text_bytes(&out, to.as.bytes, to.length);
            at += from.length;
        } else {
            text_byte(&out, text.as.bytes[at++]);
        }
    }
    const char *bytes = text_end(&out);
    return value_text(bytes, out.length);
}

static struct value call_instr(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    struct value text = as_text(session, args[0]);
    struct value part = as_text(session, args[1]);
    for (size_t at = 0; at + part.length <= text.length; at++) {
        if (memcmp(text.as.bytes + at, part.as.bytes, part.length) == 0) {
            return value_int((int64_t)at + 1);
        }
    }
    return value_int(0);
}

static struct value call_abs(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    if (args[0].kind == KIND_INT && args[0].as.integer != INT64_MIN) {
        int64_t integer = args[0].as.integer;
        return value_int(integer < 0 ? -integer : integer);
    }
    return value_real(fabs(number(session, "abs", args[0])));
}

static struct value call_round(struct session *session, const struct value *args, size_t count)
{
    double real = number(session, "round", args[0]);
    int places = count == 2 ? (int)number(session, "round", args[1]) : 0;
    if (places < -15 || places > 15) {
        fail(session, "round() takes between -15 and 15 places");
    }
    double scale = pow(10.0, places);
    return value_real(round(real * scale) / scale);
}

static struct value call_floor(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return value_int((int64_t)floor(number(session, "floor", args[0])));
}

static struct value call_ceil(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return value_int((int64_t)ceil(number(session, "ceil", args[0])));
}

static struct value call_sqrt(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    double real = number(session, "sqrt", args[0]);
    return real < 0 ? value_null() : value_real(sqrt(real));
}

static struct value call_coalesce(struct session *session, const struct value *args,
                                  size_t count)
{
    (void)session;
    for (size_t i = 0; i < count; i++) {
        if (!value_is_null(args[i])) {
            return args[i];
        }
    }
    return value_null();
}

static struct value call_nullif(struct session *session, const struct value *args, size_t count)
{
    (void)session;
    (void)count;
    return value_equal(args[0], args[1]) ? value_null() : args[0];
}

static struct value call_typeof(struct session *session, const struct value *args, size_t count)
{
    (void)session;
    (void)count;
    return value_string(kind_name(args[0].kind));
}

static struct value call_text(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return as_text(session, args[0]);
}

static struct value call_number(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    struct value text = as_text(session, args[0]);
    struct value guess = value_guess(text.as.bytes, text.length);
    return value_is_number(guess) ? guess : value_null();
}

/* The year, month or day out of a date that is written YYYY-MM-DD. */
static struct value date_part(struct session *session, struct value value, size_t from,
                              size_t length)
{
    struct value text = as_text(session, value);
    bool dashed = text.length >= 10 && text.as.bytes[4] == '-' && text.as.bytes[7] == '-';
    if (!dashed) {
        return value_null();
    }
    int64_t part = 0;
    for (size_t i = from; i < from + length; i++) {
        char byte = text.as.bytes[i];
        if (byte < '0' || byte > '9') {
            return value_null();
        }
        part = part * 10 + (byte - '0');
    }
    return value_int(part);
}

static struct value call_year(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return date_part(session, args[0], 0, 4);
}

static struct value call_month(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return date_part(session, args[0], 5, 2);
}

static struct value call_day(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    return date_part(session, args[0], 8, 2);
}

static struct value call_bar(struct session *session, const struct value *args, size_t count)
{
    (void)count;
    double length = number(session, "bar", args[0]);
    struct text text;
    text_init(&text, &session->arena);
    for (int i = 0; i < 60 && i < (int)round(length); i++) {
        text_byte(&text, '#');
    }
    const char *bytes = text_end(&text);
    return value_text(bytes, text.length);
}

const struct function *function_find(const char *name)
{
    static const struct function functions[] = {
        { "abs", 1, 1, false, call_abs },
        { "bar", 1, 1, false, call_bar },
        { "ceil", 1, 1, false, call_ceil },
        { "coalesce", 1, 16, true, call_coalesce },
        { "day", 1, 1, false, call_day },
        { "floor", 1, 1, false, call_floor },
        { "instr", 2, 2, false, call_instr },
        { "length", 1, 1, false, call_length },
        { "lower", 1, 1, false, call_lower },
        { "month", 1, 1, false, call_month },
        { "nullif", 2, 2, true, call_nullif },
        { "number", 1, 1, false, call_number },
        { "replace", 3, 3, false, call_replace },
        { "round", 1, 2, false, call_round },
        { "sqrt", 1, 1, false, call_sqrt },
        { "substr", 2, 3, false, call_substr },
        { "text", 1, 1, false, call_text },
        { "trim", 1, 1, false, call_trim },
        { "typeof", 1, 1, true, call_typeof },
        { "upper", 1, 1, false, call_upper },
        { "year", 1, 1, false, call_year },
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcasecmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

/* Values: what a cell holds and how two of them compare. */
#include "sift.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct value value_null(void)
{
    return (struct value){ .kind = KIND_NULL };
}

struct value value_bool(bool truth)
{
    return (struct value){ .kind = KIND_BOOL, .as.truth = truth };
}

struct value value_int(int64_t integer)
{
    return (struct value){ .kind = KIND_INT, .as.integer = integer };
}

struct value value_real(double real)
{
    return (struct value){ .kind = KIND_REAL, .as.real = real };
}

struct value value_text(const char *bytes, size_t length)
{
    return (struct value){ .kind = KIND_TEXT, .length = length, .as.bytes = bytes };
}

struct value value_string(const char *string)
{
    return value_text(string, strlen(string));
}

static bool looks_like_int(const char *bytes, size_t length)
{
    size_t at = length > 1 && (bytes[0] == '-' || bytes[0] == '+') ? 1 : 0;
    /* A number with leading zeros is a code (a postcode, an article), not a quantity. */
    if (length - at > 1 && bytes[at] == '0') {
        return false;
    }
    if (length == at || length - at > 19) {
        return false;
    }
    for (; at < length; at++) {
        if (bytes[at] < '0' || bytes[at] > '9') {
            return false;
        }
    }
    return true;
}

static bool looks_like_real(const char *bytes, size_t length)
{
    size_t digits = 0;
    size_t points = 0;
    size_t at = length > 1 && (bytes[0] == '-' || bytes[0] == '+') ? 1 : 0;
    for (; at < length; at++) {
        char byte = bytes[at];
        if (byte >= '0' && byte <= '9') {
            digits += 1;
        } else if (byte == '.') {
            points += 1;
        } else if ((byte == 'e' || byte == 'E') && digits > 0 && at + 1 < length) {
            at += 1;
            size_t sign = bytes[at] == '-' || bytes[at] == '+' ? 1 : 0;
            return points <= 1 && looks_like_int(bytes + at + sign, length - at - sign);
        } else {
            return false;
        }
    }
    return points == 1 && digits > 0;
}

/* Gives a cell of a file the type that its text suggests; an empty cell is NULL. */
struct value value_guess(const char *bytes, size_t length)
{
    if (length == 0) {
        return value_null();
    }
    if (length < 40) {
        char copy[40];
        memcpy(copy, bytes, length);
        copy[length] = '\0';
        if (looks_like_int(bytes, length)) {
            errno = 0;
            long long integer = strtoll(copy, NULL, 10);
            if (errno == 0) {
                return value_int(integer);
            }
        }
        if (looks_like_real(bytes, length)) {
            return value_real(strtod(copy, NULL));
        }
        if (strcmp(copy, "true") == 0 || strcmp(copy, "false") == 0) {
            return value_bool(copy[0] == 't');
        }
    }
    return value_text(bytes, length);
}

bool value_is_null(struct value value)
{
    return value.kind == KIND_NULL;
}

bool value_is_true(struct value value)
{
    switch (value.kind) {
    case KIND_BOOL: return value.as.truth;
    case KIND_INT: return value.as.integer != 0;
    case KIND_REAL: return value.as.real != 0.0;
    case KIND_TEXT: return value.length > 0;
    default: return false;
    }
}

bool value_is_number(struct value value)
{
    return value.kind == KIND_INT || value.kind == KIND_REAL || value.kind == KIND_BOOL;
}

double value_as_real(struct value value)
{
    switch (value.kind) {
    case KIND_BOOL: return value.as.truth ? 1.0 : 0.0;
    case KIND_INT: return (double)value.as.integer;
    case KIND_REAL: return value.as.real;
    default: return 0.0;
    }
}

static int rank(struct value value)
{
    if (value.kind == KIND_NULL) {
        return 0;
    }
    return value_is_number(value) ? 1 : 2;
}

static int compare_text(struct value left, struct value right)
{
    size_t common = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.as.bytes, right.as.bytes, common);
    if (order != 0) {
        return order < 0 ? -1 : 1;
    }
    return (left.length > right.length) - (left.length < right.length);
}

/* A total order over all values: NULL, then numbers and truths, then text. */
int value_compare(struct value left, struct value right)
{
    int left_rank = rank(left);
    int right_rank = rank(right);
    if (left_rank != right_rank) {
        return left_rank < right_rank ? -1 : 1;
    }
    if (left_rank == 0) {
        return 0;
    }
    if (left_rank == 2) {
        return compare_text(left, right);
    }
    if (left.kind == KIND_INT && right.kind == KIND_INT) {
        int64_t a = left.as.integer;
        int64_t b = right.as.integer;
        return (a > b) - (a < b);
    }
    double a = value_as_real(left);
    double b = value_as_real(right);
    return (a > b) - (a < b);
}

bool value_equal(struct value left, struct value right)
{
    return value_compare(left, right) == 0;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    }
    return hash ^ (hash >> 29);
}

/* Equal values have equal hashes, also an integer and a real of the same size. */
uint64_t value_hash(struct value value, uint64_t seed)
{
    uint64_t hash = seed ^ UINT64_C(14695981039346656037);
    if (value.kind == KIND_NULL) {
        return mix(hash, "null", 4);
    }
    if (value.kind == KIND_TEXT) {
        return mix(mix(hash, "t", 1), value.as.bytes, value.length);
    }
    double real = value_as_real(value);
    if (real == 0.0) {
        real = 0.0;
    }
    return mix(mix(hash, "n", 1), &real, sizeof real);
}

void value_print(struct text *out, struct value value)
{
    switch (value.kind) {
    case KIND_NULL:
        break;
    case KIND_BOOL:
        text_string(out, value.as.truth ? "true" : "false");
        break;
    case KIND_INT:
        text_format(out, "%lld", (long long)value.as.integer);
        break;
    case KIND_REAL:
        if (fabs(value.as.real) < 1e15 && value.as.real == floor(value.as.real)) {
            text_format(out, "%.1f", value.as.real);
        } else {
            text_format(out, "%.10g", value.as.real);
        }
        break;
    case KIND_TEXT:
        text_bytes(out, value.as.bytes, value.length);
        break;
    }
}

const char *kind_name(enum kind kind)
{
    static const char *const names[] = { "null", "bool", "int", "real", "text" };
    return names[kind];
}

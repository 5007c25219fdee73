/* An expression and a row to a value. NULL is the third truth value, as in SQL. */
#include "sift.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const struct expr *arg(const struct expr *expr, size_t index)
{
    return *(struct expr **)list_at(&expr->args, index);
}

/* `%` stands for any text, `_` for one byte; letters match in either case. */
bool like(const char *text, size_t length, const char *pattern, size_t pattern_length)
{
    size_t at = 0;
    size_t want = 0;
    size_t star = SIZE_MAX;
    size_t restart = 0;
    while (at < length) {
        bool one = want < pattern_length && pattern[want] != '%' &&
                   (pattern[want] == '_' || tolower((unsigned char)pattern[want]) ==
                                                tolower((unsigned char)text[at]));
        if (one) {
            at += 1;
            want += 1;
        } else if (want < pattern_length && pattern[want] == '%') {
            star = want++;
            restart = at;
        } else if (star != SIZE_MAX) {
            want = star + 1;
            at = ++restart;
        } else {
            return false;
        }
    }
    while (want < pattern_length && pattern[want] == '%') {
        want += 1;
    }
    return want == pattern_length;
}

static struct value eval_and(const struct scope *scope, const struct expr *expr)
{
    struct value left = eval(scope, arg(expr, 0));
    if (!value_is_null(left) && !value_is_true(left)) {
        return value_bool(false);
    }
    struct value right = eval(scope, arg(expr, 1));
    if (!value_is_null(right) && !value_is_true(right)) {
        return value_bool(false);
    }
    bool unknown = value_is_null(left) || value_is_null(right);
    return unknown ? value_null() : value_bool(true);
}

static struct value eval_or(const struct scope *scope, const struct expr *expr)
{
    struct value left = eval(scope, arg(expr, 0));
    if (value_is_true(left)) {
        return value_bool(true);
    }
    struct value right = eval(scope, arg(expr, 1));
    if (value_is_true(right)) {
        return value_bool(true);
    }
    bool unknown = value_is_null(left) || value_is_null(right);
    return unknown ? value_null() : value_bool(false);
}

static struct value int_arithmetic(const struct scope *scope, enum operator op, int64_t left,
                                   int64_t right)
{
    int64_t out = 0;
    bool overflow = false;
    switch (op) {
    case OP_ADD: overflow = __builtin_add_overflow(left, right, &out); break;
    case OP_SUBTRACT: overflow = __builtin_sub_overflow(left, right, &out); break;
    case OP_MULTIPLY: overflow = __builtin_mul_overflow(left, right, &out); break;
    default: break;
    }
    if (overflow) {
        fail(scope->session, "the result does not fit into 64 bits");
    }
    return value_int(out);
}

static struct value arithmetic(const struct scope *scope, enum operator op, struct value left,
                               struct value right)
{
    if (!value_is_number(left) || !value_is_number(right)) {
        const struct value wrong = value_is_number(left) ? right : left;
        fail(scope->session, "cannot calculate with %s", kind_name(wrong.kind));
    }
    bool ints = left.kind == KIND_INT && right.kind == KIND_INT;
    if (op == OP_DIVIDE) {
        double divisor = value_as_real(right);
        return divisor == 0.0 ? value_null() : value_real(value_as_real(left) / divisor);
    }
    if (op == OP_REMAINDER) {
        if (!ints) {
            double divisor = value_as_real(right);
            return divisor == 0.0 ? value_null()
                                  : value_real(fmod(value_as_real(left), divisor));
        }
        bool none = right.as.integer == 0;
        bool trivial = right.as.integer == -1;
        return none ? value_null()
                    : value_int(trivial ? 0 : left.as.integer % right.as.integer);
    }
    if (ints) {
        return int_arithmetic(scope, op, left.as.integer, right.as.integer);
    }
    double a = value_as_real(left);
    double b = value_as_real(right);
    switch (op) {
    case OP_ADD: return value_real(a + b);
    case OP_SUBTRACT: return value_real(a - b);
    default: return value_real(a * b);
    }
}

static struct value joined_text(const struct scope *scope, struct value left, struct value right)
{
    struct text text;
    text_init(&text, &scope->session->arena);
    value_print(&text, left);
    value_print(&text, right);
    const char *bytes = text_end(&text);
    return value_text(bytes, text.length);
}

static struct value eval_like(const struct scope *scope, const struct expr *expr,
                              struct value left, struct value right)
{
    if (left.kind != KIND_TEXT || right.kind != KIND_TEXT) {
        fail(scope->session, "LIKE compares text, not %s with %s", kind_name(left.kind),
             kind_name(right.kind));
    }
    bool matches = like(left.as.bytes, left.length, right.as.bytes, right.length);
    return value_bool(matches != expr->negated);
}

static struct value eval_binary(const struct scope *scope, const struct expr *expr)
{
    if (expr->op == OP_AND) {
        return eval_and(scope, expr);
    }
    if (expr->op == OP_OR) {
        return eval_or(scope, expr);
    }
    struct value left = eval(scope, arg(expr, 0));
    struct value right = eval(scope, arg(expr, 1));
    if (value_is_null(left) || value_is_null(right)) {
        return value_null();
    }
    int order = value_compare(left, right);
    switch (expr->op) {
    case OP_EQUAL: return value_bool(order == 0);
    case OP_DIFFERENT: return value_bool(order != 0);
    case OP_LESS: return value_bool(order < 0);
    case OP_LESS_EQUAL: return value_bool(order <= 0);
    case OP_MORE: return value_bool(order > 0);
    case OP_MORE_EQUAL: return value_bool(order >= 0);
    case OP_LIKE: return eval_like(scope, expr, left, right);
    case OP_JOIN_TEXT: return joined_text(scope, left, right);
    default: return arithmetic(scope, expr->op, left, right);
    }
}

static struct value eval_unary(const struct scope *scope, const struct expr *expr)
{
    struct value value = eval(scope, arg(expr, 0));
    if (value_is_null(value)) {
        return value;
    }
    if (expr->op == OP_NOT) {
        return value_bool(!value_is_true(value));
    }
    return arithmetic(scope, OP_SUBTRACT, value_int(0), value);
}

static struct value eval_call(const struct scope *scope, const struct expr *expr)
{
    struct value args[16];
    for (size_t i = 0; i < expr->args.count; i++) {
        args[i] = eval(scope, arg(expr, i));
        if (value_is_null(args[i]) && !expr->function->nulls) {
            return value_null();
        }
    }
    return expr->function->body(scope->session, args, expr->args.count);
}

static struct value eval_case(const struct scope *scope, const struct expr *expr)
{
    size_t pairs = (expr->args.count - (expr->has_else ? 1 : 0)) / 2;
    for (size_t i = 0; i < pairs; i++) {
        if (value_is_true(eval(scope, arg(expr, i * 2)))) {
            return eval(scope, arg(expr, i * 2 + 1));
        }
    }
    return expr->has_else ? eval(scope, arg(expr, expr->args.count - 1)) : value_null();
}

static struct value eval_in(const struct scope *scope, const struct expr *expr)
{
    struct value left = eval(scope, arg(expr, 0));
    if (value_is_null(left)) {
        return left;
    }
    bool unknown = false;
    for (size_t i = 1; i < expr->args.count; i++) {
        struct value one = eval(scope, arg(expr, i));
        if (value_is_null(one)) {
            unknown = true;
        } else if (value_equal(left, one)) {
            return value_bool(!expr->negated);
        }
    }
    return unknown ? value_null() : value_bool(expr->negated);
}

static struct value eval_between(const struct scope *scope, const struct expr *expr)
{
    struct value value = eval(scope, arg(expr, 0));
    struct value low = eval(scope, arg(expr, 1));
    struct value high = eval(scope, arg(expr, 2));
    if (value_is_null(value) || value_is_null(low) || value_is_null(high)) {
        return value_null();
    }
    bool inside = value_compare(value, low) >= 0 && value_compare(value, high) <= 0;
    return value_bool(inside != expr->negated);
}

struct value eval(const struct scope *scope, const struct expr *expr)
{
    switch (expr->kind) {
    case EXPR_LITERAL: return expr->value;
    case EXPR_COLUMN: return scope->cells[expr->slot];
    case EXPR_AGGREGATE: return scope->aggregates[expr->slot];
    case EXPR_UNARY: return eval_unary(scope, expr);
    case EXPR_BINARY: return eval_binary(scope, expr);
    case EXPR_CALL: return eval_call(scope, expr);
    case EXPR_CASE: return eval_case(scope, expr);
    case EXPR_IN: return eval_in(scope, expr);
    case EXPR_BETWEEN: return eval_between(scope, expr);
    case EXPR_IS_NULL:
        return value_bool(value_is_null(eval(scope, arg(expr, 0))) != expr->negated);
    }
    return value_null();
}

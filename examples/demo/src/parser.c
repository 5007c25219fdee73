/* Tokens to a query, by recursive descent with one level of precedence per function. */
#include "sift.h"

#include <string.h>
#include <strings.h>

enum { MOST_DEPTH = 200 };

struct parser {
    struct session *session;
    struct list tokens;
    size_t at;
    size_t depth;
};

static struct expr *parse_expr(struct parser *parser);

static const struct token *peek(const struct parser *parser)
{
    return list_at(&parser->tokens, parser->at);
}

static const struct token *peek_after(const struct parser *parser)
{
    size_t next = parser->at + 1 < parser->tokens.count ? parser->at + 1 : parser->at;
    return list_at(&parser->tokens, next);
}

static const struct token *take(struct parser *parser)
{
    const struct token *token = peek(parser);
    if (token->kind != TOKEN_END) {
        parser->at += 1;
    }
    return token;
}

static bool is(const struct token *token, enum token_kind kind, const char *text)
{
    return token->kind == kind && strcmp(token->text, text) == 0;
}

static bool accept(struct parser *parser, enum token_kind kind, const char *text)
{
    bool matches = is(peek(parser), kind, text);
    if (matches) {
        take(parser);
    }
    return matches;
}

static bool keyword(struct parser *parser, const char *text)
{
    return accept(parser, TOKEN_KEYWORD, text);
}

static bool symbol(struct parser *parser, const char *text)
{
    return accept(parser, TOKEN_SYMBOL, text);
}

static _Noreturn void unexpected(struct parser *parser, const char *wanted)
{
    const struct token *token = peek(parser);
    fail(parser->session, "expected %s, found `%s` at byte %zu", wanted, token->text,
         token->position);
}

static void expect_keyword(struct parser *parser, const char *text)
{
    if (!keyword(parser, text)) {
        unexpected(parser, text);
    }
}

static void expect_symbol(struct parser *parser, const char *text)
{
    if (!symbol(parser, text)) {
        unexpected(parser, text);
    }
}

static const char *expect_name(struct parser *parser, const char *what)
{
    if (peek(parser)->kind != TOKEN_NAME) {
        unexpected(parser, what);
    }
    return take(parser)->text;
}

static struct expr *new_expr(struct parser *parser, enum expr_kind kind)
{
    struct expr *expr = arena_take(&parser->session->arena, sizeof *expr);
    expr->kind = kind;
    expr->position = peek(parser)->position;
    list_init(&expr->args, sizeof(struct expr *));
    return expr;
}

static void add_arg(struct parser *parser, struct expr *expr, struct expr *arg)
{
    *(struct expr **)list_add(&parser->session->arena, &expr->args) = arg;
}

static struct expr *binary(struct parser *parser, enum operator op, struct expr *left,
                           struct expr *right)
{
    struct expr *expr = new_expr(parser, EXPR_BINARY);
    expr->op = op;
    add_arg(parser, expr, left);
    add_arg(parser, expr, right);
    return expr;
}

static struct expr *literal(struct parser *parser, struct value value)
{
    struct expr *expr = new_expr(parser, EXPR_LITERAL);
    expr->value = value;
    return expr;
}

static bool aggregate_named(const char *name, enum aggregate *aggregate)
{
    static const struct { const char *name; enum aggregate aggregate; } known[] = {
        { "count", AGG_COUNT }, { "sum", AGG_SUM }, { "avg", AGG_AVG }, { "min", AGG_MIN },
        { "max", AGG_MAX }, { "joined", AGG_JOINED }
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcasecmp(known[i].name, name) == 0) {
            *aggregate = known[i].aggregate;
            return true;
        }
    }
    return false;
}

static void parse_args(struct parser *parser, struct expr *expr)
{
    if (symbol(parser, ")")) {
        return;
    }
    do {
        add_arg(parser, expr, parse_expr(parser));
    } while (symbol(parser, ","));
    expect_symbol(parser, ")");
}

static struct expr *parse_aggregate(struct parser *parser, enum aggregate aggregate,
                                    const char *name)
{
    struct expr *expr = new_expr(parser, EXPR_AGGREGATE);
    expr->aggregate = aggregate;
    expr->name = name;
    if (aggregate == AGG_COUNT && symbol(parser, "*")) {
        expr->star = true;
        expect_symbol(parser, ")");
        return expr;
    }
    expr->distinct = keyword(parser, "DISTINCT");
    parse_args(parser, expr);
    if (expr->args.count != 1) {
        fail(parser->session, "%s() takes one argument", name);
    }
    return expr;
}

static struct expr *parse_call(struct parser *parser, const char *name)
{
    enum aggregate aggregate;
    if (aggregate_named(name, &aggregate)) {
        return parse_aggregate(parser, aggregate, name);
    }
    struct expr *expr = new_expr(parser, EXPR_CALL);
    expr->name = name;
    expr->function = function_find(name);
    if (expr->function == NULL) {
        fail(parser->session, "no function `%s`", name);
    }
    parse_args(parser, expr);
    size_t count = expr->args.count;
    if (count < expr->function->least || count > expr->function->most) {
        fail(parser->session, "%s() does not take %zu arguments", name, count);
    }
    return expr;
}

static struct expr *parse_name(struct parser *parser)
{
    const char *name = take(parser)->text;
    if (symbol(parser, "(")) {
        return parse_call(parser, name);
    }
    struct expr *expr = new_expr(parser, EXPR_COLUMN);
    expr->name = name;
    if (symbol(parser, ".")) {
        expr->qualifier = name;
        expr->name = expect_name(parser, "a column");
    }
    return expr;
}

/* CASE WHEN a THEN b ... [ELSE c] END: the arguments are a, b, ..., and c when there is one. */
static struct expr *parse_case(struct parser *parser)
{
    struct expr *expr = new_expr(parser, EXPR_CASE);
    while (keyword(parser, "WHEN")) {
        add_arg(parser, expr, parse_expr(parser));
        expect_keyword(parser, "THEN");
        add_arg(parser, expr, parse_expr(parser));
    }
    if (expr->args.count == 0) {
        unexpected(parser, "WHEN");
    }
    if (keyword(parser, "ELSE")) {
        add_arg(parser, expr, parse_expr(parser));
        expr->has_else = true;
    }
    expect_keyword(parser, "END");
    return expr;
}

static struct expr *parse_primary(struct parser *parser)
{
    const struct token *token = peek(parser);
    switch (token->kind) {
    case TOKEN_INT:
    case TOKEN_REAL:
    case TOKEN_STRING:
        take(parser);
        return literal(parser, token->value);
    case TOKEN_NAME:
        return parse_name(parser);
    default:
        break;
    }
    if (keyword(parser, "NULL")) {
        return literal(parser, value_null());
    }
    if (keyword(parser, "TRUE")) {
        return literal(parser, value_bool(true));
    }
    if (keyword(parser, "FALSE")) {
        return literal(parser, value_bool(false));
    }
    if (keyword(parser, "CASE")) {
        return parse_case(parser);
    }
    if (symbol(parser, "(")) {
        struct expr *expr = parse_expr(parser);
        expect_symbol(parser, ")");
        return expr;
    }
    unexpected(parser, "an expression");
}

static struct expr *parse_unary(struct parser *parser)
{
    if (symbol(parser, "+")) {
        return parse_unary(parser);
    }
    if (symbol(parser, "-")) {
        struct expr *expr = new_expr(parser, EXPR_UNARY);
        expr->op = OP_NEGATE;
        add_arg(parser, expr, parse_unary(parser));
        return expr;
    }
    return parse_primary(parser);
}

static struct expr *parse_product(struct parser *parser)
{
    struct expr *left = parse_unary(parser);
    for (;;) {
        if (symbol(parser, "*")) {
            left = binary(parser, OP_MULTIPLY, left, parse_unary(parser));
        } else if (symbol(parser, "/")) {
            left = binary(parser, OP_DIVIDE, left, parse_unary(parser));
        } else if (symbol(parser, "%")) {
            left = binary(parser, OP_REMAINDER, left, parse_unary(parser));
        } else {
            return left;
        }
    }
}

static struct expr *parse_sum(struct parser *parser)
{
    struct expr *left = parse_product(parser);
    for (;;) {
        if (symbol(parser, "+")) {
            left = binary(parser, OP_ADD, left, parse_product(parser));
        } else if (symbol(parser, "-")) {
            left = binary(parser, OP_SUBTRACT, left, parse_product(parser));
        } else if (symbol(parser, "||")) {
            left = binary(parser, OP_JOIN_TEXT, left, parse_product(parser));
        } else {
            return left;
        }
    }
}

static struct expr *parse_in(struct parser *parser, struct expr *left, bool negated)
{
    struct expr *expr = new_expr(parser, EXPR_IN);
    expr->negated = negated;
    add_arg(parser, expr, left);
    expect_symbol(parser, "(");
    parse_args(parser, expr);
    return expr;
}

static struct expr *parse_between(struct parser *parser, struct expr *left, bool negated)
{
    struct expr *expr = new_expr(parser, EXPR_BETWEEN);
    expr->negated = negated;
    add_arg(parser, expr, left);
    add_arg(parser, expr, parse_sum(parser));
    expect_keyword(parser, "AND");
    add_arg(parser, expr, parse_sum(parser));
    return expr;
}

static struct expr *parse_predicate(struct parser *parser, struct expr *left)
{
    bool negated = keyword(parser, "NOT");
    if (keyword(parser, "LIKE")) {
        struct expr *expr = binary(parser, OP_LIKE, left, parse_sum(parser));
        expr->negated = negated;
        return expr;
    }
    if (keyword(parser, "IN")) {
        return parse_in(parser, left, negated);
    }
    if (keyword(parser, "BETWEEN")) {
        return parse_between(parser, left, negated);
    }
    if (negated) {
        unexpected(parser, "LIKE, IN or BETWEEN");
    }
    if (keyword(parser, "IS")) {
        struct expr *expr = new_expr(parser, EXPR_IS_NULL);
        expr->negated = keyword(parser, "NOT");
        expect_keyword(parser, "NULL");
        add_arg(parser, expr, left);
        return expr;
    }
    return left;
}

static struct expr *parse_comparison(struct parser *parser)
{
    static const struct { const char *symbol; enum operator op; } known[] = {
        { "=", OP_EQUAL }, { "<>", OP_DIFFERENT }, { "!=", OP_DIFFERENT },
        { "<=", OP_LESS_EQUAL }, { ">=", OP_MORE_EQUAL }, { "<", OP_LESS }, { ">", OP_MORE }
    };
    struct expr *left = parse_sum(parser);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (symbol(parser, known[i].symbol)) {
            return binary(parser, known[i].op, left, parse_sum(parser));
        }
    }
    return parse_predicate(parser, left);
}

static struct expr *parse_not(struct parser *parser)
{
    if (!keyword(parser, "NOT")) {
        return parse_comparison(parser);
    }
    struct expr *expr = new_expr(parser, EXPR_UNARY);
    expr->op = OP_NOT;
    add_arg(parser, expr, parse_not(parser));
    return expr;
}

static struct expr *parse_and(struct parser *parser)
{
    struct expr *left = parse_not(parser);
    while (keyword(parser, "AND")) {
        left = binary(parser, OP_AND, left, parse_not(parser));
    }
    return left;
}

static struct expr *parse_expr(struct parser *parser)
{
    if (++parser->depth > MOST_DEPTH) {
        fail(parser->session, "the expression is nested too deeply");
    }
    struct expr *left = parse_and(parser);
    while (keyword(parser, "OR")) {
        left = binary(parser, OP_OR, left, parse_and(parser));
    }
    parser->depth -= 1;
    return left;
}

static void parse_item(struct parser *parser, struct query *query)
{
    struct item *item = list_add(&parser->session->arena, &query->items);
    if (symbol(parser, "*")) {
        return;
    }
    if (peek(parser)->kind == TOKEN_NAME && is(peek_after(parser), TOKEN_SYMBOL, ".")) {
        size_t back = parser->at;
        const char *name = take(parser)->text;
        take(parser);
        if (symbol(parser, "*")) {
            item->qualifier = name;
            return;
        }
        parser->at = back;
    }
    item->expr = parse_expr(parser);
    if (keyword(parser, "AS")) {
        item->label = expect_name(parser, "a label");
    } else if (peek(parser)->kind == TOKEN_NAME) {
        item->label = take(parser)->text;
    }
}

static struct source *parse_source(struct parser *parser, struct query *query)
{
    struct source *source = list_add(&parser->session->arena, &query->sources);
    source->table = expect_name(parser, "a table");
    source->alias = source->table;
    if (keyword(parser, "AS")) {
        source->alias = expect_name(parser, "an alias");
    } else if (peek(parser)->kind == TOKEN_NAME) {
        source->alias = take(parser)->text;
    }
    return source;
}

static void parse_joins(struct parser *parser, struct query *query)
{
    for (;;) {
        bool outer = keyword(parser, "LEFT");
        if (outer) {
            keyword(parser, "OUTER");
            expect_keyword(parser, "JOIN");
        } else if (keyword(parser, "INNER")) {
            expect_keyword(parser, "JOIN");
        } else if (!keyword(parser, "JOIN")) {
            return;
        }
        struct source *source = parse_source(parser, query);
        source->outer = outer;
        expect_keyword(parser, "ON");
        struct expr *on = parse_expr(parser);
        source->on = on;
    }
}

static void parse_group(struct parser *parser, struct query *query)
{
    if (!keyword(parser, "GROUP")) {
        return;
    }
    expect_keyword(parser, "BY");
    do {
        struct expr *expr = parse_expr(parser);
        *(struct expr **)list_add(&parser->session->arena, &query->group_by) = expr;
    } while (symbol(parser, ","));
}

static void parse_order(struct parser *parser, struct query *query)
{
    if (!keyword(parser, "ORDER")) {
        return;
    }
    expect_keyword(parser, "BY");
    do {
        struct expr *expr = parse_expr(parser);
        struct order *order = list_add(&parser->session->arena, &query->order_by);
        order->expr = expr;
        order->descending = keyword(parser, "DESC");
        if (!order->descending) {
            keyword(parser, "ASC");
        }
    } while (symbol(parser, ","));
}

static int64_t parse_count(struct parser *parser)
{
    if (peek(parser)->kind != TOKEN_INT) {
        unexpected(parser, "a number of rows");
    }
    return take(parser)->value.as.integer;
}

struct query *parse(struct session *session, const char *text)
{
    struct parser parser = { .session = session };
    lex(session, text, &parser.tokens);
    struct query *query = arena_take(&session->arena, sizeof *query);
    list_init(&query->items, sizeof(struct item));
    list_init(&query->sources, sizeof(struct source));
    list_init(&query->group_by, sizeof(struct expr *));
    list_init(&query->order_by, sizeof(struct order));
    list_init(&query->aggregates, sizeof(struct expr *));
    query->limit = -1;

    expect_keyword(&parser, "SELECT");
    query->distinct = keyword(&parser, "DISTINCT");
    if (!query->distinct) {
        keyword(&parser, "ALL");
    }
    do {
        parse_item(&parser, query);
    } while (symbol(&parser, ","));
    if (keyword(&parser, "FROM")) {
        parse_source(&parser, query);
        parse_joins(&parser, query);
    }
    if (keyword(&parser, "WHERE")) {
        query->where = parse_expr(&parser);
    }
    parse_group(&parser, query);
    if (keyword(&parser, "HAVING")) {
        query->having = parse_expr(&parser);
    }
    parse_order(&parser, query);
    if (keyword(&parser, "LIMIT")) {
        query->limit = parse_count(&parser);
    }
    if (keyword(&parser, "OFFSET")) {
        query->offset = parse_count(&parser);
    }
    symbol(&parser, ";");
    if (peek(&parser)->kind != TOKEN_END) {
        unexpected(&parser, "the end of the query");
    }
    return query;
}

/* Names to positions: stars are spelled out, columns get slots, aggregates are collected. */
#include "sift.h"

#include <string.h>
#include <strings.h>

struct binder {
    struct session *session;
    struct query *query;
    bool in_aggregate;
    bool allow_aggregates;
    size_t n_visible;        /* sources that a join condition may name */
};

static struct source *source_at(const struct query *query, size_t index)
{
    return list_at(&query->sources, index);
}

static bool same_name(const char *left, const char *right)
{
    return left == right || (left != NULL && right != NULL && strcasecmp(left, right) == 0);
}

bool expr_equal(const struct expr *left, const struct expr *right)
{
    if (left == right) {
        return true;
    }
    if (left->kind != right->kind || left->op != right->op || left->star != right->star ||
        left->aggregate != right->aggregate || left->negated != right->negated ||
        left->distinct != right->distinct || left->has_else != right->has_else ||
        left->function != right->function || left->args.count != right->args.count) {
        return false;
    }
    if (left->kind == EXPR_COLUMN && left->slot != right->slot) {
        return false;
    }
    if (left->kind == EXPR_LITERAL &&
        (left->value.kind != right->value.kind || !value_equal(left->value, right->value))) {
        return false;
    }
    for (size_t i = 0; i < left->args.count; i++) {
        if (!expr_equal(*(struct expr **)list_at(&left->args, i),
                        *(struct expr **)list_at(&right->args, i))) {
            return false;
        }
    }
    return true;
}

static void load_sources(struct binder *binder)
{
    struct query *query = binder->query;
    for (size_t i = 0; i < query->sources.count; i++) {
        struct source *source = source_at(query, i);
        source->data = table_find(binder->session, source->table);
        source->first_slot = query->n_slots;
        query->n_slots += source->data->n_columns;
        for (size_t k = 0; k < i; k++) {
            if (same_name(source_at(query, k)->alias, source->alias)) {
                fail(binder->session, "two tables are called `%s`; give one an alias",
                     source->alias);
            }
        }
    }
}

static void bind_column(struct binder *binder, struct expr *expr)
{
    size_t found = 0;
    for (size_t i = 0; i < binder->n_visible; i++) {
        const struct source *source = source_at(binder->query, i);
        if (expr->qualifier != NULL && !same_name(expr->qualifier, source->alias)) {
            continue;
        }
        for (size_t k = 0; k < source->data->n_columns; k++) {
            if (same_name(source->data->columns[k], expr->name)) {
                expr->slot = source->first_slot + k;
                found += 1;
            }
        }
    }
    const char *dot = expr->qualifier != NULL ? "." : "";
    const char *qualifier = expr->qualifier != NULL ? expr->qualifier : "";
    if (found == 0) {
        fail(binder->session, "no column `%s%s%s`", qualifier, dot, expr->name);
    }
    if (found > 1) {
        fail(binder->session, "`%s%s%s` could be any of %zu columns; say which table", qualifier,
             dot, expr->name, found);
    }
}

static void bind_expr(struct binder *binder, struct expr *expr);

static void bind_aggregate(struct binder *binder, struct expr *expr)
{
    if (!binder->allow_aggregates || binder->in_aggregate) {
        fail(binder->session, "%s() is not possible here", expr->name);
    }
    struct list *known = &binder->query->aggregates;
    binder->in_aggregate = true;
    for (size_t i = 0; i < expr->args.count; i++) {
        bind_expr(binder, *(struct expr **)list_at(&expr->args, i));
    }
    binder->in_aggregate = false;
    for (size_t i = 0; i < known->count; i++) {
        if (expr_equal(*(struct expr **)list_at(known, i), expr)) {
            expr->slot = i;
            return;
        }
    }
    expr->slot = known->count;
    *(struct expr **)list_add(&binder->session->arena, known) = expr;
}

static void bind_expr(struct binder *binder, struct expr *expr)
{
    if (expr->kind == EXPR_COLUMN) {
        bind_column(binder, expr);
        return;
    }
    if (expr->kind == EXPR_AGGREGATE) {
        bind_aggregate(binder, expr);
        return;
    }
    for (size_t i = 0; i < expr->args.count; i++) {
        bind_expr(binder, *(struct expr **)list_at(&expr->args, i));
    }
}

/* ORDER BY and GROUP BY may name an item by its label or by its place, counted from one. */
static struct expr *named_item(struct binder *binder, struct expr *expr)
{
    struct query *query = binder->query;
    if (expr->kind == EXPR_LITERAL && expr->value.kind == KIND_INT) {
        int64_t place = expr->value.as.integer;
        if (place < 1 || (size_t)place > query->items.count) {
            fail(binder->session, "there is no item number %lld", (long long)place);
        }
        return ((struct item *)list_at(&query->items, (size_t)place - 1))->expr;
    }
    if (expr->kind == EXPR_COLUMN && expr->qualifier == NULL) {
        for (size_t i = 0; i < query->items.count; i++) {
            const struct item *item = list_at(&query->items, i);
            if (same_name(item->label, expr->name)) {
                return item->expr;
            }
        }
    }
    return NULL;
}

static void add_star(struct binder *binder, struct list *items, const struct item *star)
{
    bool found = false;
    for (size_t i = 0; i < binder->query->sources.count; i++) {
        const struct source *source = source_at(binder->query, i);
        if (star->qualifier != NULL && !same_name(star->qualifier, source->alias)) {
            continue;
        }
        found = true;
        for (size_t k = 0; k < source->data->n_columns; k++) {
            struct expr *expr = arena_take(&binder->session->arena, sizeof *expr);
            expr->kind = EXPR_COLUMN;
            expr->name = source->data->columns[k];
            expr->qualifier = source->alias;
            expr->slot = source->first_slot + k;
            list_init(&expr->args, sizeof(struct expr *));
            struct item *item = list_add(&binder->session->arena, items);
            item->expr = expr;
            item->label = expr->name;
        }
    }
    if (!found) {
        fail(binder->session, "`*` needs a table to stand for");
    }
}

static void bind_items(struct binder *binder)
{
    struct query *query = binder->query;
    struct list items;
    list_init(&items, sizeof(struct item));
    for (size_t i = 0; i < query->items.count; i++) {
        struct item item = *(struct item *)list_at(&query->items, i);
        if (item.expr == NULL) {
            add_star(binder, &items, &item);
            continue;
        }
        bind_expr(binder, item.expr);
        *(struct item *)list_add(&binder->session->arena, &items) = item;
    }
    query->items = items;
}

/* In a grouped query every column must be part of a group's key or inside an aggregate. */
static void check_grouped(struct binder *binder, const struct expr *expr)
{
    const struct list *keys = &binder->query->group_by;
    for (size_t i = 0; i < keys->count; i++) {
        if (expr_equal(*(struct expr **)list_at(keys, i), expr)) {
            return;
        }
    }
    if (expr->kind == EXPR_AGGREGATE) {
        return;
    }
    if (expr->kind == EXPR_COLUMN) {
        fail(binder->session, "`%s` is neither grouped nor inside an aggregate", expr->name);
    }
    for (size_t i = 0; i < expr->args.count; i++) {
        check_grouped(binder, *(struct expr **)list_at(&expr->args, i));
    }
}

static void check_groups(struct binder *binder)
{
    struct query *query = binder->query;
    if (query->group_by.count == 0 && query->aggregates.count == 0 && query->having == NULL) {
        return;
    }
    for (size_t i = 0; i < query->items.count; i++) {
        check_grouped(binder, ((struct item *)list_at(&query->items, i))->expr);
    }
    if (query->having != NULL) {
        check_grouped(binder, query->having);
    }
    for (size_t i = 0; i < query->order_by.count; i++) {
        check_grouped(binder, ((struct order *)list_at(&query->order_by, i))->expr);
    }
}

void bind_query(struct session *session, struct query *query)
{
    struct binder binder = { .session = session, .query = query };
    load_sources(&binder);
    for (size_t i = 0; i < query->sources.count; i++) {
        binder.n_visible = i + 1;
        if (source_at(query, i)->on != NULL) {
            bind_expr(&binder, source_at(query, i)->on);
        }
    }
    binder.n_visible = query->sources.count;
    if (query->where != NULL) {
        bind_expr(&binder, query->where);
    }
    binder.allow_aggregates = true;
    bind_items(&binder);
    for (size_t i = 0; i < query->group_by.count; i++) {
        struct expr **key = list_at(&query->group_by, i);
        struct expr *item = named_item(&binder, *key);
        binder.allow_aggregates = false;
        *key = item != NULL ? item : *key;
        bind_expr(&binder, *key);
    }
    binder.allow_aggregates = true;
    if (query->having != NULL) {
        bind_expr(&binder, query->having);
    }
    for (size_t i = 0; i < query->order_by.count; i++) {
        struct order *order = list_at(&query->order_by, i);
        struct expr *item = named_item(&binder, order->expr);
        if (item != NULL) {
            order->expr = item;
        } else {
            bind_expr(&binder, order->expr);
        }
    }
    check_groups(&binder);
}

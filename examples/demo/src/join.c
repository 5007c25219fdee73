/*
 * Tables to rows of one wide table.
 *
 * A condition that holds `this column = that column` between the new table and the earlier
 * ones is answered from a hash table of the new one; any other condition looks at all pairs.
 */
#include "sift.h"

#include <string.h>

struct bucket {
    size_t row;              /* in the table */
    size_t next;             /* in buckets, plus one; 0 ends the chain */
};

struct index {
    size_t n_heads;
    size_t *heads;           /* plus one; 0 is empty */
    struct bucket *buckets;
    size_t column;           /* in the table */
};

struct equality {
    bool found;
    size_t outer_slot;       /* in the rows so far */
    size_t column;           /* in the new table */
};

static struct expr *arg(const struct expr *expr, size_t index)
{
    return *(struct expr **)list_at(&expr->args, index);
}

static bool is_inner(const struct source *source, size_t slot)
{
    return slot >= source->first_slot && slot < source->first_slot + source->data->n_columns;
}

static struct equality find_equality(const struct source *source, const struct expr *on)
{
    struct equality none = { .found = false };
    if (on->kind != EXPR_BINARY) {
        return none;
    }
    if (on->op == OP_AND) {
        struct equality left = find_equality(source, arg(on, 0));
        return left.found ? left : find_equality(source, arg(on, 1));
    }
    const struct expr *left = arg(on, 0);
    const struct expr *right = arg(on, 1);
    if (on->op != OP_EQUAL || left->kind != EXPR_COLUMN || right->kind != EXPR_COLUMN) {
        return none;
    }
    if (is_inner(source, left->slot) == is_inner(source, right->slot)) {
        return none;
    }
    const struct expr *inner = is_inner(source, left->slot) ? left : right;
    const struct expr *outer = inner == left ? right : left;
    return (struct equality){
        .found = true, .outer_slot = outer->slot, .column = inner->slot - source->first_slot
    };
}

static const struct value *table_row(const struct table *table, size_t row)
{
    return *(struct value **)list_at(&table->rows, row);
}

static void build_index(struct session *session, struct index *index, const struct table *table,
                        size_t column)
{
    index->column = column;
    index->n_heads = 64;
    while (index->n_heads < table->rows.count * 2) {
        index->n_heads *= 2;
    }
    index->heads = arena_take(&session->arena, index->n_heads * sizeof *index->heads);
    index->buckets = arena_take(&session->arena, table->rows.count * sizeof *index->buckets);
    /* From the last row to the first, so that a chain lists its rows in the file's order. */
    for (size_t row = table->rows.count; row-- > 0;) {
        uint64_t hash = value_hash(table_row(table, row)[column], 0);
        size_t *head = &index->heads[hash & (index->n_heads - 1)];
        index->buckets[row] = (struct bucket){ .row = row, .next = *head };
        *head = row + 1;
    }
}

struct joiner {
    struct session *session;
    struct query *query;
    const struct source *source;
    struct list *out;        /* struct value * */
    struct value *draft;     /* the wide row being tried */
};

static void keep(struct joiner *joiner)
{
    size_t size = joiner->query->n_slots * sizeof(struct value);
    struct value *copy = arena_take(&joiner->session->arena, size);
    memcpy(copy, joiner->draft, size);
    *(struct value **)list_add(&joiner->session->arena, joiner->out) = copy;
}

static bool try_row(struct joiner *joiner, size_t row)
{
    const struct source *source = joiner->source;
    memcpy(joiner->draft + source->first_slot, table_row(source->data, row),
           source->data->n_columns * sizeof(struct value));
    if (source->on != NULL) {
        struct scope scope = { .session = joiner->session, .cells = joiner->draft };
        if (!value_is_true(eval(&scope, source->on))) {
            return false;
        }
    }
    keep(joiner);
    return true;
}

static bool match_all(struct joiner *joiner)
{
    bool any = false;
    for (size_t row = 0; row < joiner->source->data->rows.count; row++) {
        any = try_row(joiner, row) || any;
    }
    return any;
}

static bool match_indexed(struct joiner *joiner, const struct index *index, struct value wanted)
{
    bool any = false;
    if (value_is_null(wanted)) {
        return any;
    }
    size_t at = index->heads[value_hash(wanted, 0) & (index->n_heads - 1)];
    while (at != 0) {
        const struct bucket *bucket = &index->buckets[at - 1];
        any = try_row(joiner, bucket->row) || any;
        at = bucket->next;
    }
    return any;
}

static void add_nulls(struct joiner *joiner)
{
    const struct source *source = joiner->source;
    for (size_t i = 0; i < source->data->n_columns; i++) {
        joiner->draft[source->first_slot + i] = value_null();
    }
    keep(joiner);
}

static void join_one(struct joiner *joiner, const struct list *before)
{
    const struct source *source = joiner->source;
    struct equality equality = { .found = false };
    struct index index;
    if (source->on != NULL) {
        equality = find_equality(source, source->on);
    }
    if (equality.found) {
        build_index(joiner->session, &index, source->data, equality.column);
    }
    for (size_t i = 0; i < before->count; i++) {
        const struct value *row = *(struct value **)list_at(before, i);
        memcpy(joiner->draft, row, source->first_slot * sizeof *row);
        bool any = equality.found
                       ? match_indexed(joiner, &index, row[equality.outer_slot])
                       : match_all(joiner);
        if (!any && source->outer) {
            add_nulls(joiner);
        }
    }
}

/* Without any table there is one row with no cells: `SELECT 1 + 1`. */
void join_sources(struct session *session, struct query *query, struct list *rows)
{
    size_t size = (query->n_slots + 1) * sizeof(struct value);
    struct list before;
    list_init(&before, sizeof(struct value *));
    *(struct value **)list_add(&session->arena, &before) = arena_take(&session->arena, size);
    for (size_t i = 0; i < query->sources.count; i++) {
        struct list after;
        list_init(&after, sizeof(struct value *));
        struct joiner joiner = {
            .session = session, .query = query, .source = list_at(&query->sources, i),
            .out = &after, .draft = arena_take(&session->arena, size)
        };
        join_one(&joiner, &before);
        before = after;
    }
    *rows = before;
}

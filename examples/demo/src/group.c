/* Rows to groups: one row per distinct key, with the aggregates over its members. */
#include "sift.h"

#include <string.h>

/* A set of rows of values, open addressing; grows at two thirds. */
struct key_set {
    size_t width;
    size_t n_slots;
    size_t *slots;           /* entry plus one */
    struct list keys;        /* struct value * */
    struct list hashes;      /* uint64_t */
};

struct state {
    int64_t count;
    int64_t int_sum;
    double real_sum;
    bool reals;
    struct value best;
    struct text text;
    struct key_set *seen;    /* of a DISTINCT aggregate */
};

struct group {
    const struct value *cells;
    struct state *states;
};

static void set_init(struct session *session, struct key_set *set, size_t width)
{
    set->width = width;
    set->n_slots = 64;
    set->slots = arena_take(&session->arena, set->n_slots * sizeof *set->slots);
    list_init(&set->keys, sizeof(struct value *));
    list_init(&set->hashes, sizeof(uint64_t));
}

static bool same_key(const struct value *left, const struct value *right, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        if (!value_equal(left[i], right[i])) {
            return false;
        }
    }
    return true;
}

static void set_grow(struct session *session, struct key_set *set)
{
    set->n_slots *= 2;
    set->slots = arena_take(&session->arena, set->n_slots * sizeof *set->slots);
    for (size_t i = 0; i < set->hashes.count; i++) {
        size_t at = *(uint64_t *)list_at(&set->hashes, i) & (set->n_slots - 1);
        while (set->slots[at] != 0) {
            at = (at + 1) & (set->n_slots - 1);
        }
        set->slots[at] = i + 1;
    }
}

/* Returns the place of the key, which is copied when it is new. */
static size_t set_place(struct session *session, struct key_set *set, const struct value *key,
                        bool *added)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < set->width; i++) {
        hash = value_hash(key[i], hash * 31 + i);
    }
    size_t at = hash & (set->n_slots - 1);
    while (set->slots[at] != 0) {
        size_t entry = set->slots[at] - 1;
        if (*(uint64_t *)list_at(&set->hashes, entry) == hash &&
            same_key(*(struct value **)list_at(&set->keys, entry), key, set->width)) {
            *added = false;
            return entry;
        }
        at = (at + 1) & (set->n_slots - 1);
    }
    size_t entry = set->keys.count;
    struct value *copy = arena_take(&session->arena, set->width * sizeof *copy);
    memcpy(copy, key, set->width * sizeof *copy);
    *(struct value **)list_add(&session->arena, &set->keys) = copy;
    *(uint64_t *)list_add(&session->arena, &set->hashes) = hash;
    set->slots[at] = entry + 1;
    if (set->keys.count * 3 > set->n_slots * 2) {
        set_grow(session, set);
    }
    *added = true;
    return entry;
}

static bool is_new(struct session *session, struct state *state, struct value value)
{
    if (state->seen == NULL) {
        state->seen = arena_take(&session->arena, sizeof *state->seen);
        set_init(session, state->seen, 1);
    }
    bool added;
    set_place(session, state->seen, &value, &added);
    return added;
}

static void add_number(struct session *session, struct state *state, struct value value)
{
    if (!value_is_number(value)) {
        fail(session, "cannot sum up %s", kind_name(value.kind));
    }
    if (value.kind == KIND_REAL) {
        state->reals = true;
    } else if (!state->reals) {
        int64_t integer = value.kind == KIND_INT ? value.as.integer : value.as.truth;
        state->reals = __builtin_add_overflow(state->int_sum, integer, &state->int_sum);
    }
    state->real_sum += value_as_real(value);
}

static void accumulate(struct session *session, struct state *state, const struct expr *expr,
                       const struct scope *scope)
{
    if (expr->star) {
        state->count += 1;
        return;
    }
    struct value value = eval(scope, *(struct expr **)list_at(&expr->args, 0));
    if (value_is_null(value) || (expr->distinct && !is_new(session, state, value))) {
        return;
    }
    state->count += 1;
    switch (expr->aggregate) {
    case AGG_COUNT:
        break;
    case AGG_SUM:
    case AGG_AVG:
        add_number(session, state, value);
        break;
    case AGG_MIN:
        if (state->count == 1 || value_compare(value, state->best) < 0) {
            state->best = value;
        }
        break;
    case AGG_MAX:
        if (state->count == 1 || value_compare(value, state->best) > 0) {
            state->best = value;
        }
        break;
    case AGG_JOINED:
        if (state->count == 1) {
            text_init(&state->text, &session->arena);
        } else {
            text_string(&state->text, ", ");
        }
        value_print(&state->text, value);
        break;
    }
}

static struct value outcome(struct state *state, const struct expr *expr)
{
    if (expr->aggregate == AGG_COUNT) {
        return value_int(state->count);
    }
    if (state->count == 0) {
        return value_null();
    }
    switch (expr->aggregate) {
    case AGG_SUM:
        return state->reals ? value_real(state->real_sum) : value_int(state->int_sum);
    case AGG_AVG:
        return value_real(state->real_sum / (double)state->count);
    case AGG_JOINED: {
        const char *bytes = text_end(&state->text);
        return value_text(bytes, state->text.length);
    }
    default:
        return state->best;
    }
}

static struct group *add_group(struct session *session, struct query *query,
                               struct list *groups, const struct value *cells)
{
    struct group *group = list_add(&session->arena, groups);
    group->cells = cells;
    size_t size = (query->aggregates.count + 1) * sizeof(struct state);
    group->states = arena_take(&session->arena, size);
    return group;
}

static void collect(struct session *session, struct query *query, const struct list *rows,
                    struct list *groups)
{
    size_t width = query->group_by.count;
    struct value *key = arena_take(&session->arena, (width + 1) * sizeof *key);
    struct key_set set;
    set_init(session, &set, width);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = list_at(rows, i);
        struct scope scope = { .session = session, .cells = row->cells };
        for (size_t k = 0; k < width; k++) {
            key[k] = eval(&scope, *(struct expr **)list_at(&query->group_by, k));
        }
        bool added;
        size_t place = set_place(session, &set, key, &added);
        struct group *group = added ? add_group(session, query, groups, row->cells)
                                    : list_at(groups, place);
        for (size_t k = 0; k < query->aggregates.count; k++) {
            accumulate(session, &group->states[k],
                       *(struct expr **)list_at(&query->aggregates, k), &scope);
        }
    }
}

/* A query with aggregates and no GROUP BY has exactly one group, also over no rows at all. */
void group_rows(struct session *session, struct query *query, const struct list *rows,
                struct list *out)
{
    struct list groups;
    list_init(&groups, sizeof(struct group));
    collect(session, query, rows, &groups);
    if (groups.count == 0 && query->group_by.count == 0) {
        size_t size = (query->n_slots + 1) * sizeof(struct value);
        add_group(session, query, &groups, arena_take(&session->arena, size));
    }
    list_init(out, sizeof(struct row));
    for (size_t i = 0; i < groups.count; i++) {
        struct group *group = list_at(&groups, i);
        size_t size = (query->aggregates.count + 1) * sizeof(struct value);
        struct value *aggregates = arena_take(&session->arena, size);
        for (size_t k = 0; k < query->aggregates.count; k++) {
            aggregates[k] = outcome(&group->states[k],
                                    *(struct expr **)list_at(&query->aggregates, k));
        }
        struct row *row = list_add(&session->arena, out);
        row->cells = group->cells;
        row->aggregates = aggregates;
    }
}

/* A bound query to its result. */
#include "sift.h"

#include <string.h>

/* A row of the result beside the values that it is ordered by. */
struct sortable {
    struct value *cells;
    struct value *keys;
};

static struct scope scope_of(struct session *session, const struct row *row)
{
    return (struct scope){
        .session = session, .cells = row->cells, .aggregates = row->aggregates
    };
}

static void filter(struct session *session, struct list *rows, const struct expr *condition)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct row row = *(struct row *)list_at(rows, i);
        struct scope scope = scope_of(session, &row);
        if (value_is_true(eval(&scope, condition))) {
            *(struct row *)list_at(rows, kept++) = row;
        }
    }
    rows->count = kept;
}

static void project(struct session *session, const struct query *query, const struct list *rows,
                    struct list *out)
{
    list_init(out, sizeof(struct sortable));
    for (size_t i = 0; i < rows->count; i++) {
        struct scope scope = scope_of(session, list_at(rows, i));
        struct sortable *sortable = list_add(&session->arena, out);
        size_t n_items = query->items.count;
        size_t n_keys = query->order_by.count;
        sortable->cells = arena_take(&session->arena, n_items * sizeof(struct value));
        sortable->keys = arena_take(&session->arena, (n_keys + 1) * sizeof(struct value));
        for (size_t k = 0; k < n_items; k++) {
            const struct item *item = list_at(&query->items, k);
            sortable->cells[k] = eval(&scope, item->expr);
        }
        for (size_t k = 0; k < n_keys; k++) {
            const struct order *order = list_at(&query->order_by, k);
            sortable->keys[k] = eval(&scope, order->expr);
        }
    }
}

static int compare_cells(const struct value *left, const struct value *right, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int order = value_compare(left[i], right[i]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int compare_keys(const struct query *query, const struct sortable *left,
                        const struct sortable *right)
{
    for (size_t i = 0; i < query->order_by.count; i++) {
        const struct order *order = list_at(&query->order_by, i);
        int result = value_compare(left->keys[i], right->keys[i]);
        if (result != 0) {
            return order->descending ? -result : result;
        }
    }
    return 0;
}

typedef int comparison(const struct query *query, const struct sortable *left,
                       const struct sortable *right);

static int compare_results(const struct query *query, const struct sortable *left,
                           const struct sortable *right)
{
    return compare_cells(left->cells, right->cells, query->items.count);
}

/* Merge sort: equal rows stay in the order in which they came. */
static void sort(const struct query *query, struct sortable *rows, struct sortable *spare,
                 size_t count, comparison *compare)
{
    if (count < 2) {
        return;
    }
    size_t half = count / 2;
    sort(query, rows, spare, half, compare);
    sort(query, rows + half, spare + half, count - half, compare);
    size_t left = 0;
    size_t right = half;
    for (size_t i = 0; i < count; i++) {
        bool from_left = right == count ||
                         (left < half && compare(query, &rows[left], &rows[right]) <= 0);
        spare[i] = from_left ? rows[left++] : rows[right++];
    }
    memcpy(rows, spare, count * sizeof *rows);
}

static void sort_list(struct session *session, const struct query *query, struct list *rows,
                      comparison *compare)
{
    size_t size = (rows->count + 1) * sizeof(struct sortable);
    struct sortable *spare = arena_take(&session->arena, size);
    sort(query, (struct sortable *)(void *)rows->items, spare, rows->count, compare);
}

static void drop_repeated(struct session *session, const struct query *query, struct list *rows)
{
    sort_list(session, query, rows, compare_results);
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct sortable row = *(struct sortable *)list_at(rows, i);
        const struct sortable *last = kept > 0 ? list_at(rows, kept - 1) : NULL;
        if (last == NULL || compare_results(query, last, &row) != 0) {
            *(struct sortable *)list_at(rows, kept++) = row;
        }
    }
    rows->count = kept;
}

static const char *label_of(struct session *session, const struct item *item)
{
    if (item->label != NULL) {
        return item->label;
    }
    struct text text;
    text_init(&text, &session->arena);
    expr_print(&text, item->expr);
    return text_end(&text);
}

static struct result *result_of(struct session *session, const struct query *query,
                                const struct list *rows)
{
    struct arena *arena = &session->arena;
    struct result *result = arena_take(arena, sizeof *result);
    result->n_columns = query->items.count;
    result->labels = arena_take(arena, result->n_columns * sizeof *result->labels);
    for (size_t i = 0; i < result->n_columns; i++) {
        result->labels[i] = label_of(session, list_at(&query->items, i));
    }
    list_init(&result->rows, sizeof(struct value *));
    size_t first = query->offset < 0 ? 0 : (size_t)query->offset;
    for (size_t i = first; i < rows->count; i++) {
        if (query->limit >= 0 && i - first >= (size_t)query->limit) {
            break;
        }
        const struct sortable *row = list_at(rows, i);
        *(struct value **)list_add(arena, &result->rows) = row->cells;
    }
    return result;
}

struct result *run(struct session *session, struct query *query)
{
    bind_query(session, query);
    struct list wide;
    join_sources(session, query, &wide);
    struct list rows;
    list_init(&rows, sizeof(struct row));
    for (size_t i = 0; i < wide.count; i++) {
        struct row *row = list_add(&session->arena, &rows);
        row->cells = *(struct value **)list_at(&wide, i);
    }
    if (query->where != NULL) {
        filter(session, &rows, query->where);
    }
    if (query->group_by.count > 0 || query->aggregates.count > 0) {
        struct list groups;
        group_rows(session, query, &rows, &groups);
        rows = groups;
    }
    if (query->having != NULL) {
        filter(session, &rows, query->having);
    }
    struct list out;
    project(session, query, &rows, &out);
    if (query->distinct) {
        drop_repeated(session, query, &out);
    }
    if (query->order_by.count > 0) {
        sort_list(session, query, &out, compare_keys);
    }
    return result_of(session, query, &out);
}

/*
 * sift: asks questions in SQL about tables kept as CSV files.
 *
 * The parts, in the order in which the data meets them:
 *
 *   csv.c      bytes of a file   -> table (typed cells)
 *   lexer.c    text of a query   -> tokens
 *   parser.c   tokens            -> struct query
 *   bind.c     names             -> positions of columns
 *   eval.c     expression, row   -> value     (functions.c holds the named functions)
 *   join.c     tables            -> rows of one wide table
 *   group.c    rows              -> rows of groups
 *   run.c      query             -> result (where, group, having, order, limit)
 *   output.c   result            -> text
 *
 * Memory comes from an arena that lives as long as a session; nothing is freed on its own.
 * A mistake of the user ends in fail(), which jumps back to the session's owner.
 */
#ifndef SIFT_H
#define SIFT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- memory ---------------------------------------------------------------------------- */

struct block;

struct arena {
    struct block *blocks;
    size_t used;     /* bytes handed out of the newest block */
    size_t total;    /* bytes asked for in all */
};

void *arena_take(struct arena *arena, size_t size);
void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size);
char *arena_text(struct arena *arena, const char *bytes, size_t length);
void arena_free(struct arena *arena);

/* A vector of items of one size, grown in the arena. */
struct list {
    char *items;
    size_t count;
    size_t room;
    size_t item_size;
};

void list_init(struct list *list, size_t item_size);
void *list_add(struct arena *arena, struct list *list);
void *list_at(const struct list *list, size_t index);

/* Text under construction. */
struct text {
    struct arena *arena;
    char *bytes;
    size_t length;
    size_t room;
};

void text_init(struct text *text, struct arena *arena);
void text_byte(struct text *text, char byte);
void text_bytes(struct text *text, const char *bytes, size_t length);
void text_string(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...);
const char *text_end(struct text *text);

/* ---- sessions and mistakes ------------------------------------------------------------- */

struct table;

struct session {
    struct arena arena;
    jmp_buf on_error;
    char message[512];
    struct list tables;      /* struct table * */
    const char *directory;   /* where NAME.csv is looked for */
};

void session_open(struct session *session, const char *directory);
void session_close(struct session *session);
_Noreturn void fail(struct session *session, const char *format, ...);

/* ---- values ---------------------------------------------------------------------------- */

enum kind { KIND_NULL, KIND_BOOL, KIND_INT, KIND_REAL, KIND_TEXT };

struct value {
    enum kind kind;
    size_t length;           /* of text */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *bytes;
    } as;
};

struct value value_null(void);
struct value value_bool(bool truth);
struct value value_int(int64_t integer);
struct value value_real(double real);
struct value value_text(const char *bytes, size_t length);
struct value value_string(const char *string);
struct value value_guess(const char *bytes, size_t length);

bool value_is_null(struct value value);
bool value_is_true(struct value value);
bool value_is_number(struct value value);
double value_as_real(struct value value);
int value_compare(struct value left, struct value right);
bool value_equal(struct value left, struct value right);
uint64_t value_hash(struct value value, uint64_t seed);
void value_print(struct text *out, struct value value);
const char *kind_name(enum kind kind);

/* ---- tables ---------------------------------------------------------------------------- */

struct table {
    const char *name;
    size_t n_columns;
    const char **columns;
    struct list rows;        /* struct value * with n_columns cells each */
};

struct table *table_new(struct session *session, const char *name);
struct table *table_find(struct session *session, const char *name);
void table_add(struct session *session, struct table *table);
struct table *csv_read(struct session *session, const char *name, const char *path);
struct table *csv_parse(struct session *session, const char *name, const char *bytes,
                        size_t length);

/* ---- tokens ---------------------------------------------------------------------------- */

enum token_kind {
    TOKEN_END, TOKEN_NAME, TOKEN_KEYWORD, TOKEN_INT, TOKEN_REAL, TOKEN_STRING, TOKEN_SYMBOL
};

struct token {
    enum token_kind kind;
    const char *text;        /* keywords in capitals, symbols as written */
    size_t position;         /* byte in the query, for messages */
    struct value value;      /* of literals */
};

void lex(struct session *session, const char *query, struct list *tokens);
bool is_keyword(const char *word);

/* ---- expressions and queries ----------------------------------------------------------- */

enum expr_kind {
    EXPR_LITERAL, EXPR_COLUMN, EXPR_UNARY, EXPR_BINARY, EXPR_CALL, EXPR_AGGREGATE,
    EXPR_CASE, EXPR_IN, EXPR_BETWEEN, EXPR_IS_NULL
};

enum operator {
    OP_OR, OP_AND, OP_NOT, OP_EQUAL, OP_DIFFERENT, OP_LESS, OP_LESS_EQUAL, OP_MORE,
    OP_MORE_EQUAL, OP_LIKE, OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_DIVIDE, OP_REMAINDER,
    OP_JOIN_TEXT, OP_NEGATE
};

enum aggregate { AGG_COUNT, AGG_SUM, AGG_AVG, AGG_MIN, AGG_MAX, AGG_JOINED };

struct function;

struct expr {
    enum expr_kind kind;
    enum operator op;
    enum aggregate aggregate;
    bool negated;            /* NOT IN, NOT BETWEEN, IS NOT NULL, NOT LIKE */
    bool distinct;           /* inside an aggregate */
    bool star;               /* COUNT(*) */
    bool has_else;           /* the last argument of a CASE is its ELSE */
    struct value value;
    const char *qualifier;   /* t in t.a, or NULL */
    const char *name;
    const struct function *function;
    size_t position;
    size_t slot;             /* the column's position, or the aggregate's, once bound */
    struct list args;        /* struct expr * */
};

struct item {
    struct expr *expr;       /* NULL for a star */
    const char *qualifier;   /* of t.* */
    const char *label;
};

struct order {
    struct expr *expr;
    bool descending;
};

struct source {
    const char *table;
    const char *alias;
    struct expr *on;         /* NULL for the first one */
    bool outer;              /* LEFT JOIN */
    struct table *data;
    size_t first_slot;
};

struct query {
    bool distinct;
    struct list items;       /* struct item */
    struct list sources;     /* struct source */
    struct expr *where;
    struct list group_by;    /* struct expr * */
    struct expr *having;
    struct list order_by;    /* struct order */
    int64_t limit;           /* -1: none */
    int64_t offset;
    struct list aggregates;  /* struct expr *, filled by binding */
    size_t n_slots;          /* cells of a joined row */
};

struct query *parse(struct session *session, const char *text);
void bind_query(struct session *session, struct query *query);
bool expr_equal(const struct expr *left, const struct expr *right);
void expr_print(struct text *out, const struct expr *expr);

/* ---- evaluation ------------------------------------------------------------------------ */

/* What an expression may look at: a joined row, and in grouped queries the aggregates. */
struct scope {
    struct session *session;
    const struct value *cells;
    const struct value *aggregates;
};

struct value eval(const struct scope *scope, const struct expr *expr);
bool like(const char *text, size_t length, const char *pattern, size_t pattern_length);

typedef struct value function_body(struct session *session, const struct value *args,
                                   size_t count);

struct function {
    const char *name;
    size_t least;
    size_t most;
    bool nulls;              /* is called with NULL arguments too */
    function_body *body;
};

const struct function *function_find(const char *name);

/* ---- running --------------------------------------------------------------------------- */

struct result {
    size_t n_columns;
    const char **labels;
    struct list rows;        /* struct value * */
};

/* A row on its way: cells of the joined row, and of the aggregates once it is a group. */
struct row {
    const struct value *cells;
    const struct value *aggregates;
};

void join_sources(struct session *session, struct query *query, struct list *rows);
void group_rows(struct session *session, struct query *query, const struct list *rows,
                struct list *groups);
struct result *run(struct session *session, struct query *query);

/* ---- output ---------------------------------------------------------------------------- */

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

bool format_parse(const char *name, enum format *format);
void result_print(struct text *out, const struct result *result, enum format format);

int selftest(FILE *out);

#endif

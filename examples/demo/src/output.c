/* Results and expressions as text. */
#include "sift.h"

#include <string.h>

static size_t width_of(const char *bytes, size_t length)
{
    size_t width = 0;
    for (size_t i = 0; i < length; i++) {
        width += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    }
    return width;
}

static const struct value *row_at(const struct result *result, size_t row)
{
    return *(struct value **)list_at(&result->rows, row);
}

static struct text cell_text(struct text *out, struct value value)
{
    struct text text;
    text_init(&text, out->arena);
    value_print(&text, value);
    text_end(&text);
    return text;
}

static size_t column_width(struct text *out, const struct result *result, size_t column)
{
    size_t width = width_of(result->labels[column], strlen(result->labels[column]));
    for (size_t i = 0; i < result->rows.count; i++) {
        struct text text = cell_text(out, row_at(result, i)[column]);
        size_t wanted = width_of(text.bytes, text.length);
        width = wanted > width ? wanted : width;
    }
    return width;
}

/* Numbers stand right, as long as the whole column holds nothing else. */
static bool stands_right(const struct result *result, size_t column)
{
    for (size_t i = 0; i < result->rows.count; i++) {
        struct value value = row_at(result, i)[column];
        if (value.kind != KIND_NULL && !value_is_number(value)) {
            return false;
        }
    }
    return result->rows.count > 0;
}

static void padded(struct text *out, const char *bytes, size_t length, size_t width, bool right,
                   bool last)
{
    size_t blanks = width - width_of(bytes, length);
    for (size_t i = 0; right && i < blanks; i++) {
        text_byte(out, ' ');
    }
    text_bytes(out, bytes, length);
    for (size_t i = 0; !right && !last && i < blanks; i++) {
        text_byte(out, ' ');
    }
    text_string(out, last ? "\n" : "  ");
}

static void print_table(struct text *out, const struct result *result)
{
    size_t n = result->n_columns;
    size_t *widths = arena_take(out->arena, n * sizeof *widths);
    bool *rights = arena_take(out->arena, n * sizeof *rights);
    for (size_t i = 0; i < n; i++) {
        widths[i] = column_width(out, result, i);
        rights[i] = stands_right(result, i);
    }
    for (size_t i = 0; i < n; i++) {
        padded(out, result->labels[i], strlen(result->labels[i]), widths[i], rights[i],
               i + 1 == n);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < widths[i]; k++) {
            text_byte(out, '-');
        }
        text_string(out, i + 1 == n ? "\n" : "  ");
    }
    for (size_t row = 0; row < result->rows.count; row++) {
        for (size_t i = 0; i < n; i++) {
            struct text text = cell_text(out, row_at(result, row)[i]);
            padded(out, text.bytes, text.length, widths[i], rights[i], i + 1 == n);
        }
    }
}

static void csv_field(struct text *out, const char *bytes, size_t length, bool is_text)
{
    bool quote = false;
    for (size_t i = 0; i < length; i++) {
        quote = quote || strchr(",\"\r\n", bytes[i]) != NULL;
    }
    /* Text that would read back as something else keeps its quotes. */
    quote = quote || (is_text && value_guess(bytes, length).kind != KIND_TEXT);
    if (!quote) {
        text_bytes(out, bytes, length);
        return;
    }
    text_byte(out, '"');
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"') {
            text_byte(out, '"');
        }
        text_byte(out, bytes[i]);
    }
    text_byte(out, '"');
}

static void print_csv(struct text *out, const struct result *result)
{
    for (size_t i = 0; i < result->n_columns; i++) {
        csv_field(out, result->labels[i], strlen(result->labels[i]), false);
        text_byte(out, i + 1 == result->n_columns ? '\n' : ',');
    }
    for (size_t row = 0; row < result->rows.count; row++) {
        for (size_t i = 0; i < result->n_columns; i++) {
            struct value value = row_at(result, row)[i];
            struct text text = cell_text(out, value);
            csv_field(out, text.bytes, text.length, value.kind == KIND_TEXT);
            text_byte(out, i + 1 == result->n_columns ? '\n' : ',');
        }
    }
}

static void json_string(struct text *out, const char *bytes, size_t length)
{
    text_byte(out, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '"' || byte == '\\') {
            text_byte(out, '\\');
            text_byte(out, (char)byte);
        } else if (byte < 0x20) {
            text_format(out, "\\u%04x", byte);
        } else {
            text_byte(out, (char)byte);
        }
    }
    text_byte(out, '"');
}

static void json_value(struct text *out, struct value value)
{
    switch (value.kind) {
    case KIND_NULL: text_string(out, "null"); break;
    case KIND_TEXT: json_string(out, value.as.bytes, value.length); break;
    default: value_print(out, value); break;
    }
}

static void print_json(struct text *out, const struct result *result)
{
    for (size_t row = 0; row < result->rows.count; row++) {
        text_byte(out, '{');
        for (size_t i = 0; i < result->n_columns; i++) {
            json_string(out, result->labels[i], strlen(result->labels[i]));
            text_byte(out, ':');
            json_value(out, row_at(result, row)[i]);
            text_string(out, i + 1 == result->n_columns ? "}\n" : ",");
        }
    }
}

bool format_parse(const char *name, enum format *format)
{
    static const char *const names[] = { "table", "csv", "json" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    return false;
}

void result_print(struct text *out, const struct result *result, enum format format)
{
    switch (format) {
    case FORMAT_TABLE: print_table(out, result); break;
    case FORMAT_CSV: print_csv(out, result); break;
    case FORMAT_JSON: print_json(out, result); break;
    }
}

static const char *operator_text(enum operator op)
{
    static const char *const texts[] = {
        " OR ", " AND ", "NOT ", " = ", " <> ", " < ", " <= ", " > ", " >= ", " LIKE ", " + ",
        " - ", " * ", " / ", " % ", " || ", "-"
    };
    return texts[op];
}

static void print_args(struct text *out, const struct expr *expr)
{
    text_byte(out, '(');
    text_string(out, expr->distinct ? "DISTINCT " : expr->star ? "*" : "");
    for (size_t i = 0; i < expr->args.count; i++) {
        text_string(out, i > 0 ? ", " : "");
        expr_print(out, *(struct expr **)list_at(&expr->args, i));
    }
    text_byte(out, ')');
}

/* How an item without a label is called. */
void expr_print(struct text *out, const struct expr *expr)
{
    switch (expr->kind) {
    case EXPR_LITERAL:
        value_print(out, expr->value);
        break;
    case EXPR_COLUMN:
        text_string(out, expr->name);
        break;
    case EXPR_UNARY:
        text_string(out, operator_text(expr->op));
        expr_print(out, *(struct expr **)list_at(&expr->args, 0));
        break;
    case EXPR_BINARY:
        expr_print(out, *(struct expr **)list_at(&expr->args, 0));
        text_string(out, expr->negated ? " NOT" : "");
        text_string(out, operator_text(expr->op));
        expr_print(out, *(struct expr **)list_at(&expr->args, 1));
        break;
    case EXPR_CALL:
    case EXPR_AGGREGATE:
        text_string(out, expr->name);
        print_args(out, expr);
        break;
    case EXPR_CASE: text_string(out, "case"); break;
    case EXPR_IN: text_string(out, "in"); break;
    case EXPR_BETWEEN: text_string(out, "between"); break;
    case EXPR_IS_NULL: text_string(out, "is null"); break;
    }
}

/* Tables from CSV files: quoted fields, doubled quotes, line ends of both kinds. */
#include "sift.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader {
    struct session *session;
    const char *name;
    const char *at;
    const char *end;
    size_t line;
};

struct field {
    const char *bytes;
    size_t length;
    bool quoted;
    bool last;               /* of its record */
};

struct table *table_new(struct session *session, const char *name)
{
    struct table *table = arena_take(&session->arena, sizeof *table);
    table->name = arena_text(&session->arena, name, strlen(name));
    list_init(&table->rows, sizeof(struct value *));
    return table;
}

void table_add(struct session *session, struct table *table)
{
    *(struct table **)list_add(&session->arena, &session->tables) = table;
}

static struct table *already(struct session *session, const char *name)
{
    for (size_t i = 0; i < session->tables.count; i++) {
        struct table *table = *(struct table **)list_at(&session->tables, i);
        if (strcasecmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

/* A table that was named before, else NAME.csv in the session's directory. */
struct table *table_find(struct session *session, const char *name)
{
    struct table *table = already(session, name);
    if (table != NULL) {
        return table;
    }
    if (session->directory == NULL) {
        fail(session, "no table `%s`", name);
    }
    struct text path;
    text_init(&path, &session->arena);
    text_format(&path, "%s/%s.csv", session->directory, name);
    table = csv_read(session, name, text_end(&path));
    table_add(session, table);
    return table;
}

static bool at_line_end(const struct reader *reader)
{
    return reader->at == reader->end || *reader->at == '\n' || *reader->at == '\r';
}

static void skip_line_end(struct reader *reader)
{
    if (reader->at < reader->end && *reader->at == '\r') {
        reader->at += 1;
    }
    if (reader->at < reader->end && *reader->at == '\n') {
        reader->at += 1;
    }
    reader->line += 1;
}

static struct field quoted_field(struct reader *reader)
{
    struct text text;
    text_init(&text, &reader->session->arena);
    size_t first_line = reader->line;
    reader->at += 1;
    for (;;) {
        if (reader->at == reader->end) {
            fail(reader->session, "%s, line %zu: a quoted field never ends", reader->name,
                 first_line);
        }
        char byte = *reader->at++;
        if (byte == '"') {
            if (reader->at < reader->end && *reader->at == '"') {
                reader->at += 1;
            } else {
                break;
            }
        }
        if (byte == '\n') {
            reader->line += 1;
        }
        text_byte(&text, byte);
    }
    if (!at_line_end(reader) && *reader->at != ',') {
        fail(reader->session, "%s, line %zu: text after a closing quote", reader->name,
             reader->line);
    }
    const char *bytes = text_end(&text);
    return (struct field){ .bytes = bytes, .length = text.length, .quoted = true };
}

static struct field plain_field(struct reader *reader)
{
    const char *start = reader->at;
    while (!at_line_end(reader) && *reader->at != ',') {
        reader->at += 1;
    }
    return (struct field){ .bytes = start, .length = (size_t)(reader->at - start) };
}

static struct field next_field(struct reader *reader)
{
    bool quoted = reader->at < reader->end && *reader->at == '"';
    struct field field = quoted ? quoted_field(reader) : plain_field(reader);
    if (at_line_end(reader)) {
        skip_line_end(reader);
        field.last = true;
    } else {
        reader->at += 1;
    }
    return field;
}

static void read_header(struct reader *reader, struct table *table)
{
    struct arena *arena = &reader->session->arena;
    struct list names;
    list_init(&names, sizeof(const char *));
    struct field field;
    do {
        field = next_field(reader);
        if (field.length == 0) {
            fail(reader->session, "%s: column %zu has no name", reader->name, names.count + 1);
        }
        *(const char **)list_add(arena, &names) = arena_text(arena, field.bytes, field.length);
    } while (!field.last);
    table->n_columns = names.count;
    table->columns = (const char **)names.items;
}

static void read_row(struct reader *reader, struct table *table)
{
    struct arena *arena = &reader->session->arena;
    size_t line = reader->line;
    struct value *cells = arena_take(arena, table->n_columns * sizeof *cells);
    struct field field;
    size_t count = 0;
    do {
        field = next_field(reader);
        if (count < table->n_columns) {
            cells[count] = field.quoted ? value_text(field.bytes, field.length)
                                        : value_guess(field.bytes, field.length);
        }
        count += 1;
    } while (!field.last);
    if (count != table->n_columns) {
        fail(reader->session, "%s, line %zu: %zu fields, expected %zu", reader->name, line,
             count, table->n_columns);
    }
    *(struct value **)list_add(arena, &table->rows) = cells;
}

/* The bytes must live as long as the session: plain fields point into them. */
struct table *csv_parse(struct session *session, const char *name, const char *bytes,
                        size_t length)
{
    struct reader reader = {
        .session = session, .name = name, .at = bytes, .end = bytes + length, .line = 1
    };
    if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        reader.at += 3;
    }
    if (reader.at == reader.end) {
        fail(session, "%s: there is no header line", name);
    }
    struct table *table = table_new(session, name);
    read_header(&reader, table);
    while (reader.at < reader.end) {
        if (at_line_end(&reader)) {
            skip_line_end(&reader);
            continue;
        }
        read_row(&reader, table);
    }
    return table;
}

struct table *csv_read(struct session *session, const char *name, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail(session, "cannot open %s: %s", path, strerror(errno));
    }
    struct text text;
    text_init(&text, &session->arena);
    char chunk[1 << 16];
    size_t count;
    while ((count = fread(chunk, 1, sizeof chunk, file)) > 0) {
        text_bytes(&text, chunk, count);
    }
    bool broken = ferror(file) != 0;
    fclose(file);
    if (broken) {
        fail(session, "cannot read %s", path);
    }
    const char *bytes = text_end(&text);
    return csv_parse(session, name, bytes, text.length);
}

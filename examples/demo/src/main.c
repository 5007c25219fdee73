/* The command line. */
#include "sift.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sift [-d DIR] [-o table|csv|json] [-t NAME=FILE]... QUERY\n"
    "       sift --self-test\n"
    "\n"
    "Tables that -t does not name are read from DIR/NAME.csv.\n";

struct options {
    const char *directory;
    const char *query;
    enum format format;
    const char *tables[32];
    size_t n_tables;
};

static bool parse_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){ .directory = ".", .format = FORMAT_TABLE };
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool takes_value = strcmp(word, "-d") == 0 || strcmp(word, "-o") == 0 ||
                           strcmp(word, "-t") == 0;
        if (!takes_value) {
            if (options->query != NULL || (word[0] == '-' && word[1] != '\0')) {
                return false;
            }
            options->query = word;
            continue;
        }
        if (++i == argc) {
            return false;
        }
        if (word[1] == 'd') {
            options->directory = argv[i];
        } else if (word[1] == 'o') {
            if (!format_parse(argv[i], &options->format)) {
                return false;
            }
        } else if (options->n_tables < sizeof options->tables / sizeof *options->tables &&
                   strchr(argv[i], '=') != NULL) {
            options->tables[options->n_tables++] = argv[i];
        } else {
            return false;
        }
    }
    return options->query != NULL;
}

static void load_tables(struct session *session, const struct options *options)
{
    for (size_t i = 0; i < options->n_tables; i++) {
        const char *word = options->tables[i];
        const char *path = strchr(word, '=') + 1;
        const char *name = arena_text(&session->arena, word, (size_t)(path - word) - 1);
        table_add(session, csv_read(session, name, path));
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--self-test") == 0) {
        return selftest(stdout);
    }
    struct options options;
    if (!parse_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    struct session session;
    session_open(&session, options.directory);
    if (setjmp(session.on_error) != 0) {
        fprintf(stderr, "sift: %s\n", session.message);
        session_close(&session);
        return 1;
    }
    load_tables(&session, &options);
    struct text out;
    text_init(&out, &session.arena);
    result_print(&out, run(&session, parse(&session, options.query)), options.format);
    fwrite(out.bytes, 1, out.length, stdout);
    session_close(&session);
    return fflush(stdout) == 0 ? 0 : 1;
}

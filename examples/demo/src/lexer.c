/* Text of a query to tokens. */
#include "sift.h"

#include <errno.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const keywords[] = {
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "DESC", "DISTINCT", "ELSE", "END",
    "FALSE", "FROM", "GROUP", "HAVING", "IN", "INNER", "IS", "JOIN", "LEFT", "LIKE", "LIMIT",
    "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "OUTER", "SELECT", "THEN", "TRUE", "WHEN",
    "WHERE"
};

struct lexer {
    struct session *session;
    const char *query;
    const char *at;
    struct list *tokens;
};

static const char *keyword(const char *word)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strcasecmp(keywords[i], word) == 0) {
            return keywords[i];
        }
    }
    return NULL;
}

bool is_keyword(const char *word)
{
    return keyword(word) != NULL;
}

static struct token *add(struct lexer *lexer, enum token_kind kind, const char *start)
{
    struct token *token = list_add(&lexer->session->arena, lexer->tokens);
    token->kind = kind;
    token->position = (size_t)(start - lexer->query);
    return token;
}

static void skip_blanks(struct lexer *lexer)
{
    for (;;) {
        while (isspace((unsigned char)*lexer->at)) {
            lexer->at += 1;
        }
        if (lexer->at[0] != '-' || lexer->at[1] != '-') {
            return;
        }
        while (*lexer->at != '\0' && *lexer->at != '\n') {
            lexer->at += 1;
        }
    }
}

static void lex_word(struct lexer *lexer)
{
    const char *start = lexer->at;
    while (isalnum((unsigned char)*lexer->at) || *lexer->at == '_') {
        lexer->at += 1;
    }
    const char *word = arena_text(&lexer->session->arena, start, (size_t)(lexer->at - start));
    const char *known = keyword(word);
    struct token *token = add(lexer, known != NULL ? TOKEN_KEYWORD : TOKEN_NAME, start);
    token->text = known != NULL ? known : word;
}

static void lex_number(struct lexer *lexer)
{
    const char *start = lexer->at;
    bool real = false;
    while (isdigit((unsigned char)*lexer->at) || *lexer->at == '.') {
        real = real || *lexer->at == '.';
        lexer->at += 1;
    }
    if (*lexer->at == 'e' || *lexer->at == 'E') {
        real = true;
        lexer->at += 1;
        if (*lexer->at == '-' || *lexer->at == '+') {
            lexer->at += 1;
        }
        while (isdigit((unsigned char)*lexer->at)) {
            lexer->at += 1;
        }
    }
    const char *text = arena_text(&lexer->session->arena, start, (size_t)(lexer->at - start));
    char *end = NULL;
    struct token *token = add(lexer, real ? TOKEN_REAL : TOKEN_INT, start);
    token->text = text;
    errno = 0;
    token->value = real ? value_real(strtod(text, &end)) : value_int(strtoll(text, &end, 10));
    if (*end != '\0' || isalpha((unsigned char)*lexer->at)) {
        fail(lexer->session, "`%s...` at byte %zu is no number", text, token->position);
    }
    if (!real && errno == ERANGE) {
        fail(lexer->session, "`%s` does not fit into 64 bits", text);
    }
}

/* 'text' with doubled quotes inside, or "a name" of any characters. */
static void lex_quoted(struct lexer *lexer, char quote)
{
    const char *start = lexer->at++;
    struct text text;
    text_init(&text, &lexer->session->arena);
    for (;;) {
        char byte = *lexer->at++;
        if (byte == '\0') {
            fail(lexer->session, "the quote at byte %zu is never closed",
                 (size_t)(start - lexer->query));
        }
        if (byte == quote) {
            if (*lexer->at != quote) {
                break;
            }
            lexer->at += 1;
        }
        text_byte(&text, byte);
    }
    struct token *token = add(lexer, quote == '"' ? TOKEN_NAME : TOKEN_STRING, start);
    token->text = text_end(&text);
    token->value = value_text(token->text, text.length);
}

static void lex_symbol(struct lexer *lexer)
{
    static const char *const symbols[] = {
        "<=", ">=", "<>", "!=", "||", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",",
        ".", ";"
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        size_t length = strlen(symbols[i]);
        if (strncmp(lexer->at, symbols[i], length) == 0) {
            add(lexer, TOKEN_SYMBOL, lexer->at)->text = symbols[i];
            lexer->at += length;
            return;
        }
    }
    fail(lexer->session, "unexpected character `%c` at byte %zu", *lexer->at,
         (size_t)(lexer->at - lexer->query));
}

void lex(struct session *session, const char *query, struct list *tokens)
{
    struct lexer lexer = { .session = session, .query = query, .at = query, .tokens = tokens };
    list_init(tokens, sizeof(struct token));
    for (;;) {
        skip_blanks(&lexer);
        char byte = *lexer.at;
        if (byte == '\0') {
            break;
        }
        if (isalpha((unsigned char)byte) || byte == '_') {
            lex_word(&lexer);
        } else if (isdigit((unsigned char)byte)) {
            lex_number(&lexer);
        } else if (byte == '\'' || byte == '"') {
            lex_quoted(&lexer, byte);
        } else {
            lex_symbol(&lexer);
        }
    }
    add(&lexer, TOKEN_END, lexer.at)->text = "the end";
}

/* Queries over small tables beside the answers that are expected, as CSV. */
#include "sift.h"

#include <string.h>

struct check {
    const char *query;
    const char *answer;      /* or the message of a mistake, after a `!` */
};

static const char people[] =
    "id,name,city,age\n"
    "1,Ada,Turin,36\n"
    "2,Ben,Oslo,41\n"
    "3,\"Cleo, the second\",Turin,29\n"
    "4,Dag,,50\n";

static const char orders[] =
    "person,item,price,day\r\n"
    "1,lamp,19.5,2024-01-03\r\n"
    "1,chair,80,2024-02-11\r\n"
    "2,lamp,19.5,2024-02-20\r\n"
    "3,\"a \"\"big\"\" desk\",240,2025-03-01\r\n"
    "9,ghost,1,2025-03-02\r\n";

static const struct check checks[] = {
    /* values and operators */
    { "SELECT 1 + 2 * 3 AS n", "n\n7\n" },
    { "SELECT (1 + 2) * 3 AS n", "n\n9\n" },
    { "SELECT 7 / 2 AS n, 7 % 4 AS m", "n,m\n3.5,3\n" },
    { "SELECT 1 / 0 AS n", "n\n\n" },
    { "SELECT -3 + 5 AS n", "n\n2\n" },
    { "SELECT 'a' || 'b' || 3 AS t", "t\nab3\n" },
    { "SELECT 'it''s' AS t", "t\nit's\n" },
    { "SELECT 1.0 = 1 AS same, '1' = 1 AS text", "same,text\ntrue,false\n" },
    { "SELECT NULL AND FALSE AS a, NULL OR TRUE AS b, NULL = NULL AS c", "a,b,c\nfalse,true,\n" },
    { "SELECT NOT 1 > 2 AS t", "t\ntrue\n" },
    { "SELECT 9223372036854775807 + 1", "!the result does not fit into 64 bits" },
    { "SELECT 'a' + 1", "!cannot calculate with text" },
    { "SELECT CASE WHEN 1 > 2 THEN 'x' WHEN 2 > 1 THEN 'y' ELSE 'z' END AS t", "t\ny\n" },
    { "SELECT CASE WHEN FALSE THEN 1 END AS n", "n\n\n" },
    { "SELECT 3 IN (1, 2, 3) AS a, 4 NOT IN (1, 2) AS b, 4 IN (1, NULL) AS c",
      "a,b,c\ntrue,true,\n" },
    { "SELECT 3 BETWEEN 1 AND 5 AS a, 3 NOT BETWEEN 1 AND 5 AS b", "a,b\ntrue,false\n" },
    { "SELECT 'Turin' LIKE 't%n' AS a, 'Turin' LIKE '_urin' AS b, 'Turin' NOT LIKE '%x%' AS c",
      "a,b,c\ntrue,true,true\n" },

    /* functions */
    { "SELECT upper('abc') AS u, lower('ABC') AS l, length('h\xc3\xa9') AS n",
      "u,l,n\nABC,abc,2\n" },
    { "SELECT substr('lamp', 2, 2) AS a, substr('lamp', -2) AS b, trim('  x ') AS c",
      "a,b,c\nam,mp,x\n" },
    { "SELECT replace('a-b-c', '-', '+') AS a, instr('lamp', 'mp') AS b", "a,b\na+b+c,3\n" },
    { "SELECT round(2.345, 2) AS a, floor(2.9) AS b, ceil(2.1) AS c, abs(-4) AS d",
      "a,b,c,d\n2.35,2,3,4\n" },
    { "SELECT coalesce(NULL, 'x') AS a, nullif(1, 1) AS b, typeof(NULL) AS c", "a,b,c\nx,,null\n" },
    { "SELECT year('2024-02-11') AS y, month('2024-02-11') AS m, day('no date') AS d",
      "y,m,d\n2024,2,\n" },
    { "SELECT number('12') + 1 AS n, number('x') AS m, length(bar(3)) AS b", "n,m,b\n13,,3\n" },
    { "SELECT nothing(1)", "!no function `nothing`" },
    { "SELECT upper(1, 2)", "!upper() does not take 2 arguments" },

    /* rows */
    { "SELECT name FROM people WHERE age > 36", "name\nBen\nDag\n" },
    { "SELECT name FROM people WHERE city IS NULL", "name\nDag\n" },
    { "SELECT * FROM people WHERE id = 3", "id,name,city,age\n3,\"Cleo, the second\",Turin,29\n" },
    { "SELECT name FROM people ORDER BY age DESC LIMIT 2", "name\nDag\nBen\n" },
    { "SELECT name FROM people ORDER BY 1 LIMIT 1 OFFSET 1", "name\nBen\n" },
    { "SELECT DISTINCT city FROM people WHERE city IS NOT NULL", "city\nOslo\nTurin\n" },
    { "SELECT item FROM orders WHERE item LIKE '%\"big\"%'", "item\n\"a \"\"big\"\" desk\"\n" },
    { "SELECT nobody FROM people", "!no column `nobody`" },
    { "SELECT 1 FROM nowhere", "!no table `nowhere`" },

    /* joins */
    { "SELECT p.name, o.item FROM people p JOIN orders o ON o.person = p.id ORDER BY o.price DESC"
      " LIMIT 2", "name,item\n\"Cleo, the second\",\"a \"\"big\"\" desk\"\nAda,chair\n" },
    { "SELECT p.name, o.item FROM people p LEFT JOIN orders o ON o.person = p.id"
      " WHERE o.item IS NULL", "name,item\nDag,\n" },
    { "SELECT count(*) AS n FROM people a JOIN people b ON a.id < b.id", "n\n6\n" },
    { "SELECT id FROM people a JOIN people b ON a.id = b.id",
      "!`id` could be any of 2 columns; say which table" },
    { "SELECT 1 FROM people JOIN people ON TRUE",
      "!two tables are called `people`; give one an alias" },

    /* groups */
    { "SELECT count(*) AS n, sum(age) AS s, avg(age) AS a FROM people", "n,s,a\n4,156,39.0\n" },
    { "SELECT count(city) AS n, count(DISTINCT city) AS d FROM people", "n,d\n3,2\n" },
    { "SELECT city, count(*) AS n FROM people GROUP BY city ORDER BY n DESC, city",
      "city,n\nTurin,2\n,1\nOslo,1\n" },
    { "SELECT item, sum(price) AS total FROM orders GROUP BY item HAVING count(*) > 1",
      "item,total\nlamp,39.0\n" },
    { "SELECT year(day) AS y, max(price) AS m FROM orders GROUP BY y ORDER BY y",
      "y,m\n2024,80\n2025,240\n" },
    { "SELECT joined(name) AS all_of FROM people WHERE city = 'Turin'",
      "all_of\n\"Ada, Cleo, the second\"\n" },
    { "SELECT count(*) AS n, max(age) AS m FROM people WHERE FALSE", "n,m\n0,\n" },
    { "SELECT name, count(*) FROM people", "!`name` is neither grouped nor inside an aggregate" },
    { "SELECT name FROM people WHERE count(*) > 1", "!count() is not possible here" },
    { "SELECT sum(price) * 2 AS twice FROM orders WHERE person = 1", "twice\n199.0\n" },

    /* mistakes in the text */
    { "SELECT", "!expected an expression, found `the end` at byte 6" },
    { "SELECT 1 2", "!expected the end of the query, found `2` at byte 9" },
    { "SELECT 'open", "!the quote at byte 7 is never closed" },
    { "SELECT 1 ? 2", "!unexpected character `?` at byte 9" },
    { "SELECT 99999999999999999999", "!`99999999999999999999` does not fit into 64 bits" },
    { "FROM people", "!expected SELECT, found `FROM` at byte 0" },
};

/* Answers a query as CSV, or `!` and the message. The session owns the text. */
static const char *answer(struct session *session, const char *query)
{
    struct text out;
    text_init(&out, &session->arena);
    if (setjmp(session->on_error) != 0) {
        char *message = arena_take(&session->arena, sizeof session->message + 1);
        message[0] = '!';
        memcpy(message + 1, session->message, sizeof session->message);
        return message;
    }
    table_add(session, csv_parse(session, "people", people, strlen(people)));
    table_add(session, csv_parse(session, "orders", orders, strlen(orders)));
    result_print(&out, run(session, parse(session, query)), FORMAT_CSV);
    return text_end(&out);
}

static bool passes(const struct check *check, FILE *out)
{
    struct session session;
    session_open(&session, NULL);
    const char *got = answer(&session, check->query);
    bool same = strcmp(got, check->answer) == 0;
    if (!same) {
        fprintf(out, "FAILED %s\nexpected:\n%s\ngot:\n%s\n", check->query, check->answer, got);
    }
    session_close(&session);
    return same;
}

/* A broken file is refused with the line where it is broken. */
static bool refuses(const char *bytes, const char *message, FILE *out)
{
    struct session session;
    session_open(&session, NULL);
    bool refused = false;
    if (setjmp(session.on_error) != 0) {
        refused = strcmp(session.message, message) == 0;
    } else {
        csv_parse(&session, "t", bytes, strlen(bytes));
    }
    if (!refused) {
        fprintf(out, "FAILED to refuse with `%s`: %s\n", message, session.message);
    }
    session_close(&session);
    return refused;
}

int selftest(FILE *out)
{
    size_t count = sizeof checks / sizeof *checks;
    size_t passed = 0;
    for (size_t i = 0; i < count; i++) {
        passed += passes(&checks[i], out);
    }
    passed += refuses("a,b\n1\n", "t, line 2: 1 fields, expected 2", out);
    passed += refuses("a\n\"x\n", "t, line 2: a quoted field never ends", out);
    passed += refuses("a\n\"x\"y\n", "t, line 2: text after a closing quote", out);
    passed += refuses("", "t: there is no header line", out);
    count += 4;
    fprintf(out, "sift: %zu of %zu checks passed\n", passed, count);
    return passed == count ? 0 : 1;
}

/* The arena, the vectors and the text buffers that everything else is built from. */
#include "sift.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 1 << 18, ALIGNMENT = 16 };

struct block {
    struct block *older;
    size_t size;
    _Alignas(16) char bytes[];
};

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void add_block(struct arena *arena, size_t size)
{
    struct block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        fputs("sift: out of memory\n", stderr);
        exit(3);
    }
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->used = 0;
}

void *arena_take(struct arena *arena, size_t size)
{
    size = aligned(size == 0 ? 1 : size);
    if (arena->blocks == NULL || arena->blocks->size - arena->used < size) {
        add_block(arena, size > BLOCK_SIZE ? size : BLOCK_SIZE);
    }
    void *place = arena->blocks->bytes + arena->used;
    arena->used += size;
    arena->total += size;
    memset(place, 0, size);
    return place;
}

/* Grows in place where the old piece is the newest one, which is common for buffers. */
void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
    size_t old_room = aligned(old_size == 0 ? 1 : old_size);
    size_t new_room = aligned(new_size);
    if (old != NULL && arena->blocks != NULL) {
        char *end = arena->blocks->bytes + arena->used;
        size_t left = arena->blocks->size - arena->used;
        if ((char *)old + old_room == end && new_room - old_room <= left) {
            memset(end, 0, new_room - old_room);
            arena->used += new_room - old_room;
            arena->total += new_room - old_room;
            return old;
        }
    }
    void *place = arena_take(arena, new_size);
    if (old != NULL) {
        memcpy(place, old, old_size);
    }
    return place;
}

char *arena_text(struct arena *arena, const char *bytes, size_t length)
{
    char *copy = arena_take(arena, length + 1);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void arena_free(struct arena *arena)
{
    struct block *block = arena->blocks;
    while (block != NULL) {
        struct block *older = block->older;
        free(block);
        block = older;
    }
    memset(arena, 0, sizeof *arena);
}

void list_init(struct list *list, size_t item_size)
{
    memset(list, 0, sizeof *list);
    list->item_size = item_size;
}

void *list_add(struct arena *arena, struct list *list)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 8 : list->room * 2;
        list->items = arena_grow(arena, list->items, list->room * list->item_size,
                                 room * list->item_size);
        list->room = room;
    }
    void *item = list->items + list->count * list->item_size;
    memset(item, 0, list->item_size);
    list->count += 1;
    return item;
}

void *list_at(const struct list *list, size_t index)
{
    return list->items + index * list->item_size;
}

void text_init(struct text *text, struct arena *arena)
{
    memset(text, 0, sizeof *text);
    text->arena = arena;
}

static void reserve(struct text *text, size_t more)
{
    size_t wanted = text->length + more + 1;
    if (wanted <= text->room) {
        return;
    }
    size_t room = text->room == 0 ? 64 : text->room * 2;
    while (room < wanted) {
        room *= 2;
    }
    text->bytes = arena_grow(text->arena, text->bytes, text->room, room);
    text->room = room;
}

void text_byte(struct text *text, char byte)
{
    reserve(text, 1);
    text->bytes[text->length++] = byte;
}

void text_bytes(struct text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

void text_string(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    reserve(text, (size_t)length);
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
    va_end(again);
    text->length += (size_t)length;
}

const char *text_end(struct text *text)
{
    reserve(text, 0);
    text->bytes[text->length] = '\0';
    return text->bytes;
}

void session_open(struct session *session, const char *directory)
{
    memset(session, 0, sizeof *session);
    session->directory = directory;
    list_init(&session->tables, sizeof(struct table *));
}

void session_close(struct session *session)
{
    arena_free(&session->arena);
}

_Noreturn void fail(struct session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(session->message, sizeof session->message, format, args);
    va_end(args);
    longjmp(session->on_error, 1);
}

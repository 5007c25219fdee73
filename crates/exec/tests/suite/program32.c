static long call(long n, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static void print(const char *text) {
    long length = 0;
    while (text[length]) length++;
    call(4, 1, (long)text, length);
}

static void report(const char *what, long result) {
    char digits[8] = "0\n";
    long value = result < 0 ? -result : 0;
    if (value) {
        char *at = digits + 6;
        at[0] = '\n', at[1] = 0;
        while (value) *--at = '0' + value % 10, value /= 10;
        print(what), print(": -"), print(at);
    } else {
        print(what), print(": 0\n");
    }
}

void _start(void) {
    long tcp[3] = { 2, 1, 0 };
    report("getpid", call(20, 0, 0, 0) > 0 ? 0 : -1);
    report("keyctl", call(288, 0, -3, 0));
    report("vsock", call(359, 40, 1, 0));
    report("inet", call(359, 2, 1, 0) >= 0 ? 0 : -1);
    report("socketcall", call(102, 1, (long)tcp, 0) >= 0 ? 0 : call(102, 1, (long)tcp, 0));
    report("clone", call(120, 0x10000000, 0, 0));
    call(252, 0, 0, 0);
}

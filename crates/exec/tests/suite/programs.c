#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int report(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: ok\n", what);
    return 0;
}

static void *thread(void *arg) { return arg; }

static int threads(void) {
    pthread_t ids[8];
    for (int i = 0; i < 8; i++)
        if (pthread_create(&ids[i], 0, thread, (void *)(long)i)) return 1;
    long sum = 0;
    for (int i = 0; i < 8; i++) { void *got; pthread_join(ids[i], &got); sum += (long)got; }
    printf("threads: %ld\n", sum);
    return 0;
}

static int abstract_socket(const char *name, int listening) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path + 1, name, strlen(name));
    socklen_t length = sizeof(sa_family_t) + 1 + strlen(name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!listening) return report("connect", connect(fd, (void *)&address, length));
    if (bind(fd, (void *)&address, length) || listen(fd, 1)) return report("listen", -1);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    return report("own", connect(other, (void *)&address, length));
}

static int talk(const char *path, const char *text) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (void *)&address, sizeof(address))) return report("talk", -1);
    if (write(fd, text, strlen(text)) < 0 || shutdown(fd, SHUT_WR)) return report("talk", -1);
    char answer[256];
    ssize_t length = read(fd, answer, sizeof(answer));
    if (length < 0) return report("talk", -1);
    printf("%.*s\n", (int)length, answer);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    setvbuf(stdout, 0, _IONBF, 0);
    if (!strcmp(what, "crash")) *(volatile int *)0 = 1;
    if (!strcmp(what, "threads")) return threads();
    if (!strcmp(what, "euid")) return printf("%d %d\n", getuid(), geteuid()), 0;
    if (!strcmp(what, "connect")) return abstract_socket(argv[2], 0);
    if (!strcmp(what, "talk")) return talk(argv[2], argv[3]);
    if (!strcmp(what, "open")) return report("open", open(argv[2], argc > 3 ? O_RDWR : O_RDONLY));
    if (!strcmp(what, "listen")) return abstract_socket(argv[2], 1);
    if (!strcmp(what, "calls")) {
        report("keyctl", syscall(SYS_keyctl, 0, -3, 0));
        report("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
        report("vsock", socket(40, SOCK_STREAM, 0));
        report("inet", socket(AF_INET, SOCK_STREAM, 0));
        report("raw", socket(AF_INET, SOCK_RAW, 1));
        report("clone-user", syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0));
        report("unshare", unshare(CLONE_NEWUSER));
        report("clone3", syscall(435, 0, 0));
        report("future", syscall(1000, 0));
        report("mount", syscall(SYS_mount, "x", "/", "tmpfs", 0, 0));
        report("bpf", syscall(SYS_bpf, 0, 0, 0));
        return 0;
    }
    return 2;
}

/* A disk that fails, as a test wants it: loaded before libc, it answers for what reads and syncs files.
   The file named by FAULTY_DISK has lines of a word and a piece of a path: "sync /node-2/log/", "read /node-2/blocks/",
   "write /node-2/tables/". Whatever it names gets EIO. It is read again whenever it has changed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *orders;
static char lines[4096];
static struct timespec seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) { orders = getenv("FAULTY_DISK"); }

static int fails(const char *word, int fd) {
    if (!orders) return 0;
    struct stat now;
    if (stat(orders, &now) != 0 || now.st_size == 0) return 0;
    int before = errno, found = 0;
    pthread_mutex_lock(&lock);
    if (now.st_mtim.tv_sec != seen.tv_sec || now.st_mtim.tv_nsec != seen.tv_nsec) {
        ssize_t (*get)(int, void *, size_t) = real("read");
        int file = open(orders, O_RDONLY | O_CLOEXEC);
        ssize_t size = file < 0 ? 0 : get(file, lines, sizeof lines - 1);
        lines[size > 0 ? size : 0] = 0;
        if (file >= 0) close(file);
        seen = now.st_mtim;
    }
    char name[64], path[4096], copy[4096], *rest;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    strcpy(copy, lines);
    for (char *line = strtok_r(copy, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest)) {
        char *piece = strchr(line, ' ');
        if (!piece) continue;
        *piece = 0;
        found = strcmp(line, word) == 0 && strstr(path, piece + 1) != NULL;
    }
    pthread_mutex_unlock(&lock);
    errno = found ? EIO : before;
    return found;
}

#define ANSWER(word, type, name, parameters, arguments)                                                               \
    type name parameters {                                                                                            \
        static type (*next) parameters;                                                                               \
        if (!next) next = (type (*) parameters)real(#name);                                                           \
        return fails(word, fd) ? -1 : next arguments;                                                                 \
    }

ANSWER("sync", int, fsync, (int fd), (fd))
ANSWER("sync", int, fdatasync, (int fd), (fd))
ANSWER("read", ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
ANSWER("read", ssize_t, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
ANSWER("read", ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
ANSWER("write", ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
ANSWER("write", ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count))
ANSWER("write", ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
